"""The bell between processes when Redis or the way there fails: nobody waits for it, nobody misses what rang."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from push_service.bus.redis import RedisBus, node
from push_service.bus.redis import bus as bus_module
from push_service.bus.redis.wire import channel_of
from push_service.model.ids import SignInId, UserId
from push_service.ports import Topic
from tests.bus.between import SOON, Bells, channels, comes_true, in_trouble, reconnected, well
from tests.support.proxy import CLEAR, HOLE, Proxy, Way, proxy_to
from tests.support.redis import RedisServer

TOPIC, OTHER = Topic.sign_in(SignInId("si_1")), Topic.user(UserId("usr_1"))


@pytest.fixture
async def here(redis_server: RedisServer) -> AsyncIterator[RedisBus]:
    async with RedisBus(redis_server.url) as opened:
        yield opened


@pytest.fixture
async def there(redis_server: RedisServer) -> AsyncIterator[RedisBus]:
    async with RedisBus(redis_server.url) as opened:
        yield opened


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[Proxy]:
    async with proxy_to(redis_server.port) as opened:
        yield opened


@pytest.fixture
async def afar(proxy: Proxy) -> AsyncIterator[RedisBus]:
    """A process that reaches the server over the proxy."""
    async with RedisBus(f"redis://127.0.0.1:{proxy.port}") as opened:
        yield opened


@pytest.mark.reliability("R-05")
async def test_what_rang_while_the_server_was_dead_is_looked_for_when_it_is_back(
    here: RedisBus, there: RedisBus, redis_server: RedisServer
) -> None:
    bells = Bells()
    async with here.attach(TOPIC, bells.of(TOPIC)):
        redis_server.kill()
        await in_trouble(here)
        await in_trouble(there)
        await there.ring([TOPIC])
        redis_server.start()
        await well(here, there)
        assert TOPIC in bells.rung
        assert here.reconnects == 1
        async with here.listen(OTHER) as listener:
            await there.ring([OTHER])
            assert await listener.heard(SOON) < SOON


@pytest.mark.reliability("R-05")
async def test_a_server_that_stands_still_is_noticed_and_left(
    here: RedisBus, there: RedisBus, redis_server: RedisServer
) -> None:
    async with here.listen(TOPIC) as listener:
        redis_server.pause()
        await there.ring([TOPIC])
        assert "does not answer" in await in_trouble(here)
        await listener.heard(0)
        redis_server.resume()
        await well(here)
        assert await listener.heard(SOON) < SOON


@pytest.mark.reliability("R-05")
async def test_subscriptions_that_the_server_ends_are_made_again(
    here: RedisBus, there: RedisBus, redis_server: RedisServer
) -> None:
    async with here.listen(TOPIC) as listener, there.listen(OTHER):
        for n in range(1, 4):
            await redis_server.command("CLIENT", "KILL", "TYPE", "pubsub")
            await there.ring([TOPIC])
            assert await listener.heard(SOON) < SOON
            await reconnected(n, here, there)
        await well(here, there)
        assert len(await channels(redis_server)) == 2


@pytest.mark.reliability("R-05")
async def test_a_server_that_pauses_its_clients_delays_and_loses_nothing(
    here: RedisBus, there: RedisBus, redis_server: RedisServer
) -> None:
    async with here.listen(TOPIC) as listener, redis_server.client() as operator:
        await operator.client_pause(1000)
        await there.ring([TOPIC])
        assert await listener.heard(SOON) < SOON


@pytest.mark.reliability("R-06")
async def test_what_rings_before_a_subscription_is_live_is_looked_for_once_it_is(
    afar: RedisBus, there: RedisBus, proxy: Proxy
) -> None:
    proxy.up = Way(delay=0.5)
    async with afar.listen(TOPIC) as listener:
        assert await there.heard_by(TOPIC) == 0, "the server knows of the subscription already"
        await there.ring([TOPIC])
        await there.heard_by(TOPIC)  # comes after the ring, over the same connection
        assert await listener.heard(SOON) < SOON
        assert await there.heard_by(TOPIC) == 1


@pytest.mark.reliability("R-06")
async def test_a_late_confirmation_keeps_nobody_waiting_and_then_rings(
    afar: RedisBus, there: RedisBus, proxy: Proxy
) -> None:
    proxy.down = Way(delay=0.5)
    async with afar.listen(TOPIC) as listener:
        await there.ring([TOPIC])
        assert await listener.heard(SOON) < SOON
    assert afar.trouble is None


@pytest.mark.usefixtures("quick_heart")
@pytest.mark.reliability("R-05", "R-13")
async def test_a_subscriber_that_is_cut_at_the_output_limit_comes_back_and_looks_again(
    afar: RedisBus, proxy: Proxy, redis_server: RedisServer
) -> None:
    async with afar.listen(TOPIC) as listener, redis_server.client() as other:
        await other.config_set("client-output-buffer-limit", "pubsub 1mb 0 0")
        proxy.down = HOLE  # this process stands still, as far as the server can see
        async with asyncio.timeout(SOON):
            while await other.publish("push-service:sign_in:si_1", bytes(512 * 1024)):
                pass
        proxy.down = CLEAR
        await reconnected(1, afar)
        assert await listener.heard(SOON) < SOON
        await well(afar)
        assert len(await channels(redis_server)) == 1


async def test_ringing_never_waits_nor_fails_and_what_is_too_much_is_counted(
    here: RedisBus, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "OUTBOX", 100)
    async with here.listen(TOPIC) as listener:
        redis_server.kill()
        await in_trouble(here)
        for n in range(150):
            ringing = here.ring([TOPIC, Topic.user(UserId(f"usr_{n}"))])
            with pytest.raises(StopIteration):
                ringing.send(None)  # done without waiting for anything
        assert await listener.heard(SOON) < SOON
        assert here.rings_dropped == 51


async def test_with_the_server_gone_whoever_comes_and_goes_leaves_nothing_behind(
    here: RedisBus, redis_server: RedisServer
) -> None:
    async with here.listen(OTHER):
        redis_server.kill()
        await in_trouble(here)
        for n in range(100):
            async with here.listen(Topic.sign_in(SignInId(f"si_{n}"))):
                pass
        redis_server.start()
        await well(here)
        assert await channels(redis_server) == [channel_of(OTHER)]
    redis_server.kill()
    await in_trouble(here)
    assert [each.subscriptions for each in here._servers.nodes] == [{}]


async def test_with_the_server_gone_listening_begins_at_once_and_only_this_process_is_known(
    here: RedisBus, redis_server: RedisServer
) -> None:
    redis_server.kill()
    await in_trouble(here)
    entering = here.listen(TOPIC).__aenter__()
    with pytest.raises(StopIteration):
        entering.send(None)
    assert await here.heard_by(TOPIC) == 1
    assert await here.heard_by(OTHER) == 0


async def test_what_rang_while_only_this_process_was_cut_off_is_rung_when_it_is_back(
    afar: RedisBus, there: RedisBus, proxy: Proxy
) -> None:
    async with there.listen(TOPIC) as listener:
        await proxy.refuse()
        proxy.cut()
        await in_trouble(afar)
        await afar.ring([TOPIC])
        await proxy.accept()
        assert await listener.heard(SOON) < SOON
    assert there.reconnects == 0


@pytest.mark.usefixtures("quick_heart")
async def test_what_was_sent_and_never_confirmed_is_rung_again(afar: RedisBus, there: RedisBus, proxy: Proxy) -> None:
    async with there.listen(TOPIC) as listener:
        proxy.up = HOLE
        await afar.ring([TOPIC])
        await asyncio.sleep(0)
        await in_trouble(afar)
        proxy.cut()
        proxy.up = CLEAR
        assert await listener.heard(SOON) < SOON


@pytest.mark.usefixtures("quick_heart")
@pytest.mark.reliability("R-05")
async def test_a_half_open_connection_is_noticed_and_replaced(afar: RedisBus, there: RedisBus, proxy: Proxy) -> None:
    async with afar.listen(TOPIC) as listener:
        proxy.half_open()
        await there.ring([TOPIC])
        assert await listener.heard(SOON) < SOON
        await reconnected(1, afar)


@pytest.mark.reliability("R-05")
async def test_while_the_bell_is_away_everyone_is_rung_now_and_then(
    here: RedisBus, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "STAND_IN_SECONDS", 0.3)
    bells = Bells()
    async with here.attach(TOPIC, bells.of(TOPIC)), here.attach(OTHER, bells.of(OTHER)):
        redis_server.kill()
        await comes_true(lambda: min(bells.rung.get(each, 0) for each in (TOPIC, OTHER)) >= 2)


async def test_a_server_that_is_not_there_at_first_is_found_when_it_comes(redis_server: RedisServer) -> None:
    redis_server.kill()
    async with RedisBus(redis_server.url) as bus, bus.listen(TOPIC) as listener:
        assert bus.trouble is not None
        assert f"127.0.0.1:{redis_server.port}" in bus.trouble
        redis_server.start()
        await well(bus)
        assert await listener.heard(SOON) < SOON
        assert bus.reconnects == 0


async def test_what_speaks_another_protocol_is_trouble_and_no_more() -> None:
    async def chat(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(chat, "127.0.0.1", 0)
    async with server, RedisBus(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as bus:
        assert await in_trouble(bus)
        await bus.ring([TOPIC])


@pytest.mark.reliability("R-25")
async def test_cancelling_whoever_asks_mixes_up_no_replies(here: RedisBus, there: RedisBus) -> None:
    """Each topic has a number of listening processes of its own; a reply to another question would show."""
    async with there.listen(TOPIC), here.listen(TOPIC):
        for n in range(300):
            asking = asyncio.create_task(here.heard_by(TOPIC if n % 2 else OTHER))
            await asyncio.sleep(0)
            asking.cancel()
            assert await here.heard_by(OTHER) == 0
            assert await here.heard_by(TOPIC) == 2
    assert here.trouble is None
