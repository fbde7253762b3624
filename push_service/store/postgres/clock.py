"""The server's clock, seen from here: learned with every answer, counted on in between by a clock that never jumps.

What decides is checked by the server, on its own clock, in the statement itself. This is for what is only looked at. It
is never ahead of the server's: an answer's instant was true before it arrived.
"""

from __future__ import annotations

import time

from push_service.model.instant import MICROSECONDS, Instant

_KEEP = 10 * MICROSECONDS
_JITTER = MICROSECONDS


class ServerClock:
    """An estimate that is at most as late as the quickest answer of the last ten seconds was long."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._offset: int | None = None
        self._learned = 0
        self._last = Instant(0)

    @property
    def stale(self) -> bool:
        """Whether nothing was learned for so long that it is better to ask."""
        return self._offset is None or _here() - self._learned > 2 * _KEEP

    def learn(self, at: Instant) -> None:
        """The server's clock showed this, a moment ago."""
        here = _here()
        offset = at - here
        if self._offset is None or offset >= self._offset or here - self._learned > _KEEP:
            self._offset, self._learned = offset, here

    def __call__(self) -> Instant:
        """The server's clock by now. It never goes back, unless the server's was set back."""
        estimate = Instant(_here() + (self._offset or 0))
        if self._last - _JITTER < estimate < self._last:
            return self._last
        self._last = estimate
        return estimate


def _here() -> int:
    return time.monotonic_ns() * MICROSECONDS // 1_000_000_000
