"""The bell within one process.

What other processes of the same machine change (the command line) is rung here too: the embedded store hears it and
calls `ring_now`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from push_service.ports import Bell, Topic


class LocalListener:
    """Implements ports.Listener."""

    __slots__ = ("_rung", "_waiting")

    def __init__(self) -> None:
        """Not rung yet."""
        self._rung = False
        self._waiting: asyncio.Future[None] | None = None

    def __call__(self) -> None:
        """Ring."""
        self._rung = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def heard(self, seconds: float) -> float:
        """See ports.Listener."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        if not self._rung and seconds > 0:
            self._waiting = loop.create_future()
            timer = loop.call_later(seconds, _give_up, self._waiting)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        self._rung = False
        return loop.time() - begun


class LocalBus:
    """Implements ports.Bus."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._bells: dict[Topic, list[Bell]] = {}

    @asynccontextmanager
    async def listen(self, topic: Topic) -> AsyncIterator[LocalListener]:
        """See ports.Bus."""
        listener = LocalListener()
        async with self.attach(topic, listener):
            yield listener

    @asynccontextmanager
    async def attach(self, topic: Topic, bell: Bell) -> AsyncIterator[None]:
        """See ports.Bus."""
        bells = self._bells.setdefault(topic, [])
        bells.append(bell)
        try:
            yield
        finally:
            bells.remove(bell)
            if not bells:
                self._bells.pop(topic, None)

    async def ring(self, topics: Sequence[Topic]) -> None:
        """See ports.Bus."""
        self.ring_now(topics)

    def ring_now(self, topics: Iterable[Topic]) -> None:
        """Ring at once, from the event loop."""
        for topic in topics:
            for bell in tuple(self._bells.get(topic, ())):
                bell()

    def ring_all(self) -> None:
        """See ports.Bus."""
        self.ring_now(tuple(self._bells))

    @property
    def listening(self) -> int:
        """How many bells hang here."""
        return sum(map(len, self._bells.values()))

    def listeners(self, topic: Topic) -> int:
        """See ports.Bus."""
        return len(self._bells.get(topic, ()))


def _give_up(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
