"""The service with one deliberate break each, to show that the stories bite: a checker that never failed proves little.

`python -m tests.soak.mutants NAME serve` is the server with that break; `Mutant` starts it in place of the real one.

| break | who must notice |
|---|---|
| tell-before-commit: callers hear of an outcome while its transaction is still open | kills |
| compare-outside: the rule is run on what was read before the transaction began | races |
| expiry-by-sweeper: a sign-in's time is over only once the sweeper has written that down, and nothing sweeps | expiry |
| deaf-store: the store doesn't hear what other processes commit, like one on another machine (this one must break \
nothing where a bus carries the bell) | tests/reliability/test_lost_bus.py |
| write-blindly: PostgreSQL takes a decision whatever was decided since its snapshot was read, by others too | chaos |
| bell-once: what was missed is not rung again when the bus is back, and browsers don't look by themselves | chaos |
| send-unmarked: a text is not marked as begun before the provider is called | texts |
| bell-lost: nothing ever rings (this one must *not* break anything but speed: the bell is only a hint) | hints |
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from push_service import verifier, waits
from push_service.__main__ import main
from push_service.bus.local import LocalBus
from push_service.bus.redis.bus import RedisBus
from push_service.bus.redis.node import Node
from push_service.bus.redis.wire import Channel, topic_of
from push_service.hops import Hops
from push_service.housekeeping import Housekeeping
from push_service.model.decision import Decision, Rule
from push_service.model.ids import UserId
from push_service.model.instant import Instant
from push_service.model.sign_in import SignIn
from push_service.model.throttle import Charge
from push_service.ports import Committed, Topic
from push_service.store import messages
from push_service.store.postgres import statements
from push_service.store.postgres.store import PostgresStore
from push_service.store.sqlite import commands
from push_service.store.sqlite.store import SqliteStore
from push_service.store.sqlite.writer import Clock, Writer, _Job
from tests.support.service import Service


class Mutant(Service):
    """A server with a break."""

    def __init__(self, name: str, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        self.program = (sys.executable, "-m", "tests.soak.mutants", name, "serve")


def replace(owner: object, name: str, by: object) -> None:
    """Put something else in the place of a part, for as long as the process lives."""
    mock.patch.object(owner, name, by).start()


def tell_before_commit() -> None:
    """Callers hear of an outcome while its transaction is still open, which stays so a little longer.

    Everything else is committed as it should be, or nobody would be asked at all.
    """
    commit = Writer._commit
    newest = 0

    def early(self: Writer) -> None:
        nonlocal newest
        query = "SELECT coalesce(max(seq), 0) FROM audit WHERE kind = 'sign_in.outcome'"
        (latest,) = self._connection.execute(query).fetchone()
        if latest > newest:
            newest = latest
            self._loop.call_soon_threadsafe(_tell, tuple(self._batch))
            time.sleep(0.02)
        commit(self)

    replace(Writer, "_commit", early)


def _tell(batch: Sequence[_Job[object]]) -> None:
    for job in batch:
        job.tell()


def compare_outside() -> None:
    """The rule is run on what was read before the transaction began, and is not run again."""

    async def decide(
        self: Any,  # noqa: ANN401 - the store, with what it keeps to itself
        user_id: UserId,
        rule: Rule[Any],
        charges: Sequence[Charge] = (),
    ) -> tuple[Decision[Any], Committed]:
        decision = rule(commands.read_snapshot(self._reader, self._map, user_id), await self.now())
        await asyncio.sleep(0.005)
        return await self._writer.submit(
            lambda connection, now: commands.decide(
                connection, now, self._map, user_id, lambda _snapshot, _now: decision, charges
            )
        )

    replace(SqliteStore, "decide", decide)


def no_sweeper() -> None:
    """Nothing writes down what time has ended. Not a break: nothing may depend on it."""

    async def run(_: Housekeeping) -> None:
        await asyncio.Event().wait()

    replace(Housekeeping, "run", run)


def expiry_by_sweeper() -> None:
    """A sign-in's time is over only once the sweeper has written that down, and nothing sweeps."""
    no_sweeper()

    def still_open(self: SignIn, _: Instant) -> bool:
        return self.live

    replace(SignIn, "open_at", still_open)
    replace(verifier, "as_of", lambda seen, _: seen)


def bell_lost() -> None:
    """Nothing ever rings."""

    def silence(_: LocalBus, __: object) -> None:
        pass

    replace(LocalBus, "ring_now", silence)


def deaf_store() -> None:
    """Each store hears of its own commits alone, so that nothing but the bus tells of those of other processes."""
    begin = Writer.__init__

    def deaf(self: Writer, path: Path, clock: Clock, _: object, hops: Hops | None = None) -> None:
        begin(self, path, clock, lambda _: None, hops)

    replace(Writer, "__init__", deaf)


def write_blindly() -> None:
    """PostgreSQL takes a decision whatever was decided since its snapshot was read."""
    careful = statements.write

    def blind(groups: tuple[str, ...]) -> str:
        statement = careful(groups)
        for condition in (
            "WHERE u.version = t.version FOR NO KEY UPDATE OF u SKIP LOCKED",
            "AND u.version = due.version",
        ):
            assert condition in statement, "the condition is written otherwise now"
            statement = statement.replace(condition, "")
        return statement

    replace(statements, "write", blind)


def send_unmarked() -> None:
    """A text or call is leased, and not marked as begun, before the provider is called: another sends it once more."""
    assert "begun = 1, " in messages.BEGIN, "the statement is written otherwise now"
    replace(messages, "BEGIN", messages.BEGIN.replace("begun = 1, ", ""))


def bell_once() -> None:
    """What browsers missed is not rung again when the bus is back, and nothing else makes them look.

    Phones hear as ever, or nobody would be asked at all.
    """
    ring, begin, ring_there, lost = LocalBus.ring_now, PostgresStore.__init__, Node.ring, Node._lost

    def ring_phones(self: RedisBus) -> None:
        ring(self._local, [topic for topic in self._local.topics if topic.subject != "sign_in"])

    async def stand_in(self: RedisBus) -> None:
        while True:
            await self._troubled.wait()
            ring_phones(self)
            await asyncio.sleep(1)

    def forgetful(self: Node, why: str) -> None:
        lost(self, why)
        self.outbox = {channel: None for channel in self.outbox if topic_of(channel).subject != "sign_in"}

    def ring_if_heard(self: Node, channel: Channel) -> None:
        if self._link is not None or topic_of(channel).subject != "sign_in":
            ring_there(self, channel)

    def deaf(self: PostgresStore, *rest: Any, foreign: Callable[[Sequence[Topic]], None], **more: Any) -> None:  # noqa: ANN401
        begin(
            self, *rest, foreign=lambda topics: foreign([each for each in topics if each.subject != "sign_in"]), **more
        )

    def drain(self: waits.Waits) -> None:
        self.draining = True
        bus: Any = self._bus
        bus._local.ring_all()

    replace(RedisBus, "ring_all", ring_phones)
    replace(RedisBus, "_stand_in", stand_in)
    replace(Node, "_lost", forgetful)
    replace(Node, "ring", ring_if_heard)
    replace(PostgresStore, "__init__", deaf)
    replace(waits, "REREAD_SECONDS", 3600.0)
    replace(waits.Waits, "drain", drain)


MUTATIONS = {
    "write-blindly": write_blindly,
    "bell-once": bell_once,
    "send-unmarked": send_unmarked,
    "deaf-store": deaf_store,
    "tell-before-commit": tell_before_commit,
    "compare-outside": compare_outside,
    "no-sweeper": no_sweeper,
    "expiry-by-sweeper": expiry_by_sweeper,
    "bell-lost": bell_lost,
}

if __name__ == "__main__":
    MUTATIONS[sys.argv.pop(1)]()
    main()
