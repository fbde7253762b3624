"""Waiting learns what happened, whatever becomes of the bell (R-06)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from push_service import waits as waits_module
from push_service.bus.local import LocalBus
from push_service.model.ids import SignInId
from push_service.ports import Topic
from push_service.waits import Look, Waits

SOON = 30.0
TOPICS = [Topic.sign_in(SignInId(f"si_{n}")) for n in range(10)]
TOPIC = TOPICS[0]


class Truth:
    """Versions by topic, as a store would hold them."""

    def __init__(self) -> None:
        self.versions = dict.fromkeys(TOPICS, 0)
        self.reads = 0
        self._was_read = asyncio.Event()

    def note_read(self) -> None:
        self.reads += 1
        self._was_read.set()

    async def has_been_read(self, times: int) -> None:
        async with asyncio.timeout(SOON):
            while self.reads < times:
                self._was_read.clear()
                await self._was_read.wait()

    def read(self, topic: Topic = TOPIC, after: int = 0, changes_in: float | None = None) -> Read:
        return Read(self, topic, after, changes_in)


class Read:
    """Reads a topic until its version is beyond `after`."""

    def __init__(self, truth: Truth, topic: Topic, after: int, changes_in: float | None) -> None:
        self._truth, self._topic, self._after, self._changes_in = truth, topic, after, changes_in

    async def __call__(self) -> tuple[int, Look]:
        self._truth.note_read()
        version = self._truth.versions[self._topic]
        return version, Look(wait_on=version <= self._after, changes_in=self._changes_in)


class Unreliable(LocalBus):
    """Loses, doubles, delays and misdirects rings, as its contract allows."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._dice = random.Random(seed)  # noqa: S311 - a schedule that can be run again
        self._late: list[Topic] = []

    async def ring(self, topics: Sequence[Topic]) -> None:
        await asyncio.sleep(0)
        rung = [each for topic in topics for each in [topic] * self._dice.choice((0, 0, 1, 2))]
        self._late += topics if self._dice.random() < 0.3 else ()
        if self._dice.random() < 0.3:
            rung += self._late
            self._late = []
        rung.append(self._dice.choice(TOPICS))
        self._dice.shuffle(rung)
        await super().ring(rung)


class Deaf(LocalBus):
    """Loses every ring."""

    async def ring(self, topics: Sequence[Topic]) -> None:
        """Nothing."""


@pytest.fixture
def truth() -> Truth:
    return Truth()


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def waits(bus: LocalBus) -> Waits:
    return Waits(bus)


@asynccontextmanager
async def waiter(waits: Waits, truth: Truth, seconds: float = SOON) -> AsyncIterator[asyncio.Task[int]]:
    """A task that waits for the first change, and has begun to."""

    async def wait() -> int:
        async with waits.on(TOPIC) as waiting:
            return await waiting.until(truth.read(), seconds)

    before = truth.reads
    task = asyncio.create_task(wait())
    await truth.has_been_read(before + 1)
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_so_already_needs_no_waiting(waits: Waits, truth: Truth) -> None:
    truth.versions[TOPIC] = 3
    async with waits.on(TOPIC) as waiting:
        assert await waiting.until(truth.read(), SOON) == 3
    assert truth.reads == 1


async def test_a_ring_makes_it_read_again(waits: Waits, bus: LocalBus, truth: Truth) -> None:
    async with waiter(waits, truth) as task:
        truth.versions[TOPIC] = 1
        await bus.ring([TOPIC])
        async with asyncio.timeout(SOON):
            assert await task == 1
    assert truth.reads == 2


async def test_a_change_between_subscribing_and_reading_is_not_missed(
    waits: Waits, bus: LocalBus, truth: Truth
) -> None:
    async with waits.on(TOPIC) as waiting, asyncio.timeout(SOON):
        read = truth.read()

        async def overtaken() -> tuple[int, Look]:
            found = await read()
            if truth.reads == 1:  # it happens after the read, before the wait
                truth.versions[TOPIC] = 1
                await bus.ring([TOPIC])
            return found

        assert await waiting.until(overtaken, SOON) == 1
    assert truth.reads == 2


async def test_a_ring_about_nothing_goes_on_waiting(waits: Waits, bus: LocalBus, truth: Truth) -> None:
    async with waiter(waits, truth) as task:
        for n in range(5):
            await bus.ring([TOPIC])
            await truth.has_been_read(n + 2)
        assert not task.done()


async def test_when_the_time_is_over_it_says_what_is_so(waits: Waits, truth: Truth) -> None:
    async with waits.on(TOPIC) as waiting:
        assert await waiting.until(truth.read(), 0.05) == 0
        assert await waiting.until(truth.read(), 0) == 0
    assert truth.reads == 3


async def test_what_time_alone_changes_is_read_when_that_time_has_come(waits: Waits) -> None:
    reads = 0

    async def expiring() -> tuple[str, Look]:
        nonlocal reads
        reads += 1
        return (
            ("expired", Look(wait_on=False, changes_in=None))
            if reads > 1
            else ("pending", Look(wait_on=True, changes_in=0.05))
        )

    async with waits.on(TOPIC) as waiting, asyncio.timeout(SOON):
        assert await waiting.until(expiring, SOON) == "expired"
    assert reads == 2


async def test_a_deadline_that_has_passed_already_does_not_spin(waits: Waits, truth: Truth) -> None:
    async with waits.on(TOPIC) as waiting:
        await waiting.until(truth.read(changes_in=-5.0), 0.05)
    assert truth.reads <= 60


@pytest.mark.reliability("R-06")
async def test_a_lost_ring_delays_and_hides_nothing(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits_module, "REREAD_SECONDS", 0.05)
    bus = Deaf()
    async with waiter(Waits(bus), truth) as task:
        truth.versions[TOPIC] = 1
        await bus.ring([TOPIC])
        async with asyncio.timeout(SOON):
            assert await task == 1


@pytest.mark.reliability("R-06")
@pytest.mark.parametrize("seed", range(5))
async def test_rings_lost_doubled_late_and_misdirected_never_make_a_waiter_wrong(
    truth: Truth, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Every waiter sees its topic's versions only grow, and sees the last."""
    monkeypatch.setattr(waits_module, "REREAD_SECONDS", 0.02)
    bus = Unreliable(seed)
    last = 30

    async def follow(topic: Topic) -> list[int]:
        seen = [0]
        async with Waits(bus).on(topic) as waiting:
            while seen[-1] < last:
                seen.append(await waiting.until(truth.read(topic, seen[-1]), SOON))
        return seen

    async def change(topic: Topic) -> None:
        for version in range(1, last + 1):
            truth.versions[topic] = version
            await bus.ring([topic])

    async with asyncio.timeout(SOON):
        followed, _ = await asyncio.gather(
            asyncio.gather(*(follow(topic) for topic in TOPICS for _ in range(3))),
            asyncio.gather(*(change(topic) for topic in TOPICS)),
        )
    for seen in followed:
        assert seen == sorted(set(seen))
        assert seen[-1] == last
    assert bus.listening == 0


async def test_the_end_of_the_process_sends_all_home_with_what_is_so(waits: Waits, bus: LocalBus, truth: Truth) -> None:
    async with AsyncExitStack() as stack:
        tasks = [await stack.enter_async_context(waiter(waits, truth)) for _ in range(20)]
        assert waits.waiting(TOPIC) == 20
        waits.drain()
        async with asyncio.timeout(SOON):
            assert await asyncio.gather(*tasks) == [0] * 20
    async with waits.on(TOPIC) as waiting, asyncio.timeout(SOON):
        assert await waiting.until(truth.read(), SOON) == 0
    assert bus.listening == 0


async def test_a_waiter_that_leaves_in_the_middle_leaves_nothing_behind(
    waits: Waits, bus: LocalBus, truth: Truth
) -> None:
    async with waiter(waits, truth) as task:
        assert waits.waiting(TOPIC) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert waits.waiting(TOPIC) == 0
    await bus.ring([TOPIC])


async def test_a_read_that_fails_is_the_waiters_to_hear_and_it_is_gone_then(waits: Waits, bus: LocalBus) -> None:
    async def broken() -> tuple[int, Look]:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        async with waits.on(TOPIC) as waiting:
            await waiting.until(broken, SOON)
    assert bus.listening == 0


async def test_waiting_longer_than_asked_never_happens_however_often_it_rings(
    waits: Waits, bus: LocalBus, truth: Truth
) -> None:
    """Each ring uses up of the same time, not of a new one."""

    async def ring_on() -> None:
        while True:
            await bus.ring([TOPIC])
            await asyncio.sleep(0.005)

    ringing = asyncio.create_task(ring_on())
    async with waits.on(TOPIC) as waiting, asyncio.timeout(SOON):
        assert await waiting.until(truth.read(), 0.1) == 0
    ringing.cancel()


def test_the_floor_leaves_a_second_of_what_is_promised_and_is_not_the_same_for_all(bus: LocalBus) -> None:
    dice = iter((0.0, 0.5, 1.0))
    waits = Waits(bus, lambda: next(dice))
    pauses = [waits.reread_seconds() for _ in range(3)]
    assert pauses == sorted(set(pauses))
    assert pauses[0] > 2
    assert pauses[-1] <= 4
