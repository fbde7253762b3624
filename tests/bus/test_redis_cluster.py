"""The bell over a cluster: each topic at the node of its slot, wherever that goes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from redis.crc import key_slot

from push_service.bus.redis import RedisBus
from push_service.bus.redis.wire import channel_of
from push_service.model.ids import SignInId
from push_service.ports import Topic
from tests.bus.between import SOON, comes_true, in_trouble, well
from tests.support.redis import RedisServer
from tests.support.redis_cluster import SLOTS, RedisCluster

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
TOPICS = [Topic.sign_in(SignInId(f"si_{n}")) for n in range(60)]


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("quick_heart")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisCluster]:
    """One for all stories: each leaves it whole, with its slots where they were."""
    made = RedisCluster(tmp_path_factory.mktemp("cluster"))
    try:
        await made.start()
        yield made
    finally:
        made.kill()


async def heard_everywhere(here: RedisBus, there: RedisBus) -> None:
    """Every topic that rings there is heard here."""
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(here.listen(topic)) for topic in TOPICS]
        await asyncio.gather(*(each.heard(0) for each in listeners))
        await there.ring(TOPICS)
        assert max(await asyncio.gather(*(each.heard(SOON) for each in listeners))) < SOON


async def shard_channels(server: RedisServer) -> int:
    found = await server.command("PUBSUB", "SHARDCHANNELS")
    assert isinstance(found, list)
    return len(found)


async def test_topics_are_spread_over_the_nodes_and_heard_from_all(cluster: RedisCluster) -> None:
    async with RedisBus(cluster.url) as here, RedisBus(cluster.url) as there:
        assert here.trouble is None
        async with AsyncExitStack() as stack:
            for topic in TOPICS:
                await stack.enter_async_context(here.listen(topic))
            spread = [await shard_channels(each) for each in cluster.nodes]
            assert sum(spread) == len(TOPICS)
            assert min(spread) > 0
            assert [await there.heard_by(topic) for topic in TOPICS] == [1] * len(TOPICS)
        await heard_everywhere(here, there)
        async with asyncio.timeout(SOON):
            while any([await shard_channels(each) for each in cluster.nodes]):
                pass


async def test_the_documented_account_suffices(cluster: RedisCluster) -> None:
    rules = re.search(
        r"`ACL SETUSER push-service on >PASSWORD ([^`]+)`, and on a cluster\s+`([^`]+)`", OPERATIONS.read_text()
    )
    assert rules
    for each in cluster.nodes:
        given = [*rules[1].split(), *rules[2].split()]
        await each.command("ACL", "SETUSER", "push-service", "on", ">secret", *given)
    url = cluster.url.replace("://", "://push-service:secret@")
    async with RedisBus(url) as here, RedisBus(url) as there, there.listen(TOPICS[0]):
        assert here.trouble is None
        assert await here.heard_by(TOPICS[0]) == 1
        await heard_everywhere(here, there)
        assert here.trouble is None


async def test_where_slots_move_their_topics_move_along(cluster: RedisCluster) -> None:
    first, second, _ = cluster.nodes
    moving = [topic for topic in TOPICS if key_slot(channel_of(topic)) < SLOTS // 3][:3]
    async with RedisBus(cluster.url) as here, RedisBus(cluster.url) as there, AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(here.listen(topic)) for topic in moving]
        slots = [key_slot(channel_of(topic)) for topic in moving]
        await cluster.move(slots, second)
        stack.push_async_callback(cluster.move, slots, first)
        assert max(await asyncio.gather(*(each.heard(SOON) for each in listeners))) < SOON, "nobody looked again"
        await there.ring(moving)  # from a process that has heard nothing of the move yet
        assert max(await asyncio.gather(*(each.heard(SOON) for each in listeners))) < SOON
        await well(here, there)
        await heard_everywhere(here, there)
        async with asyncio.timeout(SOON):
            while [await there.heard_by(topic) for topic in moving] != [1] * len(moving):
                pass


async def test_a_node_that_dies_is_named_and_its_topics_come_back_with_it(cluster: RedisCluster) -> None:
    last = cluster.nodes[2]
    async with RedisBus(cluster.url) as here, RedisBus(cluster.url) as there:
        last.kill()
        assert str(last.port) in await in_trouble(here)
        await there.ring(TOPICS)
        last.start()
        await well(here, there)
        await comes_true(lambda: here.reconnects >= 1)
        await heard_everywhere(here, there)


async def test_a_cluster_that_is_not_there_at_first_is_found_when_it_comes(cluster: RedisCluster) -> None:
    cluster.kill()
    async with RedisBus(cluster.url) as here, here.listen(TOPICS[0]) as listener:
        assert here.trouble is not None
        for each in cluster.nodes:
            each.start()
        await well(here)
        assert await listener.heard(SOON) < SOON
