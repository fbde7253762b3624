"""The database brings itself up to date, forward only, and a server on which nothing would be safe is refused."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from push_service.crypto.sealing import Sealer
from push_service.model.errors import StoreUnavailable
from push_service.store import UnsafeDatabase
from push_service.store.postgres import PostgresStore, leases, messages, schema
from push_service.store.postgres.connections import connect
from push_service.store.postgres.follower import NEWS
from push_service.store.postgres.reading import DEVICE, NEWEST, PENDING, SEEN, SETTLED
from push_service.store.postgres.schema import migrate
from push_service.store.postgres.statements import READ, READ_NAMED, WRITE
from push_service.store.postgres.store import ACKNOWLEDGE, OVERDUE
from push_service.store.scripts import Dialect, migrations
from push_service.store.sqlite.connection import migrate as migrate_file
from tests.contracts.kinds import PostgresStores
from tests.contracts.making import answer, begin, enrol, look
from tests.support.postgres import Beside, PostgresServer

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection

COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    " ORDER BY table_name, column_name"
)
MESSAGES = (messages.CLAIM, messages.ANY_DUE, messages.DUE, messages.OF_NO_USE, messages.SENT)
OF_A_PERSON = {"read": READ, "named": READ_NAMED, "seen": SEEN, "pending": PENDING, "lease": leases.OF_LEASE}
CROWD = 100
LEASES = (leases.OF_LEASE, leases.DUE)
OF_POSTGRES_ALONE = {("audit", "xid")}
VERSIONS = "schema_migrations"


class Empty:
    """A database in which nothing is yet."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.name = server.create()
        self.url = server.url(self.name)
        self.beside: Beside = server.beside(self.name)

    def version(self) -> int:
        return int(self.beside.rows(f"SELECT max(number) FROM {VERSIONS}")[0][0])  # noqa: S608

    def tables_and_columns(self) -> set[tuple[str, str]]:
        return {(row[0], row[1]) for row in self.beside.rows(COLUMNS) if row[0] != VERSIONS}


@pytest.fixture
def empty(postgres_server: PostgresServer) -> Iterator[Empty]:
    made = Empty(postgres_server)
    yield made
    made.beside.close()
    postgres_server.drop(made.name)


async def test_both_stores_have_the_same_tables_and_columns(empty: Empty, tmp_path: Path) -> None:
    await migrate(empty.url)
    migrate_file(tmp_path / "data.db")
    with closing(sqlite3.connect(tmp_path / "data.db")) as opened:
        tables = [row[0] for row in opened.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        embedded = {(table, row[1]) for table in tables for row in opened.execute(f"PRAGMA table_info({table})")}
    assert empty.tables_and_columns() - OF_POSTGRES_ALONE == embedded


def test_both_dialects_have_the_same_migrations() -> None:
    numbers = [[number for number, _ in migrations(dialect)] for dialect in Dialect]
    assert numbers[0] == numbers[1] == list(range(1, len(numbers[0]) + 1))


async def test_several_processes_that_start_at_once_migrate_once_and_again_changes_nothing(empty: Empty) -> None:
    await asyncio.gather(*(migrate(empty.url) for _ in range(6)))
    before = empty.tables_and_columns()
    assert empty.version() == migrations(Dialect.POSTGRES)[-1][0]
    await migrate(empty.url)
    assert empty.tables_and_columns() == before


async def test_a_migration_that_fails_leaves_the_database_at_the_version_before(
    empty: Empty, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(empty.url)
    before, version = empty.tables_and_columns(), empty.version()
    scripts = [*migrations(Dialect.POSTGRES), (9000, "CREATE TABLE half (a TEXT); CREATE TABLE half (a TEXT);")]
    monkeypatch.setattr(schema, "migrations", lambda _: scripts)
    with pytest.raises(StoreUnavailable):
        await migrate(empty.url)
    assert (empty.tables_and_columns(), empty.version()) == (before, version)
    scripts[-1] = (9000, "-- now right;\nCREATE TABLE half (a TEXT);")
    await migrate(empty.url)
    assert empty.version() == 9000


@pytest.mark.reliability("R-14")
async def test_a_database_that_is_newer_than_the_program_is_served(stores: PostgresStores) -> None:
    """As while a newer version is rolled out, which has added what this one does not know."""
    async with stores.open() as store:
        alice = await enrol(store)
    stores.beside.execute(
        "ALTER TABLE users ADD COLUMN a_new_one TEXT; ALTER TABLE sign_ins ADD COLUMN a_new_one TEXT DEFAULT 'x';"
        " ALTER TABLE audit ADD COLUMN a_new_one INTEGER; CREATE TABLE a_new_one (a TEXT);"
        " INSERT INTO schema_migrations (number, applied_at) VALUES (9999, 0)"
    )
    async with stores.open() as store:
        seen = await begin(store, alice)
        await answer(store, alice, seen)
        assert (await look(store, seen.sign_in.id)).result_jti
        assert await store.user_by_name("alice")


@pytest.mark.reliability("R-02")
async def test_a_database_that_acknowledges_before_it_is_durable_is_refused_unless_wanted(empty: Empty) -> None:
    empty.beside.execute(f"ALTER DATABASE {empty.name} SET synchronous_commit = off")
    with pytest.raises(UnsafeDatabase, match="synchronous_commit is off"):
        async with PostgresStore(empty.url, Sealer(bytes(32))):
            pass
    assert empty.tables_and_columns() == set()
    async with PostgresStore(empty.url, Sealer(bytes(32)), allow_asynchronous_commit=True) as store:
        await store.check()


async def test_a_database_in_another_encoding_is_refused(postgres_server: PostgresServer) -> None:
    postgres_server.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    with pytest.raises(UnsafeDatabase, match="UTF8"):
        await migrate(postgres_server.url("latin"))
    postgres_server.drop("latin")


async def test_a_role_without_any_right_beyond_its_tables_can_serve_what_another_has_migrated(
    stores: PostgresStores,
) -> None:
    async with stores.open():
        pass
    stores.beside.execute(
        "CREATE ROLE served LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO served"
    )
    try:
        async with PostgresStore(
            stores.server.url(stores.database, "served"), stores.sealer, clock=stores.clock
        ) as store:
            await store.check()
            alice = await enrol(store)
            seen = await begin(store, alice)
            await answer(store, alice, seen)
            await store.sweep()
    finally:
        stores.beside.execute("DROP OWNED BY served; DROP ROLE served")


@pytest.mark.parametrize(
    "statement",
    [READ, WRITE, SEEN, PENDING, READ_NAMED, DEVICE, NEWEST, SETTLED, ACKNOWLEDGE, NEWS, OVERDUE, *MESSAGES, *LEASES],
)
async def test_no_statement_that_is_often_run_reads_a_whole_table(empty: Empty, statement: str) -> None:
    """Not even with the plan that is made while the tables are empty, and kept while they fill."""
    await migrate(empty.url)
    connection = await connect(empty.url, 0)
    try:
        prepared = await connection.prepare(statement)
        values = [None] * len(prepared.get_parameters())
        await connection.execute(f"PREPARE planned AS {statement}")
        plan = await connection.fetch(f"EXPLAIN EXECUTE planned({', '.join('NULL' for _ in values)})")
    finally:
        await connection.close()
    lines = [row[0] for row in plan]
    assert any("Index" in line for line in lines)
    assert not [line for line in lines if "Seq Scan" in line or "Bitmap" in line or "Hash" in line]


async def test_what_is_read_of_a_person_does_not_grow_with_how_many_sign_in(stores: PostgresStores) -> None:
    async with stores.open() as store:
        connection = await connect(stores.url, 0)
        try:
            for name, statement in OF_A_PERSON.items():  # while the tables are empty: the plan is kept
                values = ["NULL"] * len((await connection.prepare(statement)).get_parameters())
                await connection.execute(f"PREPARE {name} AS {statement}")
                await connection.execute(f"EXECUTE {name} ({', '.join(values)})")
            people = [await enrol(store, f"person{number}") for number in range(CROWD)]
            sign_in, *_ = [(await begin(store, person)).sign_in for person in people]
            until = await connection.fetchval(
                "SELECT lease_until FROM deliveries WHERE challenge_id = $1", sign_in.challenge_id
            )
            pages = {
                "read": await _pages(connection, "read", f"ARRAY['{people[0].id}']"),
                "named": await _pages(connection, "named", f"ARRAY['{people[0].user.name_key}']"),
                "seen": await _pages(connection, "seen", f"ARRAY['{sign_in.id}']"),
                "pending": await _pages(connection, "pending", f"ARRAY['{sign_in.challenge_id}']"),
                "lease": await _pages(connection, "lease", f"0, '{sign_in.challenge_id}', {until}"),
            }
        finally:
            await connection.close()
    assert max(pages.values()) < CROWD / 2, pages


async def _pages(connection: Connection, name: str, values: str) -> int:
    """How many pages of tables and indices the statement looks at to find the one row that there is."""
    [[plan]] = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} ({values})")
    top = json.loads(plan)[0]["Plan"]
    assert top["Actual Rows"] == 1
    return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])


@pytest.mark.reliability("R-14")
async def test_a_migration_that_waits_for_a_table_gives_way_to_those_who_are_served(
    stores: PostgresStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody dumps the database meanwhile: reads that come after the migration are not stuck behind it."""
    monkeypatch.setattr(schema, "TRY_AGAIN_SECONDS", 0.1)
    scripts = [*migrations(Dialect.POSTGRES), (9000, "ALTER TABLE users ADD COLUMN a_new_one TEXT")]
    dump = await asyncpg.connect(stores.url)
    try:
        async with stores.open() as store, asyncio.timeout(30):
            alice = await enrol(store)
            monkeypatch.setattr(schema, "migrations", lambda _: scripts)
            async with dump.transaction():
                await dump.execute("LOCK TABLE users IN ACCESS SHARE MODE")
                migrating = asyncio.create_task(migrate(stores.url))
                for _ in range(4):
                    seen = await begin(store, alice)
                    await answer(store, alice, seen)
                    await asyncio.wait({migrating}, timeout=0.2)
                    assert not migrating.done()
            await migrating
            await answer(store, alice, await begin(store, alice))
    finally:
        await dump.close()
    assert stores.beside.rows("SELECT max(number) FROM schema_migrations") == [(9000,)]


async def test_a_migration_waits_for_nobody_for_ever(empty: Empty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "LOCK_SECONDS", 0.1)
    other = await asyncpg.connect(empty.url)
    try:
        await other.execute(f"SELECT pg_advisory_lock({schema._LOCK})")
        with pytest.raises(StoreUnavailable):
            await migrate(empty.url)
    finally:
        await other.close()
    await migrate(empty.url)
