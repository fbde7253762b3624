"""The bell within one process.

What other processes of the same machine change (the command line) is rung here too: the embedded store hears it and
calls `ring_now`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TypeVar

from push_service.ports import Bell, Topic

T = TypeVar("T")


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

    def listen(self, topic: Topic) -> AbstractAsyncContextManager[LocalListener]:
        """See ports.Bus."""
        listener = LocalListener()
        return _Hanging(self._bells, topic, listener, listener)

    def attach(self, topic: Topic, bell: Bell) -> AbstractAsyncContextManager[None]:
        """See ports.Bus."""
        return _Hanging(self._bells, topic, bell, None)

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

    async def heard_by(self, topic: Topic) -> int:
        """See ports.Bus: there is one process."""
        return int(topic in self._bells)


class _Hanging(AbstractAsyncContextManager[T]):
    """A bell that hangs there while entered."""

    __slots__ = ("_bell", "_bells", "_topic", "_value")

    def __init__(self, bells: dict[Topic, list[Bell]], topic: Topic, bell: Bell, value: T) -> None:
        self._bells, self._topic, self._bell, self._value = bells, topic, bell, value

    async def __aenter__(self) -> T:
        self._bells.setdefault(self._topic, []).append(self._bell)
        return self._value

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        hanging = self._bells[self._topic]
        hanging.remove(self._bell)
        if not hanging:
            del self._bells[self._topic]


def _give_up(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
