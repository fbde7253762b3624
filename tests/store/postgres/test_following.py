"""What others commit is heard once each, in whatever order transactions end and numbers were given out."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from push_service.ports import Topic
from push_service.store.postgres import PostgresStore
from tests.contracts.kinds import PostgresStores
from tests.contracts.making import answer, begin, enrol
from tests.contracts.test_store_shared import Ear
from tests.store.postgres.eventually import SOON, eventually

RECORD = (
    "INSERT INTO audit (decision, n, at, user_id, actor, kind, data)"
    " VALUES ('dcn_' || $1, 0, 0, $1, 'operator', 'user.changed', '{}')"
)


@pytest.mark.reliability("R-05")
async def test_a_record_that_is_committed_after_ones_with_higher_numbers_is_heard(stores: PostgresStores) -> None:
    ear = Ear()
    async with stores.open(foreign=ear), asyncio.timeout(SOON):
        slow, quick = await asyncpg.connect(stores.url), await asyncpg.connect(stores.url)
        try:
            async with slow.transaction():
                await slow.execute(RECORD, "slow")
                for name in ("first", "second"):
                    await quick.execute(RECORD, name)
                    await ear.hears(Topic("user", name))
                assert Topic("user", "slow") not in ear.heard
            await ear.hears(Topic("user", "slow"))
        finally:
            await slow.close()
            await quick.close()


async def test_each_record_is_heard_once(stores: PostgresStores) -> None:
    heard: list[Topic] = []
    ear = Ear()

    def foreign(topics: tuple[Topic, ...]) -> None:
        heard.extend(topics)
        ear(topics)

    async with stores.open(foreign=foreign), asyncio.timeout(SOON):  # type: ignore[arg-type]
        other = await asyncpg.connect(stores.url)
        try:
            async with other.transaction():  # holds back what is over for good, while others come and go
                await other.execute(RECORD, "held")
                for n in range(5):
                    stores.beside.execute(RECORD.replace("$1", f"'person{n}'"))
                    await ear.hears(Topic("user", f"person{n}"))
            await ear.hears(Topic("user", "held"))
        finally:
            await other.close()
    assert sorted(topic.id for topic in heard) == ["held", *(f"person{n}" for n in range(5))]


@pytest.mark.reliability("R-05", "R-06")
async def test_beside_a_bell_that_is_heard_what_rang_none_is_heard_all_the_same(stores: PostgresStores) -> None:
    ear = Ear()
    belled = PostgresStore(stores.url, stores.sealer, clock=stores.clock, foreign=ear, belled=lambda: True)
    async with belled, asyncio.timeout(SOON):
        stores.beside.execute(RECORD.replace("$1", "'alice'"))
        await ear.hears(Topic("user", "alice"))


@pytest.mark.reliability("R-05")
async def test_what_was_committed_while_the_follower_could_not_look_is_heard_afterwards(stores: PostgresStores) -> None:
    ear = Ear()
    async with stores.open(foreign=ear), asyncio.timeout(SOON):
        stores.beside.execute("ALTER TABLE audit RENAME COLUMN kind TO lost")
        stores.beside.execute(RECORD.replace("kind", "lost").replace("$1", "'alice'"))
        await tried_in_vain(stores)
        assert not ear.heard
        stores.beside.execute("ALTER TABLE audit RENAME COLUMN lost TO kind")
        await ear.hears(Topic("user", "alice"))


async def tried_in_vain(stores: PostgresStores) -> None:
    """The follower has met with the missing column: the server's log says so."""
    before = stores.server.log.count('kind" does not exist')
    await eventually(lambda: stores.server.log.count('kind" does not exist') > before)


@pytest.mark.reliability("R-06")
async def test_after_the_server_crashed_others_are_heard_again_and_nothing_was_missed(stores: PostgresStores) -> None:
    ear = Ear()
    async with stores.open(foreign=ear), asyncio.timeout(SOON):
        async with stores.open() as other:
            alice = await enrol(other)
            await asyncio.to_thread(stores.server.restart)
        async with stores.open() as other:
            seen = await begin(other, alice)
            await answer(other, alice, seen)
        await ear.hears(Topic.user(alice.id), Topic.sign_in(seen.sign_in.id))


async def test_a_database_that_went_back_is_followed_from_where_it_is(stores: PostgresStores) -> None:
    """As after a restore into another server, whose transactions have lower numbers."""
    ear = Ear()
    async with stores.open(foreign=ear) as store, stores.open() as other, asyncio.timeout(SOON):
        assert isinstance(store, PostgresStore)
        store._follower._seen = "900000000:900000000:"
        await eventually(lambda: not store._follower._seen.startswith("9000"))
        alice = await enrol(other)
        seen = await begin(other, alice)
        await ear.hears(Topic.user(alice.id), Topic.sign_in(seen.sign_in.id))
