"""Moves an embedded installation into a PostgreSQL database, whole, and proves it before anything is committed.

Every table is copied row by row as it is stored, so what is sealed stays sealed: the same key opens it there. For each
table, rows are counted and a digest is taken over all of them in the order of their keys, once as they are read here
and once as the target gives them back; unless all agree nothing is written. One transaction holds the whole copy.

Nobody serves or changes the file meanwhile: it is opened so that nobody else can have it open.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from push_service.model.errors import InvalidRequest
from push_service.store.postgres.connections import CLOSE_SECONDS, connect
from push_service.store.postgres.schema import migrate
from push_service.store.postgres.trouble import TROUBLES, told_the_operator
from push_service.store.rows import Row
from push_service.store.sqlite import connection as embedded

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection

_AT_ONCE = 1000
_encode = msgspec.msgpack.Encoder().encode
_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
_NEXT_NUMBER = "SELECT setval(pg_get_serial_sequence('audit', 'seq'), coalesce(max(seq), 0) + 1, false) FROM audit"


class CopiedTable(msgspec.Struct, frozen=True):
    """A table that was copied: how many rows, and a SHA-256 over them in the order of their keys."""

    name: str
    rows: int
    digest: str


class _Table(msgspec.Struct, frozen=True):
    name: str
    columns: list[str]
    key: list[str]

    @property
    def query(self) -> str:
        return f"SELECT {', '.join(self.columns)} FROM {self.name} ORDER BY {', '.join(self.key)}"  # noqa: S608 - ours


class _Digest:
    """Counts rows and digests them as they pass."""

    def __init__(self, table: _Table) -> None:
        self._name, self._rows, self._hash = table.name, 0, hashlib.sha256()

    def add(self, row: Row) -> Row:
        self._rows += 1
        self._hash.update(_encode(row))
        return row

    def copied(self) -> CopiedTable:
        return CopiedTable(self._name, self._rows, self._hash.hexdigest())


async def copy_to_postgres(path: Path, url: str) -> list[CopiedTable]:
    """Copy the file into the empty database at `url`; says what was copied. All or nothing.

    Raises InvalidRequest, with a sentence, where the file is in use, the database is not empty, or the copy is not the
    same; UnsafeDatabase; StoreUnavailable.
    """
    with _alone(path) as source:
        await migrate(url)
        tables = _tables(source)
        try:
            target = await connect(url, 0)
            try:
                async with target.transaction():
                    return [await _copied(source, target, table) for table in await _checked(target, tables)]
            finally:
                await target.close(timeout=CLOSE_SECONDS)
        except TROUBLES as problem:
            raise told_the_operator(problem) from problem


@contextmanager
def _alone(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, for this process alone.

    Every connection to a file in WAL mode keeps a shared lock while it is open, a server's too; exclusive mode needs
    that there is none, and keeps all others out.
    """
    if not path.exists():
        raise InvalidRequest(f"There is no database to copy: {path}.")
    embedded.migrate(path)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=embedded.BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as problem:
            raise InvalidRequest(f"The database is in use: stop the server first. ({path}: {problem})") from problem
        yield connection
        connection.execute("ROLLBACK")


def _tables(source: sqlite3.Connection) -> list[_Table]:
    tables = []
    for (name,) in source.execute(_TABLES).fetchall():
        info = source.execute(f"PRAGMA table_info({name})").fetchall()
        key = sorted((row[5], row[1]) for row in info if row[5])
        tables.append(_Table(name, [row[1] for row in info], [column for _, column in key]))
    return tables


async def _checked(target: Connection, tables: list[_Table]) -> list[_Table]:
    """The tables, none of which has a row there; locked, so that it stays like this."""
    for table in tables:
        await target.execute(f"LOCK TABLE {table.name} IN ACCESS EXCLUSIVE MODE")
        if await target.fetchval(f"SELECT EXISTS (SELECT FROM {table.name})"):  # noqa: S608 - our own tables
            raise InvalidRequest(f"The target is not empty: its table {table.name} has rows.")
    return tables


async def _copied(source: sqlite3.Connection, target: Connection, table: _Table) -> CopiedTable:
    read, written = _Digest(table), _Digest(table)
    rows = (read.add(row) for row in source.execute(table.query))
    await target.copy_records_to_table(table.name, records=rows, columns=table.columns)
    async for row in target.cursor(table.query, prefetch=_AT_ONCE):
        written.add(tuple(row))
    if read.copied() != written.copied():
        raise InvalidRequest(f"The copy of the table {table.name} is not the same: nothing was written.")
    if table.name == "audit":
        await target.execute(_NEXT_NUMBER)
    return read.copied()
