"""Who is asked together with whom, and who is not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from push_service.model.errors import StoreUnavailable
from push_service.store.postgres import batching
from push_service.store.postgres.batching import Batcher
from tests.store.postgres.eventually import SOON, eventually

_TURNS = 5
"""Turns of the event loop after which everything has happened that nobody has to be waited for."""


class Server:
    """Answers a batch when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._let: list[asyncio.Event] = []

    async def answer(self, questions: Sequence[int]) -> list[int]:
        self.batches.append(list(questions))
        let = asyncio.Event()
        self._let.append(let)
        await let.wait()
        return [10 * each for each in questions]

    def let(self, batch: int) -> None:
        self._let[batch].set()


@asynccontextmanager
async def asking(batcher: Batcher[int, int], *questions: int) -> AsyncIterator[list[asyncio.Task[int]]]:
    """Entered when all that can go out at once is out; at the end everybody must have been answered."""
    asked = [asyncio.create_task(batcher.ask(each)) for each in questions]
    await _turns()
    yield asked
    async with asyncio.timeout(SOON):
        assert await asyncio.gather(*asked) == [10 * each for each in questions]


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "PATIENCE_SECONDS", SOON)


@pytest.mark.usefixtures("patient")
async def test_who_asks_while_an_answer_is_awaited_goes_with_all_others_who_do() -> None:
    server = Server()
    batcher: Batcher[int, int] = Batcher(server.answer, largest=9, lanes=2)
    async with asking(batcher, 1), asking(batcher, 2), asking(batcher, 3, 4):
        assert server.batches == [[1]]
        server.let(0)
        await _turns()
        assert server.batches == [[1], [2, 3, 4]]
        server.let(1)


@pytest.mark.usefixtures("patient")
async def test_a_full_batch_waits_for_no_answer_while_there_is_a_lane() -> None:
    server = Server()
    batcher: Batcher[int, int] = Batcher(server.answer, largest=2, lanes=2)
    async with asking(batcher, 1), asking(batcher, 2, 3, 4, 5):
        assert server.batches == [[1], [2, 3]]
        server.let(0)
        await _turns()
        assert server.batches == [[1], [2, 3], [4, 5]]
        server.let(1)
        server.let(2)


async def test_an_answer_that_is_long_in_coming_is_not_waited_for() -> None:
    server = Server()
    batcher: Batcher[int, int] = Batcher(server.answer, largest=9, lanes=2)
    async with asking(batcher, 1):
        async with asking(batcher, 2, 3):
            await eventually(lambda: len(server.batches) == 2)
            assert server.batches == [[1], [2, 3]]
            server.let(1)
        server.let(0)


async def test_no_more_are_under_way_than_there_are_lanes_however_long_they_take() -> None:
    server = Server()
    batcher: Batcher[int, int] = Batcher(server.answer, largest=1, lanes=2)
    async with asking(batcher, 1, 2, 3):
        await asyncio.sleep(2 * batching.PATIENCE_SECONDS)
        assert server.batches == [[1], [2]]
        server.let(1)
        await eventually(lambda: len(server.batches) == 3)
        server.let(0)
        server.let(2)


@pytest.mark.usefixtures("patient")
async def test_what_was_asked_is_answered_before_the_end_and_nothing_is_taken_after_it() -> None:
    server = Server()
    batcher: Batcher[int, int] = Batcher(server.answer, largest=2, lanes=1)
    async with asking(batcher, 1, 2, 3, 4, 5):
        closing = asyncio.create_task(batcher.close())
        for number in range(3):
            await eventually(lambda: len(server.batches) == number + 1)  # noqa: B023 - called at once
            assert not closing.done()
            server.let(number)
        async with asyncio.timeout(SOON):
            await closing
    with pytest.raises(StoreUnavailable):
        await batcher.ask(6)
