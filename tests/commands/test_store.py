"""`push-service store copy`: an embedded installation moves to PostgreSQL whole, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from push_service.crypto.sealing import Sealer, key_from_file
from push_service.model import ids
from push_service.model.app_password import AppPassword
from push_service.model.application import Application
from push_service.model.decision import Actor, Audit, AuditKind, Remembered
from push_service.model.device import UsedActivation
from push_service.model.ids import ApplicationId, DeviceId
from push_service.model.instant import after
from push_service.model.throttle import Charge
from push_service.ports import StoredKey
from push_service.store.postgres import PostgresStore
from push_service.store.sqlite import SqliteStore
from tests.commands.conftest import Push
from tests.contracts.kinds import WholeStore
from tests.contracts.making import Person, answer, begin, enrol, writing
from tests.contracts.texting import NUMBER, text
from tests.support.postgres import PostgresServer


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory."""
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path / "data"


@pytest.fixture
def target(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database; its name."""
    name = postgres_server.create()
    yield name
    postgres_server.drop(name)


def sealer_of(data: Path) -> Sealer:
    return Sealer(key_from_file(data / "secret.key"))


async def lived_in(data: Path) -> tuple[Person, str]:
    """An installation with something in every table; somebody in it, with a sign-in under way."""
    async with SqliteStore(data / "push-service.db", sealer_of(data)) as store:
        alice = await enrol(store, "alice", phones=2, mobile="+491511234567")
        await enrol(store, "Zoë 李雷")
        done, live = await begin(store, alice), await begin(store, alice)
        await answer(store, alice, done)
        now = await store.now()
        kept = Remembered("app_1", "POST /", "key", "mac", b"\x00sealed\xff", after(now, 600))
        code = UsedActivation("code", alice.id, after(now, 600))
        await store.decide(alice.id, writing(remembered=kept, activation=code))
        mail = AppPassword(id=ids.app_password_id(), name="mail", created_at=now)
        await store.decide(alice.id, writing(app_password=mail))
        await text(store, alice, lease_until=now)
        await store.debit([Charge("key", cost=900_000_000, burst=900_000_000)])
        await store.spend_proof(DeviceId("dev_1"), "jti", after(now, 120))
        await store.connected(alice.phone.id, ids.connection_id(), now)
        added = Audit(kind=AuditKind.APPLICATION_ADDED, actor=Actor.OPERATOR)
        await store.put_application(Application(id=ApplicationId("app_1"), name="Mail"), added)
        await store.put_signing_keys([StoredKey(kid="key_1", pem=pem(), created_at=now)], added)
        return alice, live.sign_in.id


async def everything(store: WholeStore, alice: Person, sign_in_id: str) -> tuple[object, ...]:
    return (
        await store.users(),
        await store.devices(alice.id),
        await store.asked(alice.id),
        await store.watch(sign_in_id),  # type: ignore[arg-type]
        await store.remembered("app_1", "POST /", "key"),
        await store.activation("code"),
        await store.applications(),
        await store.signing_keys(),
        await store.app_passwords(alice.id),
    )


def pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


def rows_of(file: Path) -> dict[str, int]:
    with closing(sqlite3.connect(file)) as opened:
        tables = [row[0] for row in opened.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {each: opened.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in tables}  # noqa: S608


async def test_everything_is_there_afterwards_and_the_service_goes_on_with_it(
    push: Push, data: Path, postgres_server: PostgresServer, target: str
) -> None:
    alice, sign_in_id = await lived_in(data)
    wanted = rows_of(data / "push-service.db")
    assert all(wanted.values())
    url = postgres_server.url(target)
    copied = push("store", "copy", "--to", url, "--json")
    assert copied.code == 0, copied.err
    tables: list[dict[str, object]] = copied.json["tables"]  # type: ignore[assignment]
    assert {each["name"]: each["rows"] for each in tables} == wanted
    assert len({each["digest"] for each in tables}) == len(wanted)
    async with SqliteStore(data / "push-service.db", sealer_of(data)) as before:
        former = await everything(before, alice, sign_in_id)
    async with PostgresStore(url, sealer_of(data)) as store:
        assert await everything(store, alice, sign_in_id) == former
        assert not await store.spend_proof(DeviceId("dev_1"), "jti", await store.now())
        seen = await store.watch(sign_in_id)  # type: ignore[arg-type]
        assert seen is not None
        await answer(store, alice, seen)
        await begin(store, alice)
        [outgoing] = (await store.take_due_messages(10, 10)).to_send
        assert outgoing.number == NUMBER
    beside = postgres_server.beside(target)
    (newest,) = beside.rows("SELECT count(*) FROM audit WHERE seq > $1", wanted["audit"])
    beside.close()
    assert newest == (2,)
    shown = push("user", "show", "alice", "--json", PUSH_SERVICE_DATABASE_URL=url)
    assert shown.json["mobile"] == "+491511234567"


async def test_a_database_that_is_not_empty_is_refused_and_left_alone(
    push: Push, data: Path, postgres_server: PostgresServer, target: str
) -> None:
    await lived_in(data)
    url = postgres_server.url(target)
    assert push("store", "copy", "--to", url).code == 0
    assert "not empty" in push("store", "copy", "--to", url).refusal
    beside = postgres_server.beside(target)
    assert beside.rows("SELECT count(*) FROM users") == [(2,)]
    beside.close()


async def test_a_file_that_somebody_else_has_open_is_not_copied(
    push: Push, data: Path, postgres_server: PostgresServer, target: str
) -> None:
    await lived_in(data)
    url = postgres_server.url(target)
    async with SqliteStore(data / "push-service.db", sealer_of(data)) as served:
        assert "stop the server first" in push("store", "copy", "--to", url).refusal
        await served.check()
    assert push("store", "copy", "--to", url).code == 0


async def test_what_can_not_be_copied_leaves_the_target_empty(
    push: Push, data: Path, postgres_server: PostgresServer, target: str
) -> None:
    """A NUL is text to the one and none to the other."""
    await lived_in(data)
    with closing(sqlite3.connect(data / "push-service.db")) as opened, opened:
        opened.execute("UPDATE users SET username = 'a' || char(0) || 'b' WHERE name_key = 'alice'")
    assert "NUL" in push("store", "copy", "--to", postgres_server.url(target)).refusal
    beside = postgres_server.beside(target)
    assert beside.rows("SELECT count(*) FROM audit") == [(0,)]
    beside.close()


def test_slips_are_told(push: Push, data: Path) -> None:
    assert "no database to copy" in push("store", "copy", "--to", "postgresql://db/x").refusal
    assert not list(data.glob("*.db"))
    assert "must be postgresql://" in push("store", "copy", "--to", "sqlite:///x.db").refusal
    already = push("store", "copy", "--to", "postgresql://db/x", PUSH_SERVICE_DATABASE_URL="postgresql://db/y")
    assert "already" in already.refusal
