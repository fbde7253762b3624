"""Gathers what is asked in one turn of the event loop, or while an answer is awaited, into one question to the server.

Idle, a question goes out at once and alone; under load a statement answers dozens. Asking in company costs the server a
fraction of asking one by one, so the next batch waits for the answer to the one before. But not for long: a connection
that fell silent would hold up everybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from push_service.model.errors import Busy, StoreUnavailable
from push_service.store.postgres.connections import ANSWER_SECONDS, MAX_QUEUED
from push_service.store.postgres.trouble import RETRY_SECONDS, TROUBLES, told, unanswered

PATIENCE_SECONDS = 0.05
"""How long a batch waits for the answer to the one before, if there is another lane."""

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """Asks `answer` with many questions at once; it gives an answer or an error for each, in their order."""

    def __init__(
        self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]], *, largest: int, lanes: int
    ) -> None:
        """At most `largest` questions go together; at most `lanes` batches are under way, if answers are slow."""
        self._answer, self._largest, self._lanes = answer, largest, lanes
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._asked = 0
        self._began = self._due = 0.0
        self._timer: asyncio.Handle | None = None
        self._closing = False

    @property
    def outstanding(self) -> int:
        """How many questions are queued or under way."""
        return len(self._queue) + self._asked

    async def ask(self, question: Q) -> A:
        """The answer. Whoever leaves before the question went out has not asked it."""
        if self._closing:
            raise StoreUnavailable("The store is closed.", retry_after=RETRY_SECONDS)
        if self.outstanding >= MAX_QUEUED:
            raise Busy(retry_after=RETRY_SECONDS)
        future: asyncio.Future[A] = self._loop.create_future()
        self._queue.append((question, future))
        self._arrange()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await future
        except TimeoutError:
            raise unanswered() from None

    async def close(self) -> None:
        """Answer what was asked, and take nothing more."""
        self._closing = True
        while self._queue or self._running:
            if self._running:
                await asyncio.wait(self._running)
            else:
                self._begin()

    def _arrange(self) -> None:
        """Begin the next batch when it is due: whoever asks until then goes along."""
        if not self._queue or len(self._running) >= self._lanes:
            return
        due = now = self._loop.time()
        if self._running and len(self._queue) < self._largest:
            due = self._began + PATIENCE_SECONDS
        if self._timer is None or due < self._due:
            self._disarrange()
            self._due, self._timer = due, self._loop.call_later(max(0.0, due - now), self._begin)

    def _disarrange(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._disarrange()
        batch: list[tuple[Q, asyncio.Future[A]]] = []
        while self._queue and len(batch) < self._largest:
            asked = self._queue.popleft()
            if not asked[1].done():
                batch.append(asked)
        if batch:
            self._asked += len(batch)
            self._began = self._loop.time()
            task = self._loop.create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._ended)
            self._arrange()

    async def _run(self, batch: list[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._answer([question for question, _ in batch])
        except TROUBLES as problem:
            answers = [told(problem) for _ in batch]
        except Exception as problem:  # noqa: BLE001 - told to whoever waits: a lane that died would hang them all
            answers = [problem] * len(batch)
        finally:
            self._asked -= len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._running:
            self._arrange()
        else:
            self._begin()
        if not task.cancelled():
            task.result()
