"""What phones show is written down soon, many at once, and told to the browsers concerned."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from push_service.bus.local import LocalBus
from push_service.delivery import receipts as receipts_module
from push_service.delivery.receipts import Receipts
from push_service.model.challenge import DeliveryState
from push_service.model.ids import SignInId
from push_service.ports import Store, Topic
from tests.contracts.kinds import SqliteStores
from tests.contracts.making import begin, challenge_of, enrol

SOON = 30.0


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteStores:
    monkeypatch.setattr(receipts_module, "GATHER_SECONDS", 0.02)
    return SqliteStores(tmp_path)


@pytest.fixture
async def store(stores: SqliteStores) -> AsyncIterator[Store]:
    async with stores.open() as opened:
        yield opened


@asynccontextmanager
async def running(receipts: Receipts) -> AsyncIterator[None]:
    task = asyncio.create_task(receipts.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def delivery(store: Store, sign_in_id: SignInId) -> DeliveryState:
    seen = await store.watch(sign_in_id)
    assert seen is not None
    return seen.delivery


async def test_a_prompt_that_is_shown_becomes_delivered_and_its_browser_hears_it(store: Store) -> None:
    bus = LocalBus()
    receipts = Receipts(store, bus)
    alice = await enrol(store, phones=2)
    shown, other = await begin(store, alice), await begin(store, alice)
    async with running(receipts), bus.listen(Topic.sign_in(shown.sign_in.id)) as listener:
        for phone in (*alice.phones, alice.phone):
            receipts.shown(challenge_of(shown).id, phone.id)
        assert await listener.heard(SOON) < SOON
    assert await delivery(store, shown.sign_in.id) is DeliveryState.DELIVERED
    assert await delivery(store, other.sign_in.id) is DeliveryState.QUEUED


async def test_a_prompt_that_was_answered_needs_no_receipt(store: Store) -> None:
    bus = LocalBus()
    receipts = Receipts(store, bus)
    alice = await enrol(store)
    answered, shown = await begin(store, alice), await begin(store, alice)
    async with running(receipts), bus.listen(Topic.sign_in(shown.sign_in.id)) as listener:
        receipts.shown(challenge_of(answered).id, alice.phone.id)
        receipts.answered(challenge_of(answered).id, alice.phone.id)
        receipts.shown(challenge_of(shown).id, alice.phone.id)
        await listener.heard(SOON)
    assert await delivery(store, answered.sign_in.id) is DeliveryState.QUEUED


async def test_receipts_that_the_store_refuses_are_lost_and_the_next_are_written(
    stores: SqliteStores, store: Store
) -> None:
    bus = LocalBus()
    receipts = Receipts(store, bus)
    alice = await enrol(store)
    lost, written = await begin(store, alice), await begin(store, alice)
    with closing(sqlite3.connect(stores.path)) as other:
        other.execute("ALTER TABLE deliveries RENAME TO away")
        await receipts._write(((challenge_of(lost).id, alice.phone.id),))
        other.execute("ALTER TABLE away RENAME TO deliveries")
    async with running(receipts), bus.listen(Topic.sign_in(written.sign_in.id)) as listener:
        receipts.shown(challenge_of(written).id, alice.phone.id)
        assert await listener.heard(SOON) < SOON
    assert await delivery(store, lost.sign_in.id) is DeliveryState.QUEUED
    assert await delivery(store, written.sign_in.id) is DeliveryState.DELIVERED
