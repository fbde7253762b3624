"""Brings the database up to date when a store opens, and refuses a server on which nothing would be safe.

Migrations go forward only, each in a transaction of its own, one process at a time. A database that is newer than this
program is served as it is: while a newer version is rolled out both work on it, so a migration only ever adds what the
version before can ignore.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from push_service.store import UnsafeDatabase
from push_service.store.postgres.connections import CLOSE_SECONDS, connect
from push_service.store.postgres.trouble import TROUBLES, told_the_operator
from push_service.store.scripts import Dialect, migrations

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection

LOCK_SECONDS = 60.0
"""How long to wait for another process that migrates."""
LOCK_TRIES = 20
GIVE_WAY_MILLISECONDS = 500
TRY_AGAIN_SECONDS = 1.0
OLDEST_SERVER = 140_000
_LOCK = 0x7075_7368  # "push"; any number, the same in every version
_VERSIONS = "CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, applied_at BIGINT NOT NULL)"
_APPLIED = "INSERT INTO schema_migrations (number, applied_at) VALUES ($1, service_now())"


async def migrate(url: str, *, allow_asynchronous_commit: bool = False) -> None:
    """Apply each migration that the database lacks. Raises UnsafeDatabase, and StoreUnavailable."""
    try:
        connection = await connect(url, 0, LOCK_SECONDS)
        try:
            await _check(connection, allow_asynchronous_commit=allow_asynchronous_commit)
            await connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
            await _migrate(connection)
        finally:
            await connection.close(timeout=CLOSE_SECONDS)  # and with it goes the lock
    except TROUBLES as problem:
        raise told_the_operator(problem) from problem


async def _migrate(connection: Connection) -> None:
    if not await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        await connection.execute(_VERSIONS)
    version = await connection.fetchval("SELECT coalesce(max(number), 0) FROM schema_migrations")
    for number, script in migrations(Dialect.POSTGRES):
        if version < number:
            await _apply(connection, number, script)


async def _apply(connection: Connection, number: int, script: str) -> None:
    """One migration, or nothing of it.

    Whoever waits for the lock on a table has everybody else wait behind it. So it gives way soon, and tries again.
    """
    for tries_left in reversed(range(LOCK_TRIES)):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {GIVE_WAY_MILLISECONDS}")
                await connection.execute(script)
                await connection.execute(_APPLIED, number)
        except asyncpg.LockNotAvailableError:
            if not tries_left:
                raise
            await asyncio.sleep(TRY_AGAIN_SECONDS)
        else:
            return


async def _check(connection: Connection, *, allow_asynchronous_commit: bool) -> None:
    async def show(setting: str) -> str:
        return str(await connection.fetchval(f"SHOW {setting}"))

    if int(await show("server_version_num")) < OLDEST_SERVER:
        raise UnsafeDatabase("PostgreSQL 14 or newer is needed.")
    if await show("server_encoding") != "UTF8":
        raise UnsafeDatabase("the database must be in the encoding UTF8.")
    if await show("synchronous_commit") == "off" and not allow_asynchronous_commit:
        raise UnsafeDatabase(
            "synchronous_commit is off: an acknowledged answer could be lost when the server"
            " fails. Switch it on for this database or role, or set PUSH_SERVICE_POSTGRES__ALLOW_ASYNCHRONOUS_COMMIT."
        )
