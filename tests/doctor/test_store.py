"""The doctor finds what is wrong with directory, key and database, and changes nothing."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from push_service.crypto.jws import base64url
from push_service.doctor import places, sqlite
from push_service.doctor.check import Verdict
from tests.doctor.conftest import Examine

HEALTHY = {"data.directory", "data.key", "store.schema", "store.writable", "store.space", "store.clock"}


@pytest.mark.usefixtures("data")
async def test_an_installation_that_was_started_once_is_well(examine: Examine) -> None:
    found = await examine()
    assert {name for name, each in found.items() if each.verdict is Verdict.FAULT} == set()
    assert {name for name in HEALTHY if found[name].verdict is Verdict.OK} == HEALTHY


async def test_before_the_first_start_nothing_is_a_fault_and_nothing_is_made(tmp_path: Path, examine: Examine) -> None:
    found = await examine()
    assert Verdict.FAULT not in {each.verdict for each in found.values()}
    assert found["data.directory"].verdict is found["store.schema"].verdict is Verdict.WARNING
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_a_directory_that_others_can_enter(data: Path, examine: Examine) -> None:
    data.chmod(0o755)  # noqa: ASYNC240
    found = (await examine())["data.directory"]
    assert found.verdict is Verdict.FAULT
    assert found.remedy == f"chmod 700 {data}"


async def test_somebody_else_s_directory_is_told_and_nothing_in_it_opened(
    data: Path, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(data.iterdir())  # noqa: ASYNC240
    monkeypatch.setattr(os, "geteuid", lambda: data.stat().st_uid + 1)
    found = await examine()
    assert found["data.directory"].verdict is Verdict.FAULT
    assert "belongs to" in found["data.directory"].sentence
    assert set(found) == {"settings.unread", "data.directory"}
    assert sorted(data.iterdir()) == before  # noqa: ASYNC240


async def test_a_missing_key_beside_a_database_is_a_fault_and_not_made_anew(data: Path, examine: Examine) -> None:
    (data / "secret.key").unlink()
    found = (await examine())["data.key"]
    assert found.verdict is Verdict.FAULT
    assert "would open nothing" in found.sentence
    assert not (data / "secret.key").exists()


async def test_another_database_s_key(data: Path, examine: Examine) -> None:
    (data / "secret.key").write_text(base64url(secrets.token_bytes(32)))
    found = (await examine())["data.key"]
    assert found.verdict is Verdict.FAULT
    assert "is not the key" in found.sentence


async def test_a_key_that_others_can_read_and_one_that_is_none(data: Path, examine: Examine) -> None:
    (data / "secret.key").chmod(0o644)
    assert "can be read by others" in (await examine())["data.key"].sentence
    (data / "secret.key").chmod(0o600)
    (data / "secret.key").write_text("no key")
    assert (await examine())["data.key"].verdict is Verdict.FAULT


async def test_a_file_that_is_no_database(database: Path, examine: Examine) -> None:
    for each in database.parent.glob("push-service.db*"):
        each.unlink()
    database.write_bytes(b"this is no database" * 100)  # noqa: ASYNC240
    found = await examine()
    assert found["store.schema"].verdict is Verdict.FAULT
    assert {each.verdict for name, each in found.items() if name.startswith("machine.")} <= {Verdict.OK, Verdict.FAULT}


@pytest.mark.parametrize(("version", "verdict"), [(99, Verdict.FAULT), (0, Verdict.WARNING)])
async def test_a_schema_of_another_version(database: Path, examine: Examine, version: int, verdict: Verdict) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    found = (await examine())["store.schema"]
    assert found.verdict is verdict
    assert f"version {version}" in found.sentence


async def test_a_database_whose_lock_somebody_holds(database: Path, examine: Examine) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = (await examine())["store.writable"]
        other.execute("ROLLBACK")
    assert found.verdict is Verdict.FAULT
    assert "locked" in found.sentence
    assert (await examine())["store.writable"].verdict is Verdict.OK


async def test_a_database_that_is_not_in_wal_mode(database: Path, examine: Examine) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    assert (await examine())["store.durable"].verdict is Verdict.FAULT


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(("kind", "verdict"), [("nfs4", Verdict.FAULT), ("tmpfs", Verdict.WARNING)])
async def test_a_file_system_that_keeps_no_promise(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: Verdict
) -> None:
    monkeypatch.setattr(sqlite, "file_system", lambda _: kind)
    found = (await examine())["store.durable"]
    assert found.verdict is verdict
    assert kind in found.sentence


def test_the_file_system_is_that_of_the_nearest_mount() -> None:
    assert sqlite.file_system(Path("/proc/self/status")) == "proc"


async def test_a_clock_that_was_set_back(database: Path, examine: Examine) -> None:
    later = int((time.time() + 3600) * 1_000_000)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE audit SET at = ? WHERE seq = (SELECT max(seq) FROM audit)", (later,))
        connection.commit()
    found = (await examine())["store.clock"]
    assert found.verdict is Verdict.FAULT
    assert "in the future" in found.sentence


def test_users_without_a_name_are_told_by_number() -> None:
    assert places._user(2**31 - 5) == "user 2147483643"
