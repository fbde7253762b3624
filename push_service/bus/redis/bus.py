"""The bus over Redis: rings in this process at once, and in the others as soon as the network has it.

Local listeners hang on a LocalBus, as they do in an installation of one process. What this adds is that a topic with
listeners here is subscribed to at its server, and that what rings here is published there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol, Self, TypeVar

from push_service.bus.local import LocalBus, LocalListener
from push_service.ports import Bell, Topic

from .address import Address, parse
from .alone import Alone
from .cluster import Cluster
from .node import Node
from .subscription import Subscription
from .wire import Channel, channel_of, new_origin, topic_of

T = TypeVar("T")

FIRST_TRY_SECONDS = 1.0
FAREWELL_SECONDS = 1.0
STAND_IN_SECONDS = 3.0
"""While the bell is away, every local listener is rung this often."""

_SLICES = 30


class Servers(Protocol):
    """Where channels are rung."""

    def of(self, channel: Channel) -> Node:
        """The node of this channel now."""
        ...

    @property
    def nodes(self) -> Iterable[Node]:
        """All of them."""
        ...

    @property
    def trouble(self) -> str | None:
        """What is wrong, of any of them."""
        ...

    def poke(self) -> None:
        """A node's trouble came or went."""
        ...

    async def run(self) -> None:
        """Keep in touch with all of them, until cancelled."""
        ...

    async def tried(self) -> None:
        """Wait until the first attempt to reach them has ended, well or not."""
        ...


class RedisBus:
    """Implements ports.Bus. It works while entered."""

    def __init__(self, url: str) -> None:
        """Ring at the servers of this BUS_URL; raises ValueError where it isn't one."""
        addresses = parse(url)
        self._local, self._origin = LocalBus(), new_origin()
        self._servers: Servers = (
            Cluster(addresses.seeds, lambda address: self._node(address, sharded=True))
            if addresses.cluster
            else Alone(self._node(addresses.seeds[0], sharded=False))
        )
        self._troubled = asyncio.Event()
        self._troubled.set()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Connect, but don't wait for that for longer than a moment."""
        self._tasks = [asyncio.create_task(self._servers.run()), asyncio.create_task(self._stand_in())]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY_SECONDS):
                await self._servers.tried()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let what was rung go out, but don't wait for that for longer than a moment."""
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                for node in self._servers.nodes:
                    await node.flushed()
        except TimeoutError:
            pass  # whoever was to be told has a floor of their own
        finally:
            for task in self._tasks:
                task.cancel()
            for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended

    def listen(self, topic: Topic) -> AbstractAsyncContextManager[LocalListener]:
        """See ports.Bus."""
        return _Subscribed(self._local.listen(topic), self._servers, topic)

    def attach(self, topic: Topic, bell: Bell) -> AbstractAsyncContextManager[None]:
        """See ports.Bus."""
        return _Subscribed(self._local.attach(topic, bell), self._servers, topic)

    async def ring(self, topics: Sequence[Topic]) -> None:
        """See ports.Bus. Nothing is waited for."""
        self._local.ring_now(topics)
        for topic in topics:
            channel = channel_of(topic)
            self._servers.of(channel).ring(channel)

    def ring_now(self, topics: Iterable[Topic]) -> None:
        """Ring at once, and in this process alone: what the store heard, other processes' stores hear themselves."""
        self._local.ring_now(topics)

    def ring_all(self) -> None:
        """See ports.Bus."""
        self._local.ring_all()

    def listeners(self, topic: Topic) -> int:
        """See ports.Bus."""
        return self._local.listeners(topic)

    async def heard_by(self, topic: Topic) -> int:
        """See ports.Bus."""
        channel = channel_of(topic)
        others = await self._servers.of(channel).subscribers(channel)
        return max(0, others or 0) + min(1, self._local.listeners(topic))

    @property
    def trouble(self) -> str | None:
        """See ports.Bus."""
        return self._servers.trouble

    @property
    def listening(self) -> int:
        """See ports.Bus."""
        return self._local.listening

    @property
    def reconnects(self) -> int:
        """See ports.Bus."""
        return sum(max(0, node.connects - 1) for node in self._servers.nodes)

    @property
    def rings_dropped(self) -> int:
        """See ports.Bus."""
        return sum(node.dropped for node in self._servers.nodes)

    # --- called by the nodes ------------------------------------------------------------------------------------------

    def ring_channel(self, channel: Channel) -> None:
        """See node.Owner."""
        self._local.ring_now((topic_of(channel),))

    def changed(self) -> None:
        """See node.Owner."""
        self._servers.poke()
        if self.trouble is None:
            self._troubled.clear()
        elif not self._troubled.is_set():
            self._troubled.set()
            self.ring_all()  # a server that stands still has been doing so for a while when that is noticed

    def _node(self, address: Address, *, sharded: bool) -> Node:
        return Node(address, self._origin, self, sharded=sharded)

    async def _stand_in(self) -> None:
        """Ring everyone again and again while the bell is away, a slice at a time.

        Waiters read again by themselves, but a phone's socket waits for nothing: without this it would hear of no
        prompt that was made in another process. Slices, because thousands that read at once keep everyone waiting.
        """
        while True:
            await self._troubled.wait()
            topics = self._local.topics
            for first in range(_SLICES):
                self._local.ring_now(topics[first::_SLICES])
                await asyncio.sleep(STAND_IN_SECONDS / _SLICES)
                if not self._troubled.is_set():
                    break


class _Subscribed(AbstractAsyncContextManager[T]):
    """A bell that hangs in this process and whose topic is subscribed to, while entered."""

    __slots__ = ("_hanging", "_servers", "_subscription", "_topic")

    def __init__(self, hanging: AbstractAsyncContextManager[T], servers: Servers, topic: Topic) -> None:
        self._hanging, self._servers, self._topic = hanging, servers, topic

    async def __aenter__(self) -> T:
        value = await self._hanging.__aenter__()
        channel = channel_of(self._topic)
        self._subscription: Subscription = self._servers.of(channel).enter(channel)
        try:
            await self._subscription.node.confirmed(self._subscription)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return value

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscription.node.leave(self._subscription)
        await self._hanging.__aexit__(kind, problem, trace)
