"""The server's clock as it is seen from here: never ahead of it, and known without asking."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from push_service.crypto.sealing import Sealer
from push_service.model.errors import StoreUnavailable
from push_service.model.instant import Instant
from push_service.store.postgres import PostgresStore
from push_service.store.postgres.clock import ServerClock
from tests.contracts.making import answer, begin, enrol, look
from tests.support.postgres import Beside, PostgresServer


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """A database in which time passes."""
    name = postgres_server.create(postgres_server.migrated)
    yield name
    postgres_server.drop(name)


def server_clock(beside: Beside) -> int:
    return int(beside.rows("SELECT service_now()")[0][0])


@pytest.mark.reliability("R-18")
async def test_the_estimate_is_never_ahead_of_the_server(postgres_server: PostgresServer, database: str) -> None:
    beside = postgres_server.beside(database)
    async with PostgresStore(postgres_server.url(database), Sealer(bytes(32))) as store:
        alice = await enrol(store)
        last = Instant(0)
        for _ in range(50):
            now = await store.now()
            assert last <= now <= server_clock(beside)
            last = now
        seen = await begin(store, alice)
        await answer(store, alice, seen)
        decided = (await look(store, seen.sign_in.id)).decided_at
        assert decided is not None
        assert last <= decided <= server_clock(beside)
    beside.close()


@pytest.mark.reliability("R-18")
async def test_it_goes_on_for_a_while_without_the_server_and_then_is_not_known(
    postgres_server: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PostgresStore(postgres_server.url(database), Sealer(bytes(32))) as store:
        before = await store.now()
        await asyncio.to_thread(postgres_server.crash)
        try:
            assert await store.now() >= before
            monkeypatch.setattr(ServerClock, "stale", True)
            with pytest.raises(StoreUnavailable):
                await store.now()
        finally:
            await asyncio.to_thread(postgres_server.start)


def test_the_quickest_answer_counts_and_a_clock_that_was_set_back_is_believed_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = 1_000_000_000
    monkeypatch.setattr("push_service.store.postgres.clock._here", lambda: here)
    clock = ServerClock()
    knows = [not clock.stale]
    clock.learn(Instant(5_000_000_000))
    here += 1_000_000
    clock.learn(Instant(5_000_900_000))  # an answer that took its time says less
    assert clock() == 5_001_000_000
    clock.learn(Instant(5_001_200_000))
    assert clock() == 5_001_200_000
    here += 11_000_000
    clock.learn(Instant(5_012_100_000))  # a little slower than thought: it waits for the server
    assert clock() == 5_012_100_000
    here += 11_000_000
    clock.learn(Instant(2_000_000_000))
    assert clock() == 2_000_000_000
    knows.append(not clock.stale)
    here += 21_000_000
    knows.append(not clock.stale)
    assert knows == [False, True, False]
