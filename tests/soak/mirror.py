"""Copies the tables of a PostgreSQL database into an SQLite one in memory, row by row, for `checker.py` to judge."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

TABLES = ("users", "sign_ins", "challenges", "deliveries", "audit")
AT_ONCE = 5000


@asynccontextmanager
async def mirrored(url: str) -> AsyncIterator[sqlite3.Connection]:
    """The tables that are judged, as they are at one moment."""
    mirror = sqlite3.connect(":memory:")
    mirror.row_factory = sqlite3.Row
    try:
        origin = await asyncpg.connect(url)
        try:
            async with origin.transaction(isolation="repeatable_read", readonly=True):
                for table in TABLES:
                    await _copy(origin, mirror, table)
        finally:
            await origin.close()
        yield mirror
    finally:
        mirror.close()


async def _copy(origin: asyncpg.Connection[asyncpg.Record], mirror: sqlite3.Connection, table: str) -> None:
    query = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = $1"
    # What only PostgreSQL has, such as a transaction's number, is copied as text.
    columns = [
        f"{name}::text" if kind not in {"text", "bigint", "integer", "bytea"} else name
        for name, kind in await origin.fetch(query, table)
    ]
    names = ", ".join(each.removesuffix("::text") for each in columns)
    mirror.execute(f"CREATE TABLE {table} ({names})")
    put = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names of the schema
    cursor = await origin.cursor(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608 - names of the schema
    while rows := await cursor.fetch(AT_ONCE):
        mirror.executemany(put, [tuple(row) for row in rows])
