"""Points in time as whole microseconds since 1970 UTC, so that both stores compare them as plain integers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NewType

Instant = NewType("Instant", int)

MICROSECONDS = 1_000_000


def after(instant: Instant, seconds: float) -> Instant:
    """The instant that many seconds later (earlier, if negative)."""
    return Instant(instant + round(seconds * MICROSECONDS))


def seconds_between(earlier: Instant, later: Instant) -> float:
    """Seconds from one to the other; negative if they are the other way round."""
    return (later - earlier) / MICROSECONDS


def unix(instant: Instant) -> int:
    """Whole seconds since 1970, as JWT claims have them (RFC 7519, NumericDate), rounded down."""
    return instant // MICROSECONDS


def rfc3339(instant: Instant) -> str:
    """The wire form: UTC, milliseconds, `Z`."""
    moment = datetime.fromtimestamp(instant / MICROSECONDS, UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"
