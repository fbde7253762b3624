"""A refusal as the service puts it (RFC 9457): the members that a phone acts on. Carried by `errors.RefusedError`."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal (RFC 9457) with the members that a phone acts on."""

    code: str = "unknown"
    detail: str | None = None
    title: str | None = None
    server_time: datetime | None = None
    state: str | None = None
    reported: bool = False
