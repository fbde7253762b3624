"""A copy of the database as of one moment, while the server runs.

`VACUUM INTO` reads within one transaction, so the copy is whole whatever is committed meanwhile, and nobody waits for
it. It goes under its name only when it is on the disk and was read back: a copy that is there is good.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from push_service.model.instant import Instant


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a copy."""

    file: str
    bytes: int
    schema_version: int
    users: int
    devices: int
    newest_record: Instant
    """When what was committed last was committed."""


class BackupRefused(Exception):
    """There is nothing to copy, or nowhere to copy it to; the text says which."""


def back_up(database: Path, target: Path) -> BackedUp:
    """Copy the database to a new file of mode 0600. Raises BackupRefused, OSError, sqlite3.Error."""
    if not database.exists():
        raise BackupRefused(f"{database} is not there: there is nothing to back up.")
    if target.exists():
        raise BackupRefused(f"{target} exists already; it is left alone.")
    descriptor, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        os.close(descriptor)
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as source:
            source.execute("VACUUM INTO ?", (partial,))
        _to_disk(Path(partial))
        found = _read_back(Path(partial), target)
        try:
            os.link(partial, target)  # unlike a rename it never takes another file's place
        except FileExistsError:
            raise BackupRefused(f"{target} exists already; it is left alone.") from None
        _to_disk(target.parent)
        return found
    finally:
        with suppress(FileNotFoundError):
            Path(partial).unlink()


def _read_back(copy: Path, target: Path) -> BackedUp:
    with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:

        def one(question: str) -> int:
            return int(connection.execute(question).fetchone()[0])

        (verdict,) = connection.execute("PRAGMA quick_check").fetchone()
        if verdict != "ok":
            raise BackupRefused(f"The copy is not whole: {verdict}.")
        return BackedUp(
            file=str(target),
            bytes=copy.stat().st_size,
            schema_version=one("PRAGMA user_version"),
            users=one("SELECT count(*) FROM users"),
            devices=one("SELECT count(*) FROM devices WHERE state = 'active'"),
            newest_record=Instant(one("SELECT coalesce(max(at), 0) FROM audit")),
        )


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
