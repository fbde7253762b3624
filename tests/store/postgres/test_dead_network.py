"""A network that swallows everything and tells nobody: what was under way is given up, in a transaction, too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from push_service.model.errors import StoreUnavailable
from push_service.store.postgres.connections import Connections
from tests.contracts.kinds import PostgresStores
from tests.store.postgres.eventually import SOON
from tests.support.proxy import HOLE, proxy_to

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection


async def once(connection: Connection) -> object:
    return await connection.fetchval("SELECT 1")


@pytest.mark.reliability("R-24", "R-25")
async def test_a_transaction_over_a_dead_network_holds_neither_its_connection_nor_the_end(
    stores: PostgresStores,
) -> None:
    async with proxy_to(stores.server.port) as between:
        url = stores.url.replace(str(stores.server.port), str(between.port))
        connections = Connections(url, 1, 0.3)

        async def cut_off(connection: Connection) -> None:
            async with connection.transaction():
                await once(connection)
                between.up = between.down = HOLE
                await once(connection)

        with pytest.raises(StoreUnavailable):
            await connections.run(cut_off)
        async with asyncio.timeout(SOON):
            with pytest.raises(StoreUnavailable):
                await connections.run(once)
            await connections.close()
