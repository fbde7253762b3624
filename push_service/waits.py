"""Waiting for something to change: subscribe, read, and only then sleep; read again whenever the bell rings.

The bell may be lost, so a waiter also reads again every few seconds, and at the deadline of what it waits for. A
process that is about to end answers its waiters with what is so now.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from push_service.ports import Bus, Listener, Topic

T = TypeVar("T")

REREAD_SECONDS = 3.0
_SPREAD = 0.4
"""By how much of that the pauses differ, so that thousands who wait don't read all at once."""

_SOONEST_SECONDS = 0.001


class Look(NamedTuple):
    """What a waiter found: whether to go on waiting, and in how many seconds time alone changes it."""

    wait_on: bool
    changes_in: float | None


class Waiter:
    """One waiter, subscribed while entered."""

    __slots__ = ("_listener", "_subscription", "_waits")

    def __init__(self, waits: Waits, subscription: AbstractAsyncContextManager[Listener]) -> None:
        """Made by Waits.on."""
        self._waits, self._subscription = waits, subscription

    async def __aenter__(self) -> Self:
        """Subscribe, live when entered: read after that, and nothing falls in between."""
        self._listener = await self._subscription.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        await self._subscription.__aexit__(kind, problem, trace)

    async def until(self, read: Callable[[], Awaitable[tuple[T, Look]]], seconds: float) -> T:
        """What `read` gives, once it needs no more waiting, or the time is over."""
        left = seconds
        while True:
            value, look = await read()
            if not look.wait_on or left <= 0 or self._waits.draining:
                return value
            pause = min(left, self._waits.reread_seconds())
            if look.changes_in is not None:
                pause = min(pause, max(_SOONEST_SECONDS, look.changes_in))
            left -= await self._listener.heard(pause)


class Waits:
    """All waiters of this process."""

    def __init__(self, bus: Bus, dice: Callable[[], float] = random.random) -> None:
        """Hear by this bus; `dice` gives numbers from 0 to 1."""
        self._bus, self._dice = bus, dice
        self.draining = False

    def reread_seconds(self) -> float:
        """How long to trust the bell now: at most 3.6 s, which leaves a second of the five that R-05 allows."""
        return REREAD_SECONDS * (1 - _SPREAD / 2 + _SPREAD * self._dice())

    def on(self, topic: Topic) -> Waiter:
        """A waiter on the topic, to be entered."""
        return Waiter(self, self._bus.listen(topic))

    def waiting(self, topic: Topic) -> int:
        """How many listen to the topic in this process."""
        return self._bus.listeners(topic)

    def drain(self) -> None:
        """Send every waiter home with what is so now, and let nobody wait any more."""
        self.draining = True
        self._bus.ring_all()
