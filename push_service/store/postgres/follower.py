"""Reads along in the audit, and rings for what other processes wrote (docs/decisions/0009).

Numbers of records are given out before they are committed, so the newest number seen says nothing of a lower one. What
was seen is therefore remembered as what it is: a snapshot, the set of transactions that were over. A record is news if
its transaction was not over in the last snapshot and is in this one; each is news exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from push_service.model.ids import DecisionId
from push_service.model.instant import Instant
from push_service.ports import Topic
from push_service.store.postgres.connections import Connections, fetch
from push_service.store.postgres.trouble import TROUBLES, in_one_line
from push_service.store.records import topics_of_record

MOST_OWN = 100_000
_LOOK = "SELECT pg_current_snapshot()::text, service_now()"
NEWS = """
WITH last AS MATERIALIZED (SELECT $1::text::pg_snapshot AS seen, pg_current_snapshot() AS present)
SELECT (SELECT present::text FROM last), service_now(),
    coalesce(array_agg(a.decision), '{}'), coalesce(array_agg(a.user_id), '{}'),
    coalesce(array_agg(a.sign_in_id), '{}'), coalesce(array_agg(a.kind), '{}')
FROM (
    SELECT decision, user_id, sign_in_id, kind FROM audit
    WHERE xid >= (SELECT pg_snapshot_xmax(seen) FROM last) AND xid < (SELECT pg_snapshot_xmax(present) FROM last)
    UNION ALL
    SELECT decision, user_id, sign_in_id, kind FROM audit
    WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip(seen) FROM last))
) AS a
"""
"""One row: the snapshot, the clock, and the records that are news as an array a column. Every process reads what all
write, so a record must cost next to nothing: as an element of an array it costs a fifth of what it does as a row."""
_log = structlog.get_logger()


class Follower:
    """Runs as one task of the store."""

    def __init__(
        self,
        connections: Connections,
        foreign: Callable[[Sequence[Topic]], None],
        learn: Callable[[Instant], None],
        pause: Callable[[], float],
    ) -> None:
        """Look again after `pause` seconds; `foreign` hears what others changed, `learn` the server's clock."""
        self._connections, self._foreign, self._learn, self._pause = connections, foreign, learn, pause
        self._own: dict[DecisionId, None] = {}
        self._seen = ""

    def own(self, decisions: Iterable[DecisionId]) -> None:
        """These are about to be written by this process, whose own bells ring at once."""
        self._own |= dict.fromkeys(decisions)
        while len(self._own) > MOST_OWN:
            del self._own[next(iter(self._own))]  # heard twice at worst

    def disown(self, decision: DecisionId) -> None:
        """This one was not written."""
        self._own.pop(decision, None)

    @property
    def over(self) -> str:
        """A transaction number: whatever is sent to the server from now on gets a higher one."""
        return self._seen.partition(":")[0]

    async def begin(self) -> None:
        """Whatever is written from now on is news."""
        (found,) = await self._connections.run(lambda connection: fetch(connection, _LOOK))
        self._seen = found[0]
        self._learn(found[1])

    async def run(self) -> None:
        """Follow until cancelled. While the server is away nothing is missed: it is told when it is back."""
        reachable = True
        while True:
            await asyncio.sleep(self._pause())
            try:
                await self._look()
            except TROUBLES as problem:
                if reachable:
                    _log.warning("store.unreachable", problem=in_one_line(problem))
                reachable = False
            else:
                if not reachable:
                    _log.info("store.reachable_again")
                reachable = True

    async def _look(self) -> None:
        (found,) = await self._connections.use(lambda connection: fetch(connection, NEWS, self._seen))
        present = str(found[0])
        self._learn(found[1])
        if _next_number(present) < _next_number(self._seen):
            _log.warning("store.went_back", seen=self._seen, present=present)  # restored, or another server took over
        self._seen = present
        topics: dict[Topic, None] = {}
        decisions: Sequence[DecisionId] = found[2]
        for decision, user_id, sign_in_id, kind in zip(*found[2:], strict=True):
            if decision not in self._own:
                topics |= dict.fromkeys(topics_of_record(user_id, sign_in_id, kind))
        for decision in decisions:
            self._own.pop(decision, None)
        if topics:
            self._foreign(tuple(topics))


def _next_number(snapshot: str) -> int:
    """The first transaction number that was not given out yet: `xmin:xmax:those under way`."""
    return int(snapshot.split(":")[1])
