"""The doctor finds what is wrong with a PostgreSQL store, and says it without the password."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from push_service.crypto.jws import base64url
from push_service.doctor import postgres
from push_service.doctor.check import Finding, Verdict
from tests.conftest import MakeService
from tests.doctor.conftest import Examine, started
from tests.support.postgres import PostgresServer

PARTS = {f"store.{each}" for each in ("reachable", "schema", "writable", "durable", "connections", "space", "clock")}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server as one should be: the other tests' forgets what it likes."""
    made = PostgresServer(fsync="on", full_page_writes="on", autovacuum="on")
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
async def url(server: PostgresServer, tmp_path: Path) -> str:
    """The database of an installation that was started once."""
    address = server.url(server.create())
    await started(tmp_path / "data", DATABASE_URL=address)
    return address


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


async def test_an_installation_that_was_started_once_is_well(url: str, examine: Examine) -> None:
    found = await examine(DATABASE_URL=url)
    assert {name: each.sentence for name, each in found.items() if each.verdict is Verdict.FAULT} == {}
    assert {name for name in found if name.startswith("store.")} == PARTS
    assert {name for name in PARTS | {"data.key"} if found[name].verdict is not Verdict.OK} == set()
    assert "1 signing keys" in found["data.key"].sentence
    assert "can't be seen from here" in found["store.space"].sentence


async def test_beside_a_running_server_it_says_the_same(server: PostgresServer, make_service: MakeService) -> None:
    service = await make_service(DATABASE_URL=server.url(server.create()))
    code, out, err = await service.command("doctor")
    assert (code, err) == (0, "")
    assert "is answered by this installation" in out
    assert "fault" not in out


async def test_before_the_first_start_nothing_is_a_fault_and_nothing_is_made(
    server: PostgresServer, examine: Examine
) -> None:
    address = server.url(server.create())
    found = await examine(DATABASE_URL=address)
    assert Verdict.FAULT not in {each.verdict for each in found.values()}
    assert found["store.schema"].verdict is found["store.writable"].verdict is Verdict.WARNING
    beside = server.beside(name_of(address))
    assert beside.rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
    beside.close()


async def test_a_server_that_is_away_is_one_fault_and_no_password_is_told(examine: Examine) -> None:
    found = await examine(DATABASE_URL="postgresql://push_service:swordfish@127.0.0.1:1/push_service")
    faults = [each for each in found.values() if each.verdict is Verdict.FAULT]
    assert [each.check for each in faults] == ["store.reachable"]
    assert found["store.schema"].remedy == found["machine.open_files"].remedy == "See store.reachable."
    assert not any("swordfish" in f"{each.sentence}{each.remedy}" for each in found.values())


async def test_a_wrong_password_is_told_in_the_server_s_words(
    server: PostgresServer, url: str, examine: Examine
) -> None:
    rules = server.data / "pg_hba.conf"
    trusting = rules.read_text()
    server.execute("CREATE ROLE locked LOGIN PASSWORD 'open sesame'")
    rules.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{trusting}")
    server.execute("SELECT pg_reload_conf()")
    try:
        wrong = url.replace("postgres@", "locked:swordfish@")
        found = (await examine(DATABASE_URL=wrong))["store.reachable"]
    finally:
        rules.write_text(trusting)
        server.execute("SELECT pg_reload_conf()")
    assert found.verdict is Verdict.FAULT
    assert "password authentication failed" in found.sentence
    assert "swordfish" not in found.sentence


async def test_a_database_in_another_encoding(server: PostgresServer, examine: Examine) -> None:
    server.execute("CREATE DATABASE old ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    found = (await examine(DATABASE_URL=server.url("old")))["store.reachable"]
    assert (found.verdict, "SQL_ASCII" in found.sentence) == (Verdict.FAULT, True)


async def test_a_server_that_is_too_old(url: str, examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OLDEST_SERVER", 990_000)
    assert (await examine(DATABASE_URL=url))["store.reachable"].verdict is Verdict.FAULT


async def test_schemas_of_other_versions(server: PostgresServer, url: str, examine: Examine) -> None:
    async def look() -> Finding:
        return (await examine(DATABASE_URL=url))["store.schema"]

    server.execute("INSERT INTO schema_migrations (number, applied_at) VALUES (9999, 0)", name_of(url))
    newer = await look()
    assert (newer.verdict, "version 9999" in newer.sentence) == (Verdict.WARNING, True)
    server.execute("DELETE FROM schema_migrations WHERE number > 1", name_of(url))
    older = await look()
    assert (older.verdict, "version 1," in older.sentence) == (Verdict.WARNING, True)


async def test_a_role_that_may_not_migrate_and_one_that_may_not_write(
    server: PostgresServer, url: str, examine: Examine
) -> None:
    server.execute("CREATE ROLE guest LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest", name_of(url))
    as_guest = url.replace("postgres@", "guest@")
    found = await examine(DATABASE_URL=as_guest)
    assert found["store.schema"].verdict is found["data.key"].verdict is Verdict.OK
    assert found["store.writable"].verdict is Verdict.FAULT
    assert "lacks rights on activations, " in found["store.writable"].sentence
    assert (
        found["store.writable"].remedy
        == "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest;"
    )
    server.execute(found["store.writable"].remedy, name_of(url))
    assert (await examine(DATABASE_URL=as_guest))["store.writable"].verdict is Verdict.OK
    server.execute("DELETE FROM schema_migrations WHERE number > 1", name_of(url))
    older = (await examine(DATABASE_URL=as_guest))["store.schema"]
    assert (older.verdict, "guest can't migrate it" in older.sentence) == (Verdict.FAULT, True)


async def test_a_database_that_is_read_only(server: PostgresServer, url: str, examine: Examine) -> None:
    server.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
    found = await examine(DATABASE_URL=url)
    assert found["store.writable"].verdict is Verdict.FAULT
    assert found["store.reachable"].verdict is found["data.key"].verdict is Verdict.OK


async def test_a_table_that_somebody_has_locked(
    server: PostgresServer, url: str, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("push_service.doctor.records.SECONDS", 0.5)
    beside = server.beside(name_of(url))
    beside.execute("BEGIN; LOCK TABLE throttles IN ACCESS EXCLUSIVE MODE")
    found = (await examine(DATABASE_URL=url))["store.writable"]
    beside.execute("ROLLBACK")
    assert (found.verdict, "can't be written to" in found.sentence) == (Verdict.FAULT, True)
    assert (await examine(DATABASE_URL=url))["store.writable"].verdict is Verdict.OK
    assert beside.rows("SELECT key FROM throttles WHERE key LIKE 'doctor:%'") == []
    beside.close()


async def test_commits_that_are_not_waited_for(server: PostgresServer, url: str, examine: Examine) -> None:
    server.execute(f"ALTER DATABASE {name_of(url)} SET synchronous_commit = off")
    found = (await examine(DATABASE_URL=url))["store.durable"]
    assert (found.verdict, "synchronous_commit is off" in found.sentence) == (Verdict.FAULT, True)
    allowed = await examine(DATABASE_URL=url, POSTGRES__ALLOW_ASYNCHRONOUS_COMMIT="true")
    assert allowed["store.durable"].verdict is Verdict.WARNING


async def test_a_server_that_does_not_wait_for_its_disk(postgres_server: PostgresServer, examine: Examine) -> None:
    found = (await examine(DATABASE_URL=postgres_server.url(postgres_server.create())))["store.durable"]
    assert (found.verdict, "fsync is off" in found.sentence) == (Verdict.FAULT, True)


async def test_too_few_connections_and_just_enough(server: PostgresServer, url: str, examine: Examine) -> None:
    role = f"keen_{secrets.token_hex(4)}"
    server.execute(
        f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 20; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
        name_of(url),
    )
    keen = url.replace("postgres@", f"{role}@")

    async def look(workers: int, each: int) -> Finding:
        bus = {"WORKERS": str(workers), "BUS_URL": "redis://127.0.0.1:1"}
        found = await examine(DATABASE_URL=keen, POSTGRES__CONNECTIONS=str(each), **bus)
        return found["store.connections"]

    beyond, full, ample = await look(3, 8), await look(2, 8), await look(2, 3)
    assert (beyond.verdict, full.verdict, ample.verdict) == (Verdict.FAULT, Verdict.WARNING, Verdict.OK)
    assert "24 connections" in beyond.sentence
    assert "of 20 that the server gives" in beyond.sentence


async def test_a_server_s_clock_that_was_set_back(server: PostgresServer, url: str, examine: Examine) -> None:
    server.execute("UPDATE audit SET at = at + 3600000000 WHERE seq = (SELECT max(seq) FROM audit)", name_of(url))
    found = (await examine(DATABASE_URL=url))["store.clock"]
    assert (found.verdict, "in the future" in found.sentence) == (Verdict.FAULT, True)


async def test_clocks_that_are_apart(url: str, examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    found = (await examine(DATABASE_URL=url))["store.clock"]
    assert (found.verdict, "from this one" in found.sentence) == (Verdict.FAULT, True)


async def test_another_database_s_key_and_a_missing_one(url: str, tmp_path: Path, examine: Examine) -> None:
    key = tmp_path / "data" / "secret.key"
    key.write_text(base64url(secrets.token_bytes(32)))
    wrong = (await examine(DATABASE_URL=url))["data.key"]
    assert (wrong.verdict, f"the database {name_of(url)} at 127.0.0.1" in wrong.sentence) == (Verdict.FAULT, True)
    key.unlink()
    missing = (await examine(DATABASE_URL=url))["data.key"]
    assert (missing.verdict, "would open nothing" in missing.sentence) == (Verdict.FAULT, True)
    assert not key.exists()


async def test_an_address_that_leads_to_another_installation(
    url: str, make_service: MakeService, examine: Examine
) -> None:
    elsewhere = await make_service()
    found = (await examine(DATABASE_URL=url, PUBLIC_URL=elsewhere.url))["address.public_url"]
    assert (found.verdict, "another installation" in found.sentence) == (Verdict.FAULT, True)
