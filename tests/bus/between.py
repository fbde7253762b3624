"""What stories of the bell between processes share: a bus stands for each process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from push_service.bus.redis import RedisBus
from push_service.ports import Topic
from tests.support.redis import RedisServer

SOON = 30.0


async def comes_true(so: Callable[[], bool]) -> None:
    """Wait until something is so that rings no bell of its own."""
    async with asyncio.timeout(SOON):
        while not so():  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.005)


async def in_trouble(bus: RedisBus) -> str:
    """Wait until the bus knows that its server is away; says how it names that."""
    await comes_true(lambda: bus.trouble is not None)
    assert bus.trouble is not None
    return bus.trouble


async def well(*buses: RedisBus) -> None:
    """Wait until all is well with the buses."""
    await comes_true(lambda: all(bus.trouble is None for bus in buses))


async def reconnected(times: int, *buses: RedisBus) -> None:
    """Wait until each of the buses lost its connection so often, and has it again."""
    await comes_true(lambda: min(bus.reconnects for bus in buses) >= times)


async def channels(server: RedisServer) -> list[object]:
    """What the server has subscriptions to."""
    found = await server.command("PUBSUB", "CHANNELS")
    assert isinstance(found, list)
    return found


async def commands(server: RedisServer, name: str) -> int:
    """How often the server was given this command so far."""
    async with server.client() as client:
        told = await client.info("commandstats")
    calls: int = told.get(f"cmdstat_{name}", {"calls": 0})["calls"]
    return calls


class Bells:
    """Counts how often each topic rang."""

    def __init__(self) -> None:
        self.rung: dict[Topic, int] = {}

    def of(self, topic: Topic) -> Callable[[], None]:
        """A bell that counts."""

        def bell() -> None:
            self.rung[topic] = self.rung.get(topic, 0) + 1

        return bell
