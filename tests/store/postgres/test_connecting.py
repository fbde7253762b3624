"""What is asked of the server when a connection is made."""

from __future__ import annotations

import asyncio
import struct

import pytest

from push_service.store.postgres.connections import connect
from push_service.store.postgres.trouble import TROUBLES
from tests.contracts.kinds import PostgresStores

LET_THROUGH = {"user", "database", "client_encoding", "datestyle", "timezone", "application_name"}
"""The parameters of a connection that a pooler takes without being told to (PgBouncer 1.18, doc/config.md)."""
_SSL_REQUEST = 80877103


async def test_nothing_is_asked_along_with_a_connection_that_a_pooler_would_refuse() -> None:
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, code = struct.unpack("!ii", await reader.readexactly(8))
        if code == _SSL_REQUEST:
            writer.write(b"N")
            length, _ = struct.unpack("!ii", await reader.readexactly(8))
        words = (await reader.readexactly(length - 8)).rstrip(b"\0").decode().split("\0")
        asked.extend(words[0::2])
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TROUBLES):
            await connect(f"postgresql://somebody@127.0.0.1:{port}/something", 1.5)
    assert {"user", "database"} <= set(asked) <= LET_THROUGH


async def test_a_connection_has_its_limits_and_its_way_to_plan(stores: PostgresStores) -> None:
    async with stores.open():
        connection = await connect(stores.url, 1.5)
        try:
            found = {
                name: await connection.fetchval(f"SHOW {name}")
                for name in ("statement_timeout", "lock_timeout", "plan_cache_mode", "enable_hashjoin", "jit")
            }
        finally:
            await connection.close()
    assert found == {
        "statement_timeout": "1500ms",
        "lock_timeout": "1500ms",
        "plan_cache_mode": "force_generic_plan",
        "enable_hashjoin": "off",
        "jit": "off",
    }
