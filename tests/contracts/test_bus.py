"""The bell: heard by whoever listens from the moment they do until they stop, and nothing left behind."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from push_service.model.ids import SignInId, UserId
from push_service.ports import Bus, Topic

SOON = 20.0
TOPIC, OTHER = Topic.sign_in(SignInId("si_1")), Topic.user(UserId("usr_1"))


async def test_a_ring_wakes_the_listener(bus: Bus) -> None:
    async with bus.listen(TOPIC) as listener:
        waiting = asyncio.create_task(listener.heard(SOON))
        await asyncio.sleep(0)
        await bus.ring([TOPIC])
        async with asyncio.timeout(SOON):
            assert 0 <= await waiting < SOON


async def test_a_ring_between_listening_and_waiting_is_heard_once(bus: Bus) -> None:
    async with bus.listen(TOPIC) as listener:
        await bus.ring([TOPIC])
        await bus.ring([TOPIC])
        assert await listener.heard(SOON) < SOON
        assert await listener.heard(0.05) >= 0.04


async def test_a_ring_before_listening_is_not_heard(bus: Bus) -> None:
    await bus.ring([TOPIC])
    async with bus.listen(TOPIC) as listener:
        assert await listener.heard(0.05) >= 0.04


async def test_waiting_no_time_asks_only_what_rang_so_far(bus: Bus) -> None:
    async with bus.listen(TOPIC) as listener:
        assert await listener.heard(0) < SOON
        await bus.ring([TOPIC])
        await listener.heard(0)
        assert await listener.heard(0.05) >= 0.04


async def test_only_the_topic_that_rings_is_heard(bus: Bus) -> None:
    rung: list[Topic] = []
    async with AsyncExitStack() as stack:
        for topic in (TOPIC, OTHER, Topic("applications")):
            await stack.enter_async_context(bus.attach(topic, lambda topic=topic: rung.append(topic)))
        async with bus.listen(TOPIC) as last:
            await bus.ring([OTHER])
            await bus.ring([])
            await bus.ring([TOPIC])
            await last.heard(SOON)
    assert rung == [OTHER, TOPIC]


async def test_everyone_at_a_topic_hears_it(bus: Bus) -> None:
    rung: list[int] = []
    async with AsyncExitStack() as stack:
        for n in range(5):
            await stack.enter_async_context(bus.attach(TOPIC, lambda n=n: rung.append(n)))
        listeners = [await stack.enter_async_context(bus.listen(TOPIC)) for _ in range(5)]
        assert bus.listeners(TOPIC) == 10
        await bus.ring([TOPIC])
        assert all(seconds < SOON for seconds in await asyncio.gather(*(each.heard(SOON) for each in listeners)))
    assert sorted(rung) == list(range(5))


async def test_whoever_left_hears_nothing_and_leaves_nothing_behind(bus: Bus) -> None:
    rung: list[str] = []
    for _ in range(3):
        async with bus.attach(TOPIC, lambda: rung.append("left")), bus.listen(TOPIC):
            assert bus.listeners(TOPIC) == 2
        assert bus.listeners(TOPIC) == 0
    async with bus.listen(TOPIC) as listener:
        await bus.ring([TOPIC])
        await listener.heard(SOON)
    assert rung == []


async def test_leaving_in_a_hurry_leaves_nothing_behind_either(bus: Bus) -> None:
    async def wait() -> None:
        async with bus.listen(TOPIC) as listener:
            await listener.heard(SOON)

    waiting = [asyncio.create_task(wait()) for _ in range(20)]
    async with bus.listen(OTHER) as probe:
        await bus.ring([OTHER])
        await probe.heard(SOON)
    for task in waiting:
        task.cancel()
    assert all(
        isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*waiting, return_exceptions=True)
    )
    assert bus.listeners(TOPIC) == 0
    with pytest.raises(ZeroDivisionError):
        async with bus.attach(TOPIC, lambda: None):
            raise ZeroDivisionError
    assert bus.listeners(TOPIC) == 0


async def test_one_that_leaves_takes_no_other_along(bus: Bus) -> None:
    rung: list[int] = []

    def bell() -> None:
        rung.append(1)

    async with bus.attach(TOPIC, bell):
        async with bus.attach(TOPIC, bell):
            assert bus.listeners(TOPIC) == 2
        async with bus.listen(TOPIC) as listener:
            await bus.ring([TOPIC])
            await listener.heard(SOON)
    assert rung == [1]


async def test_a_bell_may_leave_or_hang_up_another_while_it_rings(bus: Bus) -> None:
    stack, rung = AsyncExitStack(), []
    loop_tasks: list[asyncio.Task[None]] = []

    def leave() -> None:
        rung.append("left")
        loop_tasks.append(asyncio.create_task(stack.aclose()))

    await stack.enter_async_context(bus.attach(TOPIC, leave))
    async with bus.listen(TOPIC) as listener:
        await bus.ring([TOPIC])
        await listener.heard(SOON)
        await asyncio.gather(*loop_tasks)
        await bus.ring([TOPIC])
        await listener.heard(SOON)
    assert rung == ["left"]


async def test_all_are_rung_when_nobody_knows_what_was_missed(bus: Bus) -> None:
    rung: list[Topic] = []
    async with AsyncExitStack() as stack:
        for topic in (TOPIC, OTHER):
            await stack.enter_async_context(bus.attach(topic, lambda topic=topic: rung.append(topic)))
        listener = await stack.enter_async_context(bus.listen(TOPIC))
        bus.ring_all()
        assert await listener.heard(SOON) < SOON
    assert set(rung) == {TOPIC, OTHER}
    bus.ring_all()  # nobody left


async def test_thousands_listen_and_only_the_one_concerned_is_woken(bus: Bus) -> None:
    woken: list[int] = []
    async with AsyncExitStack() as stack:
        for n in range(5000):
            topic = Topic.sign_in(SignInId(f"si_{n}"))
            await stack.enter_async_context(bus.attach(topic, lambda n=n: woken.append(n)))
        async with bus.listen(Topic.sign_in(SignInId("si_4321"))) as listener:
            await bus.ring([Topic.sign_in(SignInId("si_4321"))])
            await listener.heard(SOON)
        assert woken == [4321]
    assert bus.listeners(Topic.sign_in(SignInId("si_17"))) == 0


async def test_it_says_how_many_processes_hear_a_topic(bus: Bus) -> None:
    assert await bus.heard_by(TOPIC) == 0
    async with bus.listen(TOPIC), bus.listen(TOPIC):
        assert await bus.heard_by(TOPIC) == 1
        assert await bus.heard_by(OTHER) == 0
    assert await bus.heard_by(TOPIC) == 0


async def test_it_has_no_trouble_and_counts_who_listens(bus: Bus) -> None:
    assert bus.trouble is None
    async with bus.listen(TOPIC), bus.attach(OTHER, lambda: None):
        assert bus.listening == 2
    assert (bus.listening, bus.reconnects, bus.rings_dropped) == (0, 0, 0)
