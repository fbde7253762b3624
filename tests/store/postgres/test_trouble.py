"""A server that is gone, stands still, turns read-only, is full or cuts connections: refused at once, and it heals."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from push_service.model import ids
from push_service.model.errors import Busy, NameTaken, StoreUnavailable
from push_service.model.ids import DeviceId, SignInId
from push_service.model.sign_in import SignInState
from push_service.model.throttle import Charge
from push_service.store.postgres import PostgresStore, decider
from push_service.store.postgres.schema import migrate
from tests.contracts.kinds import PostgresStores
from tests.contracts.making import (
    BY_OPERATOR,
    Person,
    answer,
    begin,
    enrol,
    look,
    writing,
)
from tests.store.postgres.eventually import SOON, eventually
from tests.support.postgres import PostgresServer


def uses(store: PostgresStore, person: Person, sign_in_id: SignInId) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "decide": lambda: store.decide(person.id, writing()),
        "decide seldom": lambda: store.decide(person.id, writing(user=person.user, removed_devices=(ids.device_id(),))),
        "debit": lambda: store.debit([Charge("key", cost=1, burst=1)]),
        "record": lambda: store.record([BY_OPERATOR]),
        "spend_proof": lambda: store.spend_proof(DeviceId("dev_1"), ids.user_id(), person.user.guard.muted_until),
        "acknowledge": lambda: store.acknowledge([(ids.challenge_id(), person.phone.id)]),
        "sweep": store.sweep,
        "check": store.check,
        "watch": lambda: store.watch(sign_in_id),
        "asked": lambda: store.asked(person.id),
        "user": lambda: store.user(person.id),
        "users": store.users,
        "overdue": lambda: store.overdue(1),
    }


CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
READS = ("watch", "asked", "user", "users", "overdue")


async def works_again(store: PostgresStore, person: Person) -> None:
    """Within the time that anybody would wait, and from then on every time."""
    async with asyncio.timeout(SOON):
        while True:
            try:
                await store.check()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                break
        for _ in range(20):
            seen = await begin(store, person)
            await answer(store, person, seen)
            assert (await look(store, seen.sign_in.id)).state is SignInState.APPROVED
    assert store.queued == 0


async def all_refuse(store: PostgresStore, person: Person, sign_in_id: SignInId, *, except_reads: bool = False) -> None:
    for name, use in uses(store, person, sign_in_id).items():
        if except_reads and name in READS:
            await use()
            continue
        with pytest.raises(StoreUnavailable) as refused:
            await use()
        assert refused.value.retry_after is not None, name


def idle_in_transaction(stores: PostgresStores) -> int:
    found = stores.beside.rows("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
    return int(found[0][0])


@pytest.mark.reliability("R-24")
async def test_a_server_that_is_gone_refuses_and_is_used_again_when_it_is_back(
    stores: PostgresStores, store: PostgresStore
) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    await asyncio.to_thread(stores.server.crash)
    try:
        async with asyncio.timeout(SOON):
            await all_refuse(store, alice, seen.sign_in.id)
            with pytest.raises(StoreUnavailable) as refused:
                await store.check()
            assert str(stores.server.port) not in refused.value.detail  # a stranger may read it
            with pytest.raises(StoreUnavailable, match=str(stores.server.port)):  # whoever starts the service needs it
                await migrate(stores.url)
    finally:
        await asyncio.to_thread(stores.server.start)
    assert (await look(store, seen.sign_in.id)).state is SignInState.PENDING
    await answer(store, alice, seen)
    await works_again(store, alice)


@pytest.mark.reliability("R-24")
async def test_a_server_that_stands_still_refuses_and_is_used_again_when_it_goes_on(
    stores: PostgresStores, store: PostgresStore
) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    with stores.server.paused():
        async with asyncio.timeout(SOON):
            told = await asyncio.gather(
                *(use() for use in uses(store, alice, seen.sign_in.id).values()), return_exceptions=True
            )
            assert {type(each) for each in told} == {StoreUnavailable}
            with pytest.raises(StoreUnavailable):  # no connection, and none to be had
                await store.user(alice.id)
    await works_again(store, alice)


@pytest.mark.reliability("R-24", "R-25")
async def test_when_every_connection_is_cut_again_and_again_nothing_is_half_done(
    stores: PostgresStores, store: PostgresStore
) -> None:
    people = [await enrol(store, f"person{n}") for n in range(20)]
    approved: list[SignInId] = []
    cut = True

    async def live(person: Person) -> None:
        while cut:
            try:
                seen = await begin(store, person)
                await answer(store, person, seen)
            except (StoreUnavailable, AssertionError):  # refused, or begun without being told: too many wait
                await asyncio.sleep(0.01)
            else:
                approved.append(seen.sign_in.id)

    async with asyncio.timeout(SOON):
        living = [asyncio.create_task(live(person)) for person in people]
        for _ in range(5):
            await asyncio.sleep(0.1)
            stores.beside.rows(CUT)
        cut = False
        await asyncio.gather(*living)
    await works_again(store, await enrolled_later(store))
    for sign_in_id in approved:
        assert (await look(store, sign_in_id)).state is SignInState.APPROVED
    outcomes = [each.sign_in_id for each in stores.audit() if each.kind == "sign_in.outcome"]
    assert len(outcomes) == len(set(outcomes))
    assert set(approved) <= set(outcomes)
    assert idle_in_transaction(stores) == 0


async def enrolled_later(store: PostgresStore) -> Person:
    """Somebody new, once the connections that were cut are all found out."""
    async with asyncio.timeout(SOON):
        while True:
            with contextlib.suppress(StoreUnavailable, NameTaken):
                return await enrol(store, f"later{secrets.token_hex(4)}")
            await asyncio.sleep(0.05)


@pytest.mark.reliability("R-24")
async def test_a_server_that_turned_read_only_still_reads_and_says_why_it_does_not_write(
    stores: PostgresStores, store: PostgresStore
) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    stores.beside.execute("SET default_transaction_read_only = off")
    stores.server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    stores.server.execute("SELECT pg_reload_conf()")
    try:
        async with asyncio.timeout(SOON):
            await eventually(lambda: stores.server.ask("SHOW default_transaction_read_only") == "on")
            await all_refuse(store, alice, seen.sign_in.id, except_reads=True)
            with pytest.raises(StoreUnavailable, match="read-only"):
                await store.check()
    finally:
        stores.server.execute("ALTER SYSTEM RESET ALL")
        stores.server.execute("SELECT pg_reload_conf()")
    await works_again(store, alice)


@asynccontextmanager
async def all_connections_taken(stores: PostgresStores) -> AsyncIterator[None]:
    """By others, and those of the store are cut."""
    async with AsyncExitStack() as stack:
        while stores.beside.rows(CUT):  # those that it has made again meanwhile, too
            try:
                while True:
                    connection = await asyncpg.connect(stores.server.url())
                    stack.push_async_callback(connection.close)
            except asyncpg.TooManyConnectionsError:
                await asyncio.sleep(0.02)
        yield


@pytest.mark.reliability("R-24")
async def test_a_server_without_a_free_connection_refuses_and_is_used_again_when_there_is_one(
    stores: PostgresStores, store: PostgresStore
) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    async with asyncio.timeout(SOON), all_connections_taken(stores):
        await all_refuse(store, alice, seen.sign_in.id)
    await works_again(store, alice)


@pytest.mark.reliability("R-24")
async def test_a_locked_table_refuses_what_needs_it_and_lets_the_rest_pass(
    stores: PostgresStores, store: PostgresStore
) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    connection = await asyncpg.connect(stores.url)
    try:
        async with asyncio.timeout(SOON), connection.transaction():
            await connection.execute("LOCK TABLE sign_ins")
            for refused in (store.watch(seen.sign_in.id), store.decide(alice.id, writing())):
                with pytest.raises(StoreUnavailable):
                    await refused
            await store.record([BY_OPERATOR])
            assert await store.user(alice.id) is not None
    finally:
        await connection.close()
    await works_again(store, alice)


@pytest.mark.reliability("R-24")
async def test_a_table_that_can_not_grow_refuses_and_heals_when_there_is_room_again(small: PostgresStores) -> None:
    async with small.open() as store, asyncio.timeout(SOON):
        assert isinstance(store, PostgresStore)
        alice = await enrol(store)
        fill(small, 7000, 1900)
        with contextlib.suppress(asyncpg.PostgresError):
            while True:  # to the brim
                fill(small, 1000, 10)
        with pytest.raises(StoreUnavailable):
            await store.decide(alice.id, writing(audit=(BY_OPERATOR,) * 500))
        with pytest.raises(StoreUnavailable):
            await store.record([BY_OPERATOR] * 500)
        assert await store.user(alice.id) == alice.user
        small.beside.execute("DELETE FROM audit WHERE decision = 'dcn_filling'")
        await eventually(lambda: emptied(small))
        await works_again(store, alice)


def emptied(stores: PostgresStores) -> bool:
    """Whether the room of what was deleted is free: not while anybody may still see it."""
    stores.beside.execute("VACUUM audit")
    return bool(stores.beside.rows("SELECT pg_relation_size('audit') < 1024 * 1024")[0][0])


def fill(stores: PostgresStores, rows: int, size: int) -> None:
    stores.beside.execute(
        "INSERT INTO audit (decision, n, at, actor, kind, data) SELECT 'dcn_filling', n, 0, 'time', 'user.changed',"  # noqa: S608 - numbers
        f" repeat('x', {size}) FROM generate_series(1, {rows}) AS n"
    )


@pytest.fixture
def small() -> Iterator[PostgresStores]:
    """On a server of its own, whose files can't grow beyond the size of a file of its log."""
    server = PostgresServer(largest_file=16 * 1024 * 1024)
    try:
        server.start()
        opened = PostgresStores(server)
        yield opened
        opened.close()
    finally:
        server.close()


@pytest.mark.reliability("R-25")
async def test_callers_that_leave_shrink_no_pool_and_leave_no_transaction_open(
    stores: PostgresStores, store: PostgresStore
) -> None:
    alice = await enrol(store, phones=3)
    seen = await begin(store, alice)
    for round_ in range(10):
        leaving = [asyncio.create_task(_waited(use)) for use in uses(store, alice, seen.sign_in.id).values()]
        for _ in range(round_ % 4):
            await asyncio.sleep(0)
        await asyncio.sleep(0.002 * (round_ // 4))
        for each in leaving:
            each.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
    await eventually(lambda: not store.queued)  # what was sent goes on without its caller
    await store.check()
    assert idle_in_transaction(stores) == 0
    # What was read goes on without its caller, too, and `queued` tells of writes alone.
    await eventually(lambda: all(pool._free._value == pool.size for pool in (store._reads, store._writes)))
    await works_again(store, alice)


async def _waited(use: Callable[[], Awaitable[object]]) -> None:
    await use()


@pytest.mark.reliability("R-23")
async def test_a_full_queue_refuses_at_once_and_empties(
    stores: PostgresStores, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider, "MAX_QUEUED", 5)
    people = [await enrol(store, f"person{n}") for n in range(6)]
    queued = [asyncio.create_task(store.decide(person.id, writing())) for person in people[:5]]
    await asyncio.sleep(0)
    assert store.queued == 5
    with pytest.raises(Busy) as refused:
        await store.decide(people[5].id, writing())
    assert refused.value.retry_after is not None
    async with asyncio.timeout(SOON):
        await asyncio.gather(*queued)
    await store.decide(people[5].id, writing())
    assert store.queued == 0
    assert stores.audit()
