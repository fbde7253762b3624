"""A SQLite file, and stores on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from push_service.store.sqlite import SqliteStore
from tests.contracts.kinds import SqliteStores


@pytest.fixture
def stores(tmp_path: Path) -> SqliteStores:
    return SqliteStores(tmp_path)


@pytest.fixture
async def store(stores: SqliteStores) -> AsyncIterator[SqliteStore]:
    async with stores.open() as opened:
        assert isinstance(opened, SqliteStore)
        yield opened
