"""Deciding: read the snapshots of many users, run their rules, write what they decide if nothing changed meanwhile.

Serialised by compare-and-swap alone. Who lost reads again and has their rule run again, for at most ANSWER_SECONDS. One
decision of a user at a time is on its way from this process; between processes the version decides.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import msgspec

from push_service.hops import Hops
from push_service.model import ids
from push_service.model.decision import Decision, Rule
from push_service.model.errors import Busy, StoreUnavailable, TooManyRequests, UnknownUser
from push_service.model.ids import DecisionId, UserId
from push_service.model.instant import MICROSECONDS, Instant
from push_service.model.throttle import Charge
from push_service.model.user import Snapshot
from push_service.store import joined
from push_service.store.postgres.batching import Batcher
from push_service.store.postgres.connections import ANSWER_SECONDS, MAX_QUEUED, Connections, fetch
from push_service.store.postgres.follower import Follower
from push_service.store.postgres.recent import Read, Recent
from push_service.store.postgres.seldom import is_seldom, write_alone
from push_service.store.postgres.statements import READ, Written
from push_service.store.postgres.trouble import RETRY_SECONDS, TROUBLES, Fate, fate_of, told, unanswered
from push_service.store.rows import Row, Rows

R = TypeVar("R")

LARGEST_BATCH = 64
LANES = 2
_JITTER_MILLISECONDS = 20
_ASK_AGAIN_SECONDS = 0.1
_WRITTEN_SINCE = "SELECT DISTINCT decision FROM audit WHERE xid >= $1::text::xid8 AND decision = ANY($2::text[])"


@dataclass(slots=True)
class _Job:
    """A decision that is asked for, over all its tries."""

    user_id: UserId
    rule: Rule[object]
    charges: Sequence[Charge]
    recent: Read | None
    """What to try first, once, instead of reading."""
    unsure: dict[DecisionId, Decision[object]] = field(default_factory=dict)
    """Tries of which it is not known whether they were written: the statement of one may be running yet."""
    unsure_since: str = ""
    """A transaction number from before the first of them."""
    since: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True)
class _Lost:
    """Somebody else was quicker, or holds the row."""

    version: int


@dataclass(frozen=True, slots=True)
class _Try:
    """One run of a rule that is to be written."""

    job: _Job
    id: DecisionId
    now: Instant
    since: str
    """A transaction number from before it is sent."""
    snapshot: Snapshot
    decision: Decision[object]


_Outcome = Decision[object] | _Lost | Exception


class Decider:
    """All decisions of this process."""

    def __init__(
        self,
        connections: Connections,
        map_: Rows,
        follower: Follower,
        clock: Callable[[], Instant],
        learn: Callable[[Instant], None],
        recent: Recent,
        hops: Hops,
    ) -> None:
        """Write over these connections; `clock` estimates the server's, `learn` hears of it, `recent` was just read."""
        self._connections, self._map, self._follower = connections, map_, follower
        self._clock, self._learn, self._recent, self._hops = clock, learn, recent, hops
        self._batcher: Batcher[_Job, Decision[object] | _Lost] = Batcher(
            self._decide, largest=LARGEST_BATCH, lanes=LANES
        )
        self._turns: dict[UserId, tuple[asyncio.Lock, int]] = {}
        self._outstanding = 0

    @property
    def outstanding(self) -> int:
        """How many decisions are queued or under way."""
        return self._outstanding

    async def close(self) -> None:
        """Finish what was asked for."""
        await self._batcher.close()

    async def decide(self, user_id: UserId, rule: Rule[R], charges: Sequence[Charge]) -> Decision[R]:
        """See ports.Store."""
        if self._outstanding >= MAX_QUEUED:
            raise Busy(retry_after=RETRY_SECONDS)
        self._outstanding += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._turn(user_id):
                return cast(
                    "Decision[R]", await self._until_written(_Job(user_id, rule, charges, self._recent.take(user_id)))
                )
        except TimeoutError:
            raise unanswered() from None
        finally:
            self._outstanding -= 1

    async def _until_written(self, job: _Job) -> Decision[object]:
        seen = None
        while isinstance(outcome := await self._batcher.ask(job), _Lost):
            if outcome.version == seen:
                await asyncio.sleep((1 + secrets.randbelow(_JITTER_MILLISECONDS)) / 1000)
            seen = outcome.version
        return outcome

    @asynccontextmanager
    async def _turn(self, user_id: UserId) -> AsyncIterator[None]:
        """Wait until no other decision of this user is on its way from here: they would only lose to one another."""
        lock, waiting = self._turns.get(user_id) or (asyncio.Lock(), 0)
        self._turns[user_id] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns.pop(user_id)
            if waiting > 1:
                self._turns[user_id] = (lock, waiting - 1)

    async def _decide(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        """One batch: an outcome for each job."""
        outcomes: dict[int, _Outcome | _Try] = {}
        for job in jobs:
            if tried := self._from_recent(job):
                outcomes[id(job)] = tried
        outcomes |= await self._from_rows([job for job in jobs if id(job) not in outcomes])
        tries = [each for each in outcomes.values() if isinstance(each, _Try)]
        ends = {id(each.job): end for each, end in zip(tries, await self._write(tries), strict=True)}
        return [ends.get(id(job)) or cast("_Outcome", outcomes[id(job)]) for job in jobs]

    def _from_recent(self, job: _Job) -> _Try | None:
        """Run the rule on what was just read. What is not going to be written is not believed: None."""
        recent, job.recent = job.recent, None
        if recent is None:
            return None
        # The estimate may be behind the server's clock, but nothing that was read is of the future.
        tried = self._try(job, recent.snapshot, max(recent.at, self._clock()))
        return tried if isinstance(tried, _Try) else None

    async def _from_rows(self, jobs: Sequence[_Job]) -> dict[int, _Outcome | _Try]:
        """Read, and run the rules."""
        if not jobs:
            return {}
        found = await self._connections.use(lambda connection: fetch(connection, READ, [job.user_id for job in jobs]))
        by_user = joined.by_user(found)
        if found:
            self._learn(found[0][joined.SNAPSHOT_WIDTH])
        # Asked after the snapshots were read: what is written by now and not in them fails on the version.
        written = await self._written_after_all(jobs)
        outcomes: dict[int, _Outcome | _Try] = {}
        for job in jobs:
            rows_ = by_user.pop(job.user_id, None)
            outcomes[id(job)] = written.get(id(job)) or (self._try_rows(job, rows_) if rows_ else UnknownUser())
        return outcomes

    def _try_rows(self, job: _Job, found: list[Row]) -> _Try | _Outcome:
        now: Instant = found[0][joined.SNAPSHOT_WIDTH]
        try:
            snapshot = joined.snapshot(self._map, found)
        except Exception as raised:  # noqa: BLE001 - a row that does not open is its user's trouble alone
            return raised
        return self._try(job, snapshot, now)

    def _try(self, job: _Job, snapshot: Snapshot, now: Instant) -> _Try | _Outcome:
        """Run the rule."""
        try:
            decision = job.rule(snapshot, now)
        except Exception as raised:  # noqa: BLE001 - told to whom it belongs; the neighbours go on
            return raised
        if decision.until is not None and now >= decision.until:
            return StoreUnavailable("The decision came too late to be written.", retry_after=RETRY_SECONDS)
        if not decision.changes:
            return decision
        return _Try(job, ids.decision_id(), now, self._follower.over, snapshot, decision)

    async def _write(self, tries: Sequence[_Try]) -> list[_Outcome]:
        """Write together what can be, and alone what can't."""
        together = [each for each in tries if not is_seldom(each.snapshot.user, each.decision)]
        alone = [each for each in tries if is_seldom(each.snapshot.user, each.decision)]
        outcomes = dict(zip((each.id for each in together), await self._write_together(together), strict=True))
        outcomes |= zip((each.id for each in alone), await self._write_each(alone), strict=True)
        return [outcomes[each.id] for each in tries]

    async def _write_together(self, tries: Sequence[_Try]) -> list[_Outcome]:
        if not tries:
            return []
        try:
            written = self._rows_of(*tries)
            statement, arguments = written.statement, written.arguments()
            began = time.perf_counter()
            answered = await self._connections.use(lambda connection: fetch(connection, statement, *arguments))
            self._hops.batch(len(tries), began - tries[0].job.since, time.perf_counter() - began)
        except (*TROUBLES, UnicodeError) as problem:
            if isinstance(problem, UnicodeError) or fate_of(problem) is Fate.GUILTY:
                return await self._write_each(tries)  # so that only the guilty one fails
            return await self._after(problem, tries)
        return self._judged(answered, tries)

    async def _write_each(self, tries: Sequence[_Try]) -> list[_Outcome]:
        return await asyncio.gather(*(self._write_alone(each) for each in tries))

    async def _write_alone(self, tried: _Try) -> _Outcome:
        before, decision = tried.snapshot.user, tried.decision
        try:
            written = self._rows_of(tried)
            began = time.perf_counter()
            answered, besides = await self._connections.use(
                lambda connection: write_alone(connection, self._map, written, before, decision)
            )
            self._hops.batch(1, began - tried.job.since, time.perf_counter() - began)
        except (*TROUBLES, UnicodeError) as problem:
            return (await self._after(problem, [tried]))[0]
        if besides:
            decision = msgspec.structs.replace(decision, audit=(*decision.audit, *besides))
            tried = replace(tried, decision=decision)
        return self._judged(answered, [tried])[0]

    def _rows_of(self, *tries: _Try) -> Written:
        written = Written()
        for each in tries:
            written.add(self._map, each.id, each.now, each.snapshot.user, each.decision)
            written.charge(each.job.user_id, each.job.charges)
        self._follower.own(each.id for each in tries)
        return written

    def _judged(self, answered: Sequence[Row], tries: Sequence[_Try]) -> list[_Outcome]:
        """By what the statement answered."""
        waits: dict[str, int | None] = {row[0]: row[1] for row in answered}
        return [self._judge(each, waits) for each in tries]

    def _judge(self, tried: _Try, waits: dict[str, int | None]) -> _Outcome:
        user = tried.snapshot.user
        if user.id in waits and waits[user.id] is None:
            return tried.decision
        self._follower.disown(tried.id)
        wait = waits.get(user.id)
        return _Lost(user.version) if wait is None else TooManyRequests(retry_after=wait / MICROSECONDS)

    async def _after(self, problem: Exception, tries: Sequence[_Try]) -> list[_Outcome]:
        """What is to be told, or done, after a write met with trouble."""
        match fate_of(problem):
            case Fate.UNKNOWN:
                return await self._ask_what_became_of(tries)
            case Fate.CONFLICT:
                return [_Lost(each.snapshot.user.version) for each in tries]
            case Fate.REFUSED | Fate.GUILTY | Fate.UNANSWERED:
                self._hops.store_failed(len(tries))
                return [told(problem) for _ in tries]

    async def _ask_what_became_of(self, tries: Sequence[_Try]) -> list[_Outcome]:
        """After the connection was lost: what is in the audit was written, what is not is tried again.

        Its statement may be running yet, so each next try asks again (`_written_after_all`).
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + ANSWER_SECONDS
        while True:
            try:
                written = await self._in_audit(tries[0].since, [each.id for each in tries])
            except TROUBLES as problem:
                if loop.time() > end:
                    return [told(problem) for _ in tries]
                await asyncio.sleep(_ASK_AGAIN_SECONDS)
            else:
                return [each.decision if each.id in written else self._recall(each) for each in tries]

    def _recall(self, tried: _Try) -> _Outcome:
        if not tried.decision.audit:
            said = "The connection to the store was lost while writing: ask again what is so."
            return StoreUnavailable(said, retry_after=RETRY_SECONDS)
        job = tried.job
        job.unsure[tried.id] = tried.decision
        job.unsure_since = job.unsure_since or tried.since
        return _Lost(tried.snapshot.user.version)

    async def _written_after_all(self, jobs: Sequence[_Job]) -> dict[int, Decision[object]]:
        """Those of earlier tries that did get written, by job."""
        found: dict[int, Decision[object]] = {}
        for job in jobs:
            if job.unsure:
                for each in await self._in_audit(job.unsure_since, list(job.unsure)):
                    found[id(job)] = job.unsure[each]
        return found

    async def _in_audit(self, since: str, decisions: Sequence[DecisionId]) -> set[DecisionId]:
        rows_ = await self._connections.use(lambda connection: fetch(connection, _WRITTEN_SINCE, since, decisions))
        return {row[0] for row in rows_}
