"""What checks read in the store, whichever it is: without opening it for service, and without writing to it.

The tables are the same in both, so a question is the same. A store that can't be reached is one check's finding
(`store.reachable`); whoever else wanted to read it is told StoreUnavailable, which `check.py` makes a remark of.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from push_service.config import Settings
from push_service.store.rows import Row
from push_service.store.sqlite.connection import connect

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection

SECONDS = 5.0
"""How long one statement of a check may take."""


class Records(Protocol):
    """A store's rows."""

    @property
    def place(self) -> str:
        """Where they are, without a password."""
        ...

    async def exist(self) -> bool:
        """Whether a service has worked on it yet."""
        ...

    async def read(self, question: str) -> list[Row]:
        """The rows of a query; none where its table is not there yet. StoreUnavailable where there is no answer."""
        ...


class SqliteRecords:
    """Those of the embedded store."""

    def __init__(self, file: Path) -> None:
        """Read this file."""
        self._file = file
        self.place = str(file)

    async def exist(self) -> bool:
        """See Records."""
        return self._file.exists()

    async def read(self, question: str) -> list[Row]:
        """See Records."""
        if not self._file.exists():
            return []
        with closing(connect(self._file, read_only=True)) as connection:
            try:
                return connection.execute(question).fetchall()
            except sqlite3.OperationalError:
                return []  # no such table yet; whether the file is a database at all is another check's


class PostgresRecords:
    """Those of a PostgreSQL database."""

    def __init__(self, url: str) -> None:
        """Read the database at this address."""
        self._url = url
        self.place = place_of(url)

    async def exist(self) -> bool:
        """See Records."""
        return bool(await self.read("SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL"))

    async def read(self, question: str) -> list[Row]:
        """See Records."""
        import asyncpg  # noqa: PLC0415 - not loaded with the embedded store

        from push_service.store.postgres.trouble import TROUBLES, told  # noqa: PLC0415

        try:
            connection = await connected(self._url)
            try:
                return [tuple(row) for row in await connection.fetch(question)]
            except asyncpg.UndefinedTableError:
                return []
            finally:
                await connection.close(timeout=SECONDS)
        except TROUBLES as problem:
            raise told(problem) from problem


def records_of(settings: Settings) -> Records:
    """Those of the store that DATABASE_URL names."""
    return PostgresRecords(settings.database_url) if settings.on_postgres else SqliteRecords(settings.database_file)


def place_of(url: str) -> str:
    """A PostgreSQL database in words: its name and its hosts."""
    parts = urlsplit(url)
    return f"the database {parts.path.strip('/')} at {parts.netloc.rpartition('@')[2] or 'this machine'}"


async def connected(url: str) -> Connection:
    """A connection on which nothing takes longer than a check may wait. Raises trouble.TROUBLES."""
    from push_service.store.postgres.connections import connect as connect_postgres  # noqa: PLC0415

    return await connect_postgres(url, SECONDS)
