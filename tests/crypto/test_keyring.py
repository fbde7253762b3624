"""The service's own keys: made once, rotated without a gap, forgotten when nothing signed with them is alive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from push_service.bus.local import LocalBus
from push_service.crypto import jws
from push_service.crypto.keyring import KEPT_SECONDS, JwkSet, Keyring
from push_service.model.device import PublicKey
from push_service.model.instant import after
from push_service.model.policy import MAX_SIGN_IN_SECONDS
from push_service.ports import SIGNING_KEYS, Store
from tests.contracts.kinds import SqliteStores

TYP = "sign-in-result+jwt"


@pytest.fixture
def stores(tmp_path: Path) -> SqliteStores:
    return SqliteStores(tmp_path)


@pytest.fixture
async def store(stores: SqliteStores) -> AsyncIterator[Store]:
    async with stores.open() as opened:
        yield opened


def verified(token: str, keys: JwkSet) -> bytes:
    """What a stranger reads who has the published keys."""
    parsed = jws.parse(token, TYP)
    (key,) = [each for each in keys.keys if each.kid == parsed.header.kid]
    return jws.verify(parsed, jws.load_key(PublicKey(key.x, key.y)))


async def test_an_empty_store_gets_its_first_key_and_a_later_process_the_same(
    stores: SqliteStores, store: Store
) -> None:
    ring = Keyring(store, LocalBus())
    with pytest.raises(RuntimeError):
        ring.sign(b"{}", TYP)
    await ring.open()
    token = ring.sign(b'{"sub":"usr_1"}', TYP)
    async with stores.open() as later:
        again = Keyring(later, LocalBus())
        await again.open()
        assert again.published(stores.clock()) == ring.published(stores.clock())
        assert verified(token, again.published(stores.clock())) == b'{"sub":"usr_1"}'
    assert len(await store.signing_keys()) == 1
    assert [each.kind for each in stores.audit()] == ["key.rotated"]


async def test_the_published_set_says_what_verifiers_need_and_nothing_private(store: Store) -> None:
    ring = Keyring(store, LocalBus())
    await ring.open()
    (published,) = json.loads(msgspec.json.encode(ring.published(await store.now())))["keys"]
    assert published.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert (published["kty"], published["crv"], published["alg"], published["use"]) == ("EC", "P-256", "ES256", "sig")


@pytest.mark.security("S-68")
async def test_after_a_rotation_the_newest_signs_and_the_older_verify_until_their_tokens_are_over(
    stores: SqliteStores, store: Store
) -> None:
    ring = Keyring(store, LocalBus())
    await ring.open()
    old = ring.sign(b'{"n":1}', TYP)
    stores.clock.advance(3600)
    rotated_at = await store.now()
    made = await ring.rotate()
    new = ring.sign(b'{"n":2}', TYP)
    assert jws.parse(new, TYP).header.kid == made.kid
    assert jws.parse(old, TYP).header.kid != made.kid
    both = ring.published(rotated_at)
    assert both.keys[0].kid == made.kid
    assert (verified(old, both), verified(new, both)) == (b'{"n":1}', b'{"n":2}')
    longest = after(rotated_at, MAX_SIGN_IN_SECONDS)
    assert ring.published(longest) == both
    over = after(rotated_at, KEPT_SECONDS)
    assert [each.kid for each in ring.published(over).keys] == [made.kid]


async def test_each_rotation_retires_only_the_one_before(stores: SqliteStores, store: Store) -> None:
    ring = Keyring(store, LocalBus())
    await ring.open()
    for _ in range(3):
        stores.clock.advance(100)
        await ring.rotate()
    newest, *older = await ring.list()
    assert newest.retired_at is None
    successors = [newest, *older[:-1]]
    assert [each.retired_at for each in older] == [each.created_at for each in successors]


async def test_a_process_beside_signs_with_the_new_key_once_the_bell_has_rung(
    stores: SqliteStores, store: Store
) -> None:
    bus, rung = LocalBus(), asyncio.Event()
    ring = Keyring(store, bus)
    await ring.open()
    async with stores.open(foreign=bus.ring_now) as server_store, bus.attach(SIGNING_KEYS, rung.set):
        server = Keyring(server_store, bus)
        await server.open()
        before = server.sign(b"{}", TYP)
        stores.clock.advance(1)
        made = await ring.rotate()
        async with asyncio.timeout(20):
            await rung.wait()
        await server.refresh()
        assert jws.parse(server.sign(b"{}", TYP), TYP).header.kid == made.kid
        assert verified(before, server.published(stores.clock())) == b"{}"


async def test_every_kind_of_token_has_its_own_typ_and_all_the_same_key(store: Store) -> None:
    ring = Keyring(store, LocalBus())
    await ring.open()
    tokens = {typ: ring.sign(b"{}", typ) for typ in (TYP, "sign-in-context+jwt")}
    for typ, token in tokens.items():
        assert jws.parse(token, typ).header.typ == typ
        with pytest.raises(jws.BadToken):
            jws.parse(token, "device-answer+jwt")
    assert len({jws.parse(token, typ).header.kid for typ, token in tokens.items()}) == 1
