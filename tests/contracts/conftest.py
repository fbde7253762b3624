"""What the contract suites run over. A further store or bus joins by one more parameter of a fixture here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from push_service.bus.local import LocalBus
from push_service.bus.redis import RedisBus, node
from push_service.ports import Bus
from tests.contracts.kinds import PostgresStores, SqliteStores, Stores, WholeStore
from tests.support.redis import RedisServer


@pytest.fixture(params=["sqlite", "postgres"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Fresh data in each kind of store."""
    match request.param:
        case "sqlite":
            yield SqliteStores(tmp_path)
        case "postgres":
            opened = PostgresStores(request.getfixturevalue("postgres_server"))
            yield opened
            opened.close()
        case unknown:
            raise AssertionError(unknown)


@pytest.fixture
async def store(stores: Stores) -> AsyncIterator[WholeStore]:
    """One store on it."""
    async with stores.open() as opened:
        yield opened


@pytest.fixture(params=["local", "redis"])
async def bus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bus]:
    """Each kind of bus."""
    match request.param:
        case "local":
            yield LocalBus()
        case "redis":
            # A busy machine may take longer; what is rung by late confirmations is told in tests/bus.
            monkeypatch.setattr(node, "CONFIRM_SECONDS", 30.0)
            server: RedisServer = request.getfixturevalue("shared_redis")
            async with RedisBus(server.url) as opened:
                yield opened
        case unknown:
            raise AssertionError(unknown)
