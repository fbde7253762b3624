"""Push tokens that were refused as dead: one by one they are retired, many at once are somebody's mistake (R-11).

If most of what is sent is refused, then hardly all phones were lost in the same minutes: the service account is of
another project, or the app was moved. Deleting the tokens would make that mistake last. So a token that was refused is
held under suspicion for a moment, and retired only if no such alarm is on by then. A small machine that is told the
time (seconds of a monotonic clock); what it forgets with its process, Firebase says again. Used by `waker.py`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from push_service.model.ids import DeviceId, UserId

WINDOW_SECONDS = 300.0
MANY = 10
"""Fewer refusals than this within the window are never an alarm."""
HOLD_SECONDS = 3.0
MAX_SUSPECTS = 10_000
_BUCKET_SECONDS = 10.0


class Suspect(NamedTuple):
    """A token that was refused, and as what."""

    device_id: DeviceId
    user_id: UserId
    token: str
    code: str


@dataclass(slots=True)
class _Bucket:
    """What happened in a few seconds."""

    since: float
    sent: int = 0
    lost: int = 0


class Losses:
    """See the module."""

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self._buckets: deque[_Bucket] = deque()
        self._suspects: deque[tuple[float, Suspect]] = deque()

    def sent(self, at: float) -> None:
        """A token was good."""
        self._bucket(at).sent += 1

    def lost(self, at: float, suspect: Suspect) -> None:
        """A token was refused as dead."""
        self._bucket(at).lost += 1
        if len(self._suspects) < MAX_SUSPECTS:
            self._suspects.append((at + HOLD_SECONDS, suspect))

    def alarming(self, at: float) -> bool:
        """Whether so many were refused lately that it can't be the phones."""
        self._forget(at)
        lost = sum(each.lost for each in self._buckets)
        return lost >= MANY and 2 * lost > lost + sum(each.sent for each in self._buckets)

    def ripe(self, at: float) -> list[Suspect]:
        """The tokens to retire now. While there is an alarm all that are held are let off."""
        if self.alarming(at):
            self._suspects.clear()
        ripe = []
        while self._suspects and self._suspects[0][0] <= at:
            ripe.append(self._suspects.popleft()[1])
        return ripe

    def _bucket(self, at: float) -> _Bucket:
        self._forget(at)
        if not self._buckets or at - self._buckets[-1].since >= _BUCKET_SECONDS:
            self._buckets.append(_Bucket(at))
        return self._buckets[-1]

    def _forget(self, at: float) -> None:
        while self._buckets and at - self._buckets[0].since >= WINDOW_SECONDS:
            self._buckets.popleft()
