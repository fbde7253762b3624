"""Of many processes one looks for what others left: who hears that somebody has just looked waits, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from push_service.bus.local import LocalBus
from push_service.delivery import waker as module
from push_service.delivery.verdicts import Verdicts
from push_service.delivery.waker import Limits, Waker
from push_service.model.ids import ChallengeId, DeviceId, SignInId, UserId
from push_service.model.instant import Instant
from push_service.model.outbox import Undelivered
from push_service.ports import OUTBOX, Messenger, Store

ROUNDS = 5
PATIENCE_SECONDS = 30.0
LEFT = Undelivered(
    challenge_id=ChallengeId("chl_left"),
    device_id=DeviceId("dev_left"),
    user_id=UserId("usr_left"),
    sign_in_id=SignInId("sgn_left"),
    platform="android",
    push_token=None,
    attempts=0,
    lease_until=Instant(0),
    expires_at=Instant(0),
    seconds=0.0,
)


class Outbox:
    """Stands for the store and the verdicts of one process: counts its looks and its rounds."""

    def __init__(self) -> None:
        self.looks = self.rounds = 0
        self.left: list[Undelivered] = []

    async def take_due(self, limit: int, _: float) -> list[Undelivered]:
        self.looks += 1
        return self.left[:limit]

    async def claim(self, *_: object) -> list[Undelivered]:
        return []

    async def execute(self, _: float) -> None:
        self.rounds += 1

    async def goes_round(self, rounds: int = ROUNDS) -> None:
        wanted = self.rounds + rounds
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.rounds < wanted:  # noqa: ASYNC110 - nothing rings when a round is over
                await asyncio.sleep(0.001)


@asynccontextmanager
async def process(bus: LocalBus) -> AsyncIterator[Outbox]:
    outbox = Outbox()
    waker = Waker(
        cast("Store", outbox),
        bus,
        cast("Messenger", None),
        cast("Verdicts", outbox),
        limits=Limits(1, 1, 1.0),
        keyed_hash=lambda _: "",
        told=lambda *_: None,
    )
    running = asyncio.create_task(waker.run())
    try:
        yield outbox
    finally:
        waker.drain()
        await running
        await waker.close()


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAKE_OVER_SECONDS", 0.001)
    monkeypatch.setattr(module, "FRESH_SECONDS", 1000.0)
    monkeypatch.setattr(module, "LONGEST_SECONDS", 1000.0)


async def test_while_one_has_just_looked_nobody_looks_again() -> None:
    bus = LocalBus()
    async with process(bus) as one, process(bus) as other:
        await one.goes_round()
        await other.goes_round()
        looked = one.looks, other.looks
        assert max(looked) == 1  # each its first time, as it may have heard of nothing by then
        await one.goes_round()
        await other.goes_round()
        assert (one.looks, other.looks) == looked


async def test_whoever_is_alone_looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    async with process(LocalBus()) as outbox:
        await outbox.goes_round()
        assert outbox.looks >= ROUNDS


async def test_whoever_could_not_take_all_leaves_the_next_look_to_whoever_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TAKE_AT_ONCE", 1)
    bus = LocalBus()
    async with process(bus) as one:
        one.left = [LEFT, LEFT]
        await one.goes_round()
        before = one.looks
        await one.goes_round()
        assert one.looks > before
        one.left = []
        await one.goes_round()
        before = one.looks
        await one.goes_round()
        assert one.looks == before


@pytest.mark.reliability("R-06")
async def test_a_bell_that_never_ceases_keeps_nobody_from_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.01)
    bus = LocalBus()
    async with process(bus) as outbox:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while outbox.looks < ROUNDS:
                bus.ring_now([OUTBOX])
                await asyncio.sleep(0.001)
