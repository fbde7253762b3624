"""The file brings itself up to date, forward only, as often as it is opened."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from push_service.crypto.sealing import Sealer
from push_service.store.scripts import Dialect, migrations
from push_service.store.sqlite import SqliteStore, connection
from push_service.store.sqlite.connection import migrate
from tests.contracts.kinds import SqliteStores
from tests.contracts.making import begin, enrol, look


def schema(path: Path) -> tuple[int, list[tuple[str, str, str]]]:
    with closing(sqlite3.connect(path)) as opened:
        (version,) = opened.execute("PRAGMA user_version").fetchone()
        return version, sorted(opened.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema"))


def test_a_fresh_file_is_private_in_wal_mode_and_at_the_newest_version(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    migrate(path)
    assert path.stat().st_mode & 0o777 == 0o600
    newest = migrations(Dialect.SQLITE)[-1][0]
    assert schema(path)[0] == newest
    with closing(sqlite3.connect(path)) as opened:
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    migrate(path)
    before = schema(path)
    migrate(path)
    assert schema(path) == before


async def test_data_is_there_after_migrating_again(stores: SqliteStores) -> None:
    async with stores.open() as store:
        alice = await enrol(store)
        seen = await begin(store, alice)
    migrate(stores.path)
    async with stores.open() as store:
        assert (await look(store, seen.sign_in.id)) == seen.sign_in


async def test_several_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    paths = [tmp_path / "data.db"] * 8
    await asyncio.gather(*(asyncio.to_thread(migrate, path) for path in paths))
    alone = tmp_path / "alone.db"
    migrate(alone)
    assert schema(paths[0]) == schema(alone)


async def test_a_copy_made_at_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    first, path = tmp_path / "first.db", tmp_path / "data.db"
    (_, script) = migrations(Dialect.SQLITE)[0]
    with closing(sqlite3.connect(first)) as opened, opened:
        opened.executescript(script)
        opened.execute("PRAGMA user_version = 1")
    shutil.copy(first, path)
    async with SqliteStore(path, Sealer(bytes(32))) as store:
        alice = await enrol(store)
        await begin(store, alice)
    fresh = tmp_path / "fresh.db"
    migrate(fresh)
    assert schema(path) == schema(fresh)


def test_a_migration_that_fails_leaves_the_file_at_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.db"
    migrate(path)
    before = schema(path)
    scripts = [*migrations(Dialect.SQLITE), (9000, "CREATE TABLE half (a TEXT); CREATE TABLE half (a TEXT);")]
    monkeypatch.setattr(connection, "migrations", lambda _: scripts)
    with pytest.raises(sqlite3.OperationalError):
        migrate(path)
    assert schema(path) == before
    scripts[-1] = (9000, "-- now right;\nCREATE TABLE half (a TEXT);")
    migrate(path)
    assert schema(path)[0] == 9000


def test_numbers_of_migrations_are_not_given_twice() -> None:
    numbers = [number for number, _ in migrations(Dialect.SQLITE)]
    assert numbers == list(range(1, len(numbers) + 1))
