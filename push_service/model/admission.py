"""Which begins are turned away when there is more to do than can be done (R-23).

Work that was begun is finished first: an answer, a wait or a withdrawal is never asked here, only a new sign-in is. The
rule is a bound on the begins under way, and it breathes: while the event loop is late the bound shrinks, while it is
punctual the bound grows back. So a burst passes, and a flood is cut to what gets through in good time. Whatever the
loop says, begins stop while the store's queue is long: the rest of that queue is for those who are through already.

A pure machine: told what was measured, asked about each begin. frontends/gate.py drives it.
"""

from __future__ import annotations

import msgspec

LATE_SECONDS = 0.05
"""An event loop that is this late makes everybody wait several times as long."""
PUNCTUAL_SECONDS = 0.025
FEWEST = 32
"""So many begins under way are always let in: they can't be what makes the loop late, something else does."""
MOST = 1024
LONGEST_QUEUE = 2000
"""Writes queued, from which on nothing is begun; the store itself refuses everybody at five times that."""
_SHRINK = 0.7
_GROW = 16


class Admission(msgspec.Struct, frozen=True):
    """How many begins may be under way at once, as of the last measurement."""

    bound: int = MOST
    queue_full: bool = False

    def measured(self, lag: float, queued: int) -> Admission:
        """After a measurement: by how many seconds the event loop was late, and how many writes are queued."""
        bound = self.bound
        if lag > LATE_SECONDS:
            bound = max(FEWEST, int(bound * _SHRINK))
        elif lag < PUNCTUAL_SECONDS:
            bound = min(MOST, bound + _GROW)
        return Admission(bound, queued >= LONGEST_QUEUE)

    def admits(self, under_way: int) -> bool:
        """Whether one more may begin beside those under way."""
        return not self.queue_full and under_way < self.bound
