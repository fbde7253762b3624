"""The bell within one process, beyond what every bus promises (tests/contracts/test_bus.py)."""

from __future__ import annotations

from contextlib import AsyncExitStack

from push_service.bus.local import LocalBus
from push_service.model.ids import SignInId
from push_service.ports import APPLICATIONS, SIGNING_KEYS, Topic

TOPIC = Topic.sign_in(SignInId("si_1"))


async def test_what_the_store_hears_of_other_processes_is_rung_at_once() -> None:
    bus, rung = LocalBus(), []
    async with (
        bus.attach(APPLICATIONS, lambda: rung.append(APPLICATIONS)),
        bus.attach(TOPIC, lambda: rung.append(TOPIC)),
    ):
        bus.ring_now([TOPIC, SIGNING_KEYS, APPLICATIONS])
        assert rung == [TOPIC, APPLICATIONS]


async def test_it_counts_what_hangs_there_and_forgets_topics_that_nobody_hears() -> None:
    bus = LocalBus()
    async with AsyncExitStack() as stack:
        for n in range(1000):
            await stack.enter_async_context(bus.listen(Topic.sign_in(SignInId(f"si_{n}"))))
            await stack.enter_async_context(bus.attach(TOPIC, lambda: None))
        assert bus.listening == 2000
        assert bus.listeners(TOPIC) == 1001
    assert bus.listening == 0
    assert bus._bells == {}


async def test_it_is_one_process_that_hears_or_none() -> None:
    bus = LocalBus()
    assert await bus.heard_by(TOPIC) == 0
    async with bus.listen(TOPIC), bus.attach(TOPIC, lambda: None):
        assert await bus.heard_by(TOPIC) == 1
    assert await bus.heard_by(TOPIC) == 0


async def test_who_rings_does_not_wait_for_who_hears() -> None:
    bus = LocalBus()
    async with bus.listen(TOPIC) as listener:
        for _ in range(1000):
            await bus.ring([TOPIC])
        assert await listener.heard(30) < 30
        assert await listener.heard(0.02) >= 0.01
