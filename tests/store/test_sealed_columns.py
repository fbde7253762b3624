"""Whoever reads the file, or copies a value from one row to another, has nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from push_service.crypto.sealing import SealBroken, Sealer
from push_service.model import ids
from push_service.model.decision import Actor, Audit, AuditKind, MethodSecret
from push_service.ports import StoredKey
from push_service.store.sqlite import SqliteStore
from tests.contracts.kinds import SqliteStores
from tests.contracts.making import BY_OPERATOR, HandClock, begin, challenge_of, enrol, writing

PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEH\n-----END PRIVATE KEY-----\n"
ROTATED = Audit(kind=AuditKind.KEY_ROTATED, actor=Actor.OPERATOR)


async def keys(store: SqliteStore) -> None:
    now = await store.now()
    await store.put_signing_keys([StoredKey(kid=f"key_{n}", pem=f"{PEM}{n}", created_at=now) for n in (1, 2)], ROTATED)


@pytest.mark.security("S-12", "S-68")
async def test_nothing_secret_can_be_read_in_the_file_while_open_or_after(stores: SqliteStores) -> None:
    async with stores.open() as store:
        assert isinstance(store, SqliteStore)
        alice = await enrol(store, mobile="+491511234567", office="+4930987654;ext=42")
        seen = await begin(store, alice)
        await keys(store)
        secrets = (
            challenge_of(seen).secret,
            alice.phone.push_token,
            alice.phone.totp_secret,
            PEM.splitlines()[1],
            "491511234567",
            "4930987654",
        )
        readable = (seen.sign_in.id, alice.id, alice.phone.thumbprint, "key_1")
        for moment in ("open", "closed"):
            if moment == "closed":
                await store.__aexit__(None, None, None)
            files = sorted(stores.path.parent.glob(f"{stores.path.name}*"))
            content = b"".join(each.read_bytes() for each in files)
            for text in readable:
                assert text.encode() in content, moment
            for secret in secrets:
                assert secret is not None
                assert secret.encode() not in content, (moment, secret)
        await store.__aenter__()  # for the block's own end


@pytest.mark.security("S-68")
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("users", "mobile"),
        ("users", "office"),
        ("devices", "push_token"),
        ("devices", "totp_secret"),
        ("challenges", "secret"),
        ("signing_keys", "pem"),
        ("method_secrets", "value"),
    ],
)
async def test_a_sealed_value_copied_to_another_row_does_not_open(
    stores: SqliteStores, store: SqliteStore, table: str, column: str
) -> None:
    alice = await enrol(store, "alice", mobile="+491511111111", office="+4930111111")
    bob = await enrol(store, "bob", mobile="+491512222222", office="+4930222222")
    begun = [await begin(store, alice), await begin(store, bob)]
    await keys(store)
    secrets = tuple(MethodSecret(ids.method_id(), f"+4915100{n}") for n in (1, 2))
    await store.decide(alice.id, writing(method_secrets=secrets))
    key = {"signing_keys": "kid", "method_secrets": "method_id"}.get(table, "id")
    with closing(sqlite3.connect(stores.path)) as connection, connection:
        (one, first), (other, second) = connection.execute(f"SELECT {key}, {column} FROM {table} ORDER BY rowid")  # noqa: S608
        assert first != second
        for row, value in ((one, second), (other, first)):
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (value, row))  # noqa: S608
    reads: dict[str, Callable[[], Awaitable[object]]] = {
        "users": lambda: store.user_by_name("alice"),
        "devices": lambda: store.device(alice.phone.id),
        "challenges": lambda: store.challenge(challenge_of(begun[0]).id),
        "signing_keys": store.signing_keys,
        "method_secrets": lambda: store.method_secret(secrets[0].method_id),
    }
    with pytest.raises(SealBroken):
        await reads[table]()


@pytest.mark.security("S-68")
async def test_a_sealed_value_copied_to_another_column_of_its_row_does_not_open(
    stores: SqliteStores, store: SqliteStore
) -> None:
    alice = await enrol(store)
    with closing(sqlite3.connect(stores.path)) as connection, connection:
        connection.execute("UPDATE devices SET push_token = totp_secret")
    with pytest.raises(SealBroken):
        await store.device(alice.phone.id)


async def test_a_row_that_does_not_open_is_its_readers_trouble_alone(stores: SqliteStores, store: SqliteStore) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    seen = await begin(store, alice)
    with closing(sqlite3.connect(stores.path)) as connection, connection:
        connection.execute("UPDATE challenges SET secret = zeroblob(40)")
    with pytest.raises(SealBroken):
        await store.decide(alice.id, writing())
    with pytest.raises(SealBroken):
        await store.watch(seen.sign_in.id)
    await begin(store, bob)
    await store.record([BY_OPERATOR])


async def test_another_key_opens_nothing(stores: SqliteStores) -> None:
    async with stores.open() as store:
        alice = await enrol(store)
    async with SqliteStore(stores.path, Sealer(b"\1" * 32), clock=HandClock()) as stranger:
        with pytest.raises(SealBroken):
            await stranger.device(alice.phone.id)
        assert await stranger.user(alice.id) == alice.user


@pytest.mark.security("S-68")
async def test_the_file_and_its_companions_are_their_owners_alone(stores: SqliteStores, store: SqliteStore) -> None:
    await enrol(store)
    files = sorted(stores.path.parent.glob(f"{stores.path.name}*"))
    assert [each.name for each in files] == ["data.db", "data.db-shm", "data.db-wal", "data.db.migrating"]
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}


async def test_values_bound_to_a_row_are_sealed_anew_each_time(tmp_path: Path) -> None:
    stores = SqliteStores(tmp_path)
    async with stores.open() as store:
        alice = await enrol(store)

        def sealed() -> object:
            with closing(sqlite3.connect(stores.path)) as connection:
                return connection.execute("SELECT totp_secret FROM devices").fetchone()[0]

        before = sealed()
        await store.decide(alice.id, writing(device=msgspec.structs.replace(alice.phone, name="Blue")))
        assert sealed() != before
