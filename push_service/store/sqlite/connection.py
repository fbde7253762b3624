"""Connections to the database file, and the numbered migrations that bring it up to date, forward only."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from push_service.store.scripts import Dialect, migrations

BUSY_SECONDS = 1.5


def connect(path: Path, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open a connection whose commits survive power loss (WAL, synchronous FULL) and that may change threads."""
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("PRAGMA mmap_size=268435456")
    return connection


def migrate(path: Path) -> None:
    """Make the file, mode 0600, in WAL mode, and apply each migration that it lacks in a transaction of its own."""
    with _alone(path):
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = connect(path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            for number, script in migrations(Dialect.SQLITE):
                if version < number:
                    _apply(connection, number, script)
        finally:
            connection.close()


def newest_version() -> int:
    """The schema version that this program brings a file to."""
    return migrations(Dialect.SQLITE)[-1][0]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time: a switch to WAL that meets another answers "locked" at once instead of waiting.

    By a file of its own: closing any descriptor of the database gives up all of SQLite's locks that this process holds.
    """
    descriptor = os.open(path.with_name(f"{path.name}.migrating"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _apply(connection: sqlite3.Connection, number: int, script: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(script):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]
