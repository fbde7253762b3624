"""Tidying up: what time ended is written down and what nobody can ask for goes, whatever else happens."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from push_service import housekeeping as housekeeping_module
from push_service.bus.local import LocalBus
from push_service.decisions import Decisions
from push_service.housekeeping import Housekeeping
from push_service.model.ids import DeviceId, UserId
from push_service.model.instant import after
from push_service.model.rules.administration import remove_user
from push_service.model.rules.answer import reached
from push_service.model.sign_in import SignInState
from push_service.ports import Store, Topic
from push_service.store.sqlite import SqliteStore
from tests.contracts.kinds import SqliteStores
from tests.contracts.making import begin, enrol, look

SOON = 30.0


@pytest.fixture
def stores(tmp_path: Path) -> SqliteStores:
    return SqliteStores(tmp_path)


@pytest.fixture
async def store(stores: SqliteStores) -> AsyncIterator[Store]:
    async with stores.open() as opened:
        yield opened


@asynccontextmanager
async def running(housekeeping: Housekeeping, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Task[None]]:
    """In a hurry."""
    monkeypatch.setattr(housekeeping_module, "EXPIRE_SECONDS", 0.01)
    monkeypatch.setattr(housekeeping_module, "SWEEP_EVERY", 2)
    task = asyncio.create_task(housekeeping.run())
    yield task
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def states(stores: SqliteStores) -> dict[str, str]:
    """As written, not as derived from the time."""
    with closing(sqlite3.connect(stores.path)) as connection:
        return dict(connection.execute("SELECT id, state FROM sign_ins"))


@pytest.mark.reliability("R-22")
async def test_expiries_are_written_down_once_recorded_and_rung(stores: SqliteStores, store: Store) -> None:
    bus = LocalBus()
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    late = [await begin(store, alice), await begin(store, alice), await begin(store, bob)]
    live = await begin(store, bob, seconds=600)
    stores.clock.advance(120)
    housekeeping = Housekeeping(store, Decisions(store, bus))
    async with bus.listen(Topic.sign_in(late[0].sign_in.id)) as listener:
        assert await housekeeping.expire() == 2
        assert await listener.heard(SOON) < SOON
    assert await housekeeping.expire() == 0
    assert states(stores) == {
        **{each.sign_in.id: "expired" for each in late},
        live.sign_in.id: "pending",
    }
    assert [each.code for each in stores.audit() if each.kind == "sign_in.outcome"] == ["expired"] * 3


async def test_nothing_depends_on_it(stores: SqliteStores, store: Store) -> None:
    """Whoever reads after the deadline sees the expiry; whoever decides next writes it down."""
    alice = await enrol(store)
    seen = await begin(store, alice)
    stores.clock.advance(120)
    stored = await look(store, seen.sign_in.id)
    assert stored.state is SignInState.PENDING
    assert reached(stored, await store.now()) is SignInState.EXPIRED
    await begin(store, alice)
    assert states(stores)[seen.sign_in.id] == "expired"


async def test_two_at_once_record_each_expiry_once(stores: SqliteStores, store: Store) -> None:
    people = [await enrol(store, f"person{n}") for n in range(10)]
    for person in people:
        await begin(store, person)
    stores.clock.advance(120)
    async with stores.open() as beside:
        both = [Housekeeping(each, Decisions(each, LocalBus())) for each in (store, beside)]
        await asyncio.gather(*(each.expire() for each in both * 3))
    assert [each.code for each in stores.audit() if each.kind == "sign_in.outcome"] == ["expired"] * 10


async def test_whoever_is_removed_in_between_stops_nothing(stores: SqliteStores, store: Store) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    for person in (alice, bob):
        await begin(store, person)
    stores.clock.advance(120)
    decisions = Decisions(store, LocalBus())

    class Meanwhile(SqliteStore):
        """Reads who is overdue a moment before alice is removed."""

        async def overdue(self, limit: int) -> list[UserId]:
            found = await super().overdue(limit)
            await decisions.decide(alice.id, remove_user)
            return sorted(found, key=lambda each: each != alice.id)

    async with Meanwhile(stores.path, stores.sealer, clock=stores.clock) as beside:
        await Housekeeping(beside, Decisions(beside, LocalBus())).expire()
    assert set(states(stores).values()) == {"expired"}
    assert [each.kind for each in stores.audit() if each.user_id == alice.id][-1] == "user.removed"


async def test_one_row_that_does_not_open_stops_nobody_elses(stores: SqliteStores, store: Store) -> None:
    people = [await enrol(store, f"person{n}") for n in range(5)]
    begun = [await begin(store, person) for person in people]
    stores.clock.advance(120)
    with closing(sqlite3.connect(stores.path)) as connection, connection:
        connection.execute("UPDATE challenges SET secret = zeroblob(40) WHERE sign_in_id = ?", (begun[2].sign_in.id,))
    await Housekeeping(store, Decisions(store, LocalBus())).expire()
    written = states(stores)
    assert [written[each.sign_in.id] for each in begun] == ["expired", "expired", "pending", "expired", "expired"]


@pytest.mark.reliability("R-24")
async def test_it_goes_on_after_trouble_with_the_store(
    stores: SqliteStores, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = LocalBus()
    alice = await enrol(store)
    seen = await begin(store, alice)
    stores.clock.advance(120)
    until = after(await store.now(), 60)
    await store.spend_proof(DeviceId("dev_1"), "jti", until)
    refused, swept = asyncio.Event(), asyncio.Event()

    class Observed(SqliteStore):
        """Says when it could not be read, and when something was swept away."""

        async def overdue(self, limit: int) -> list[UserId]:
            try:
                return await super().overdue(limit)
            except Exception:
                refused.set()
                raise

        async def sweep(self) -> int:
            gone = await super().sweep()
            if gone:
                swept.set()
            return gone

    async with (
        Observed(stores.path, stores.sealer, clock=stores.clock) as beside,
        bus.listen(Topic.sign_in(seen.sign_in.id)) as listener,
    ):
        with closing(sqlite3.connect(stores.path)) as other:
            other.execute("ALTER TABLE sign_ins RENAME TO away")
            housekeeping = Housekeeping(beside, Decisions(beside, bus))
            async with running(housekeeping, monkeypatch) as task, asyncio.timeout(SOON):
                await refused.wait()
                assert not task.done()
                other.execute("ALTER TABLE away RENAME TO sign_ins")
                assert await listener.heard(SOON) < SOON
                stores.clock.advance(61)
                await swept.wait()
                assert await store.spend_proof(DeviceId("dev_1"), "jti", until)
    assert states(stores)[seen.sign_in.id] == "expired"
