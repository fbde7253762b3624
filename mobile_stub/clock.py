"""The phone's idea of the time: its own clock, wrong by as much as a test wants, corrected by what the service says.

Proofs are accepted within 60 seconds of the service's clock only, so a phone whose clock is wrong learns the difference
from `server_time` (in the `ready` frame and in a refusal of a proof).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


class PhoneClock:
    """`now` is `source` + `skew` (the fault, seconds; positive is fast) + the correction learnt so far."""

    def __init__(self, skew: float = 0.0, source: Callable[[], float] = time.time) -> None:
        self.skew = skew
        self.correction = 0.0
        self._source = source

    def now(self) -> float:
        """Seconds since 1970, as far as this phone knows."""
        return self._source() + self.skew + self.correction

    def learn(self, server_time: datetime) -> float:
        """Follow the service's clock from here on; returns by how many seconds that moved the phone's."""
        moved = server_time.timestamp() - self.now()
        self.correction += moved
        return moved


class StubbornClock(PhoneClock):
    """A clock that never lets itself be corrected: the phone that can't sign in until someone sets its time."""

    def learn(self, server_time: datetime) -> float:  # noqa: ARG002 - it doesn't listen
        """Change nothing."""
        return 0.0
