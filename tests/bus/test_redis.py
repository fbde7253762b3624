"""The bell between processes while all is well: who hears what, and what it costs the server."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from push_service.bus.redis import RedisBus
from push_service.model.ids import SignInId, UserId
from push_service.ports import APPLICATIONS, Topic
from tests.bus.between import SOON, Bells, channels, comes_true, commands, in_trouble, well
from tests.support.redis import RedisServer

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
TOPIC, OTHER = Topic.sign_in(SignInId("si_1")), Topic.user(UserId("usr_1"))


@pytest.fixture
async def here(shared_redis: RedisServer) -> AsyncIterator[RedisBus]:
    async with RedisBus(shared_redis.url) as opened:
        yield opened


@pytest.fixture
async def there(shared_redis: RedisServer) -> AsyncIterator[RedisBus]:
    async with RedisBus(shared_redis.url) as opened:
        yield opened


async def test_what_rings_in_one_process_is_heard_in_the_other(here: RedisBus, there: RedisBus) -> None:
    async with here.listen(TOPIC) as listener, here.attach(APPLICATIONS, asyncio.Event().set):
        await there.ring([OTHER, TOPIC])
        assert await listener.heard(SOON) < SOON


@pytest.mark.usefixtures("patient")
async def test_whoever_rings_hears_it_once(here: RedisBus, there: RedisBus) -> None:
    bells = Bells()
    async with here.attach(TOPIC, bells.of(TOPIC)), there.listen(TOPIC) as listener, here.listen(OTHER) as last:
        await here.ring([TOPIC])
        await listener.heard(SOON)
        await there.ring([OTHER])  # comes by the same connection as an echo would
        assert await last.heard(SOON) < SOON
    assert bells.rung == {TOPIC: 1}


async def test_it_counts_the_processes_that_listen_and_not_the_listeners(here: RedisBus, there: RedisBus) -> None:
    assert await here.heard_by(TOPIC) == 0
    async with there.listen(TOPIC), there.listen(TOPIC):
        assert await here.heard_by(TOPIC) == 1
        assert await there.heard_by(TOPIC) == 1
        async with here.listen(TOPIC):
            assert await here.heard_by(TOPIC) == 2
            assert await there.heard_by(TOPIC) == 2


async def test_equal_rings_that_come_together_go_out_as_one(
    here: RedisBus, there: RedisBus, shared_redis: RedisServer
) -> None:
    before = await commands(shared_redis, "publish")
    async with there.listen(TOPIC) as listener:
        for _ in range(1000):
            await here.ring([TOPIC, TOPIC])
        assert await listener.heard(SOON) < SOON
    assert await commands(shared_redis, "publish") == before + 1


async def test_leaving_and_coming_back_at_once_keeps_the_subscription(
    here: RedisBus, there: RedisBus, shared_redis: RedisServer
) -> None:
    async with here.listen(TOPIC):
        before = await commands(shared_redis, "subscribe")
    for _ in range(50):
        async with here.listen(TOPIC):
            pass
    async with here.listen(TOPIC) as listener:
        assert await commands(shared_redis, "subscribe") == before
        await there.ring([TOPIC])
        assert await listener.heard(SOON) < SOON


@pytest.mark.usefixtures("quick_heart")
@pytest.mark.reliability("R-08")
async def test_thousands_of_listeners_come_and_go_and_the_server_knows_nothing_of_them(
    redis_server: RedisServer,
) -> None:
    async with RedisBus(redis_server.url) as bus:

        async def stay(n: int) -> None:
            async with AsyncExitStack() as stack:
                listener = await stack.enter_async_context(bus.listen(Topic.sign_in(SignInId(f"si_{n}"))))
                await listener.heard(SOON)

        tasks = [asyncio.create_task(stay(n)) for n in range(2000)]
        async with asyncio.timeout(SOON):
            while len(await channels(redis_server)) < 2000:
                pass
        for task in tasks[::2]:
            task.cancel()
        bus.ring_all()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert bus.listening == 0
        async with asyncio.timeout(SOON):
            while await channels(redis_server):
                pass


@pytest.mark.usefixtures("quick_heart")
async def test_entering_that_is_cancelled_leaves_nothing_behind(redis_server: RedisServer) -> None:
    async with RedisBus(redis_server.url) as bus:
        redis_server.pause()
        entering = asyncio.create_task(bus.listen(TOPIC).__aenter__())
        await asyncio.sleep(0)
        assert bus.listeners(TOPIC) == 1
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert bus.listeners(TOPIC) == 0
        redis_server.resume()
        async with asyncio.timeout(SOON):
            while await channels(redis_server):
                pass


@pytest.mark.reliability("R-06")
async def test_garbage_on_every_channel_is_a_bell_like_any_other(
    here: RedisBus, there: RedisBus, shared_redis: RedisServer
) -> None:
    bells = Bells()
    async with here.attach(TOPIC, bells.of(TOPIC)), here.listen(OTHER) as last, shared_redis.client() as stranger:
        for channel in await stranger.pubsub_channels("*") + [
            b"push-service:sign_in:si_unknown",
            b"push-service:",
            b"x",
        ]:
            for message in (b"", b"\xff\x00\r\n", os.urandom(100_000), b'{"state": "approved"}'):
                await stranger.publish(channel, message)
        assert await last.heard(SOON) < SOON
        await there.ring([OTHER])
        assert await last.heard(SOON) < SOON
        await comes_true(lambda: TOPIC in bells.rung)
    assert here.trouble is None


async def test_the_documented_account_suffices_and_its_password_is_told_to_no_one(redis_server: RedisServer) -> None:
    rules = re.search(r"`ACL SETUSER push-service on >PASSWORD ([^`]+)`", OPERATIONS.read_text())
    assert rules
    await redis_server.command("ACL", "SETUSER", "push-service", "on", ">s/cret", *rules[1].split())
    place = redis_server.url.removeprefix("redis://")
    right, wrong = RedisBus(f"redis://push-service:s%2Fcret@{place}"), RedisBus(f"redis://push-service:other@{place}")
    async with right, wrong:
        assert right.trouble is None
        said = await in_trouble(wrong)
        assert place in said
        assert "other" not in said
        async with RedisBus(f"redis://push-service:s%2Fcret@{place}") as there, right.listen(TOPIC) as listener:
            assert await right.heard_by(TOPIC) == 1
            await there.ring([TOPIC])
            assert await listener.heard(SOON) < SOON
            assert right.trouble is None


@pytest.mark.parametrize("forbidden", ["-subscribe", "-publish"])
async def test_a_server_that_refuses_a_command_is_trouble_that_is_named(
    redis_server: RedisServer, forbidden: str
) -> None:
    await redis_server.command("ACL", "SETUSER", "default", forbidden)
    async with RedisBus(redis_server.url) as bus, bus.listen(TOPIC) as listener:
        await bus.ring([TOPIC])
        assert await listener.heard(SOON) < SOON
        assert "permissions" in await in_trouble(bus)
        await redis_server.command("ACL", "SETUSER", "default", "+@all")
        await well(bus)


async def test_where_counting_is_forbidden_it_is_unknown_and_all_else_goes_on(redis_server: RedisServer) -> None:
    await redis_server.command("ACL", "SETUSER", "default", "-pubsub")
    async with RedisBus(redis_server.url) as here, RedisBus(redis_server.url) as there, there.listen(TOPIC) as listener:
        assert await here.heard_by(TOPIC) == 0
        assert await there.heard_by(TOPIC) == 1
        await here.ring([TOPIC])
        assert await listener.heard(SOON) < SOON
        assert here.trouble is None


async def test_what_rang_last_before_a_process_ends_is_heard(there: RedisBus, shared_redis: RedisServer) -> None:
    async with there.listen(TOPIC) as listener:
        async with RedisBus(shared_redis.url) as ending:
            await ending.ring([*(Topic.sign_in(SignInId(f"si_other{n}")) for n in range(5000)), TOPIC])
        assert await listener.heard(SOON) < SOON
