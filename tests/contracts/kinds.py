"""The kinds of store that the contract suites run over.

Each opens any number of stores on the same data, as processes do.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import NamedTuple, Protocol

from push_service.crypto.sealing import Sealer
from push_service.ports import AppPasswordStore, MessageStore, Store, Topic
from push_service.store.postgres import PostgresStore
from push_service.store.sqlite import SqliteStore
from tests.contracts.making import HandClock
from tests.support.postgres import PostgresServer

Foreign = Callable[[Sequence[Topic]], None]


class Recorded(NamedTuple):
    """An audit record as written."""

    kind: str
    code: str | None
    user_id: str | None
    sign_in_id: str | None


class WholeStore(Store, MessageStore, AppPasswordStore, Protocol):
    """All that a store does."""


class Stores(Protocol):
    """One set of data, which any number of stores may open at once, as processes do."""

    clock: HandClock

    def open(self, foreign: Foreign = ...) -> AbstractAsyncContextManager[WholeStore]:
        """One more store on the same data, with connections of its own."""
        ...

    def audit(self) -> list[Recorded]:
        """Everything recorded, oldest first."""
        ...

    def content(self) -> bytes:
        """Everything that can be read of the data without opening what is sealed."""
        ...


class ServersHandClock(HandClock):
    """A clock by hand that a server goes by, too."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        super().__init__()
        self._tell = tell
        tell(self.at)

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._tell(self.at)


class PostgresStores:
    """A database of a private server."""

    def __init__(self, server: PostgresServer) -> None:
        self.server, self.sealer = server, Sealer(bytes(32))
        self.database = server.create(server.by_hand)
        self.url = server.url(self.database)
        self.beside = server.beside(self.database)
        self.clock: HandClock = ServersHandClock(lambda at: self.beside.execute(f"UPDATE hand_clock SET at = {at}"))  # noqa: S608

    def open(self, foreign: Foreign = lambda _: None) -> AbstractAsyncContextManager[WholeStore]:
        return PostgresStore(self.url, self.sealer, clock=self.clock, foreign=foreign)

    def audit(self) -> list[Recorded]:
        rows = self.beside.rows("SELECT kind, code, user_id, sign_in_id, data FROM audit ORDER BY seq")
        assert all(isinstance(json.loads(row[4]), dict) for row in rows)
        return [Recorded(*row[:4]) for row in rows]

    def content(self) -> bytes:
        tables = self.beside.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        rows = [row for (table,) in tables for row in self.beside.rows(f"SELECT * FROM {table}")]  # noqa: S608
        values = [value for row in rows for value in row]
        return b"\n".join(each if isinstance(each, bytes) else str(each).encode() for each in values)

    def close(self) -> None:
        self.beside.close()
        self.server.drop(self.database)


class SqliteStores:
    """A file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path, self.clock, self.sealer = folder / "data.db", HandClock(), Sealer(bytes(32))

    def open(self, foreign: Foreign = lambda _: None) -> AbstractAsyncContextManager[WholeStore]:
        return SqliteStore(self.path, self.sealer, clock=self.clock, foreign=foreign)

    def audit(self) -> list[Recorded]:
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT kind, code, user_id, sign_in_id, data FROM audit ORDER BY seq").fetchall()
        assert all(isinstance(json.loads(row[4]), dict) for row in rows)
        return [Recorded(*row[:4]) for row in rows]

    def content(self) -> bytes:
        return b"".join(each.read_bytes() for each in sorted(self.path.parent.glob(f"{self.path.name}*")))
