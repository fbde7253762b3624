"""Snapshots that this process has just read: the next decision about the same person tries one before it reads anew.

A begin finds the person by name a moment before it decides, and a phone's line has read what the phone shows. A
snapshot is all that there is at its version of the user's row, and a decision is written only if the row still has that
version (statements.py): so an old one costs a try, and never decides anything. What such a try does not write, as a
refusal that changes nothing, is not believed either. Used by `reading.py`, which keeps, and `decider.py`, which takes.
"""

from __future__ import annotations

from typing import NamedTuple

from push_service.model.ids import UserId
from push_service.model.instant import Instant
from push_service.model.user import Snapshot

MOST = 4096
"""For one process; the oldest make room. People take seconds to answer: these are some hundred sign-ins a second."""


class Read(NamedTuple):
    """A snapshot, and the server's clock when it was read."""

    snapshot: Snapshot
    at: Instant


class Recent:
    """The newest snapshot of each user, until it is taken."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._read: dict[UserId, Read] = {}

    def keep(self, read: Read) -> None:
        """This was read just now."""
        id_ = read.snapshot.user.id
        self._read.pop(id_, None)
        self._read[id_] = read
        if len(self._read) > MOST:
            del self._read[next(iter(self._read))]

    def take(self, user_id: UserId) -> Read | None:
        """What was read last. Whoever takes it is about to move the user's version on: it serves once."""
        return self._read.pop(user_id, None)
