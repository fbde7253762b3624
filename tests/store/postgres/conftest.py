"""A database of the private server, and stores on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from push_service.store.postgres import PostgresStore
from tests.contracts.kinds import PostgresStores
from tests.support.postgres import PostgresServer


@pytest.fixture
def stores(postgres_server: PostgresServer) -> Iterator[PostgresStores]:
    opened = PostgresStores(postgres_server)
    yield opened
    opened.close()


@pytest.fixture
async def store(stores: PostgresStores) -> AsyncIterator[PostgresStore]:
    async with stores.open() as opened:
        assert isinstance(opened, PostgresStore)
        yield opened
