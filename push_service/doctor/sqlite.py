"""The embedded store: a database of this version that can be written, survives a power cut, and has room."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from push_service.config import Settings
from push_service.doctor.check import Check, Finding, fault, ok, warning
from push_service.store.sqlite.connection import connect, newest_version

_MIB = 1024 * 1024
_TOO_LITTLE, _LITTLE = 64 * _MIB, 1024 * _MIB
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "glusterfs", "ceph"})
_MEMORY = frozenset({"tmpfs", "ramfs"})
_SOON = "The first start makes it; nothing has to be done."


class SqliteSchema(Check):
    """Whether the file is a database, and of which schema version."""

    name = "store.schema"

    def __init__(self, settings: Settings) -> None:
        """Look at the database file."""
        self._file = settings.database_file

    async def run(self) -> Finding:
        """See Check."""
        if not self._file.exists():
            return warning(self, f"{self._file} is not there yet.", _SOON)
        try:
            with closing(connect(self._file, read_only=True)) as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as problem:
            return fault(self, f"{self._file} can't be read: {problem}.", "Mend its mode, or put a backup back.")
        newest = newest_version()
        if version > newest:
            told = f"{self._file} has schema version {version}; this program knows {newest} and no later one."
            return fault(self, told, "Install the newer version again, or put the backup from before it back.")
        if version < newest:
            told = f"{self._file} has schema version {version}, this program {newest}."
            return warning(self, told, "The next start migrates it; back it up first.")
        return ok(self, f"{self._file} has schema version {version}.")


class SqliteWritable(Check):
    """Whether it can be written to."""

    name = "store.writable"

    def __init__(self, settings: Settings) -> None:
        """Look at the database file."""
        self._file = settings.database_file

    async def run(self) -> Finding:
        """See Check. The transaction changes nothing, and is taken back."""
        if not self._file.exists():
            return warning(self, f"{self._file} is not there yet.", _SOON)
        if not os.access(self._file, os.W_OK) or not os.access(self._file.parent, os.W_OK):
            told = f"{self._file}, or the directory that it is in, can't be written by whom this runs as."
            return fault(self, told, "Mend owner and mode; a file system may also be mounted read-only.")
        try:
            with closing(connect(self._file)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                connection.execute(f"PRAGMA user_version = {int(version)}")
                connection.execute("ROLLBACK")
        except sqlite3.Error as problem:
            told = f"{self._file} can't be written to: {problem}."
            return fault(self, told, "See who holds its lock (lsof), whether the disk is full, and the file's mode.")
        return ok(self, f"{self._file} can be written to.")


class SqliteDurable(Check):
    """Whether a commit survives a power cut, and locks hold: both are the file system's promise."""

    name = "store.durable"

    def __init__(self, settings: Settings) -> None:
        """Look at where the database file is."""
        self._file = settings.database_file

    async def run(self) -> Finding:
        """See Check."""
        kind = file_system(self._file)
        if kind in _NETWORK:
            told = f"{self._file} is on a network file system ({kind}), where SQLite's locks don't hold."
            return fault(self, told, "Move it to a local disk.")
        if kind in _MEMORY:
            told = f"{self._file} is in memory ({kind}): a restart of the machine loses it."
            return warning(self, told, "Move it to a disk.")
        if self._file.exists():
            with closing(connect(self._file, read_only=True)) as connection:
                (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                return fault(self, f"{self._file} is in journal mode {mode}, not wal.", "Start the service once.")
        return ok(self, f"{self._file} is on {kind or 'a local disk'}; each commit waits for the disk.")


class SqliteSpace(Check):
    """Whether the disk has room."""

    name = "store.space"

    def __init__(self, settings: Settings) -> None:
        """Look at the disk of the database file."""
        self._file = settings.database_file

    async def run(self) -> Finding:
        """See Check."""
        there = _existing(self._file)
        free = shutil.disk_usage(there).free
        told = f"{free // _MIB:,} MiB are free where {self._file} is."
        if free < _TOO_LITTLE:
            return fault(self, told, "Make room: a full disk stops every sign-in.")
        if free < _LITTLE:
            return warning(self, told, "Make room before it is full: the audit only grows.")
        return ok(self, told)


def file_system(path: Path) -> str:
    """The kind of file system that the path is, or will be, on; empty where the system doesn't say."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    kinds = {}
    for line in mounts.read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        kinds[Path(point.replace("\\040", " "))] = kind
    return next((kinds[each] for each in (path, *path.resolve().parents) if each in kinds), "")


def _existing(path: Path) -> Path:
    return next(each for each in path.parents if each.exists())
