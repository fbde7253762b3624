"""The waker on a store of its own, with the bridge to the stub's Firebase: how much it takes on, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mobile_stub.firebase_faults import Fault, FaultKind
from mobile_stub.world import World, world
from push_service.bus.local import LocalBus
from push_service.crypto.sealing import Sealer
from push_service.decisions import Decisions
from push_service.delivery.firebase.client import FirebaseMessenger
from push_service.delivery.firebase.settings import FirebaseOptions
from push_service.delivery.verdicts import Verdicts
from push_service.delivery.waker import Limits, Waker
from push_service.model.challenge import DeliveryState
from push_service.model.view import Seen
from push_service.ports import Topic, WakeReport
from push_service.store.sqlite import SqliteStore
from tests.contracts.making import Person, answer, beginning, enrol

PATIENCE_SECONDS = 30.0


@dataclass
class Setting:
    """A waker that runs, and everything around it."""

    google: World
    store: SqliteStore
    bus: LocalBus
    decisions: Decisions
    waker: Waker
    told: Counter[str]

    async def person(self, name: str) -> Person:
        """Someone whose phone Firebase knows."""
        person = await enrol(self.store, name)
        self.google.firebase.attach(person.phone.push_token or "", _nothing)
        return person

    async def asks(self, person: Person) -> Seen:
        """A sign-in that was begun, through what hands prompts to the waker."""
        return await self.decisions.decide(person.id, beginning(await self.store.now()))

    async def until(self, seen: Seen, wanted: DeliveryState) -> None:
        """Wait until the browser is told this."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.bus.listen(Topic.sign_in(seen.sign_in.id)) as listener:
            while True:
                watched = await self.store.watch(seen.sign_in.id)
                assert watched is not None
                if watched.delivery is wanted:
                    return
                await listener.heard(1.0)


async def _nothing(_: object) -> None:
    """A phone that is woken and lies still."""


@asynccontextmanager
async def setting(folder: Path, *, concurrency: int = 64, waiting: int = 1000) -> AsyncIterator[Setting]:
    told: Counter[str] = Counter()

    def hear(_: object, report: WakeReport, __: float) -> None:
        told[report.code] += 1

    async with AsyncExitStack() as stack:
        google = await stack.enter_async_context(world())
        sealer, bus = Sealer(bytes(32)), LocalBus()
        store = await stack.enter_async_context(SqliteStore(folder / "data.db", sealer))
        options = FirebaseOptions(credentials=google.credentials, base_url=google.url, concurrency=concurrency)
        messenger = await stack.enter_async_context(FirebaseMessenger(options))
        waker = Waker(
            store,
            bus,
            messenger,
            Verdicts(store, lambda _: None),
            limits=Limits(concurrency, waiting, 3.0),
            keyed_hash=sealer.mac,
            told=hear,
        )
        decisions = Decisions(store, bus)
        decisions.deliver_by(waker)
        running = asyncio.create_task(waker.run())
        try:
            yield Setting(google, store, bus, decisions, waker, told)
        finally:
            waker.drain()
            await running
            await waker.close()


@pytest.mark.reliability("R-09")
async def test_what_is_more_than_it_takes_on_waits_in_the_store_and_is_sent_in_its_turn(tmp_path: Path) -> None:
    async with setting(tmp_path, concurrency=1, waiting=1) as here:
        here.google.firebase.faults.add(Fault(kind=FaultKind.LATE, late=0.3))
        people = [await here.person(f"person{n}") for n in range(5)]
        begun = [await here.asks(person) for person in people]
        for seen in begun:
            await here.until(seen, DeliveryState.SENT)
        assert here.told["queue_full"] >= 3
        assert sorted(each.message.to for each in here.google.firebase.received) == sorted(
            person.phone.push_token or "" for person in people
        )


@pytest.mark.reliability("R-10")
async def test_what_ends_while_it_waits_for_its_turn_is_not_sent(tmp_path: Path) -> None:
    async with setting(tmp_path, concurrency=1, waiting=10) as here:
        here.google.firebase.faults.add(Fault(kind=FaultKind.LATE, late=0.5, times=1))
        alice, bob, carol = [await here.person(name) for name in ("alice", "bob", "carol")]
        first, ended, last = [await here.asks(person) for person in (alice, bob, carol)]
        await answer(here.store, bob, ended)
        for seen in (first, last):
            await here.until(seen, DeliveryState.SENT)
        sent = {each.message.to for each in here.google.firebase.received}
        assert sent == {alice.phone.push_token, carol.phone.push_token}


@pytest.mark.reliability("R-10", "R-15")
async def test_drained_it_finishes_what_is_being_sent_and_gives_the_rest_back(tmp_path: Path) -> None:
    async with setting(tmp_path, concurrency=1, waiting=10) as here:
        here.google.firebase.faults.add(Fault(kind=FaultKind.LATE, late=0.5))
        people = [await here.person(f"person{n}") for n in range(4)]
        first = await here.asks(people[0])
        async with asyncio.timeout(PATIENCE_SECONDS):
            await here.google.firebase.receives(1)
        for person in people[1:3]:
            await here.asks(person)
        here.waker.drain()
        await here.asks(people[3])  # put by a request that was under way
        await here.waker.close()
        assert here.waker.held == 0
        await here.until(first, DeliveryState.SENT)
        assert len(here.google.firebase.received) == 1
        taken: set[str] = set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(taken) < 3:
                taken |= {each.user_id for each in await here.store.take_due(10, 10)}
                await asyncio.sleep(0.05)
        assert taken == {person.id for person in people[1:]}


async def test_who_listens_and_acknowledges_is_left_alone(tmp_path: Path) -> None:
    async with setting(tmp_path) as here:
        alice, bob = await here.person("alice"), await here.person("bob")
        async with here.bus.attach(Topic.user(alice.id), lambda: None):
            seen = await here.asks(alice)
            assert seen.challenge is not None
            await here.store.acknowledge([(seen.challenge.id, alice.phone.id)])
            async with here.bus.attach(Topic.user(bob.id), lambda: None):
                # Bob's phone listens as well, and says nothing: his turn comes after Alice's.
                await here.until(await here.asks(bob), DeliveryState.SENT)
        assert [each.message.to for each in here.google.firebase.received] == [bob.phone.push_token]


async def test_a_store_that_is_away_loses_nothing(tmp_path: Path) -> None:
    async with setting(tmp_path) as here:
        alice = await here.person("alice")
        async with here.bus.attach(Topic.user(alice.id), lambda: None):
            seen = await here.asks(alice)
            with contextlib.closing(sqlite3.connect(tmp_path / "data.db", isolation_level=None)) as beside:
                beside.execute("BEGIN IMMEDIATE")  # nobody else writes
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while here.waker.held:  # noqa: ASYNC110 - nothing rings when it has given up
                        await asyncio.sleep(0.05)
                assert len(here.google.firebase.received) == 0
                beside.execute("ROLLBACK")
            await here.until(seen, DeliveryState.SENT)
