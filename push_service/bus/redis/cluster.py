"""A cluster: every channel belongs to a slot, every slot to a primary, and it is rung there alone (Redis 7, Valkey).

Sharded pub/sub spares a cluster what ordinary pub/sub costs it: every ring would go to every node. The map of slots is
read from whichever node answers, at the start, every few seconds, and whenever a node is in trouble. Where a slot has
moved, so do its subscriptions and what is still to be rung; a listener is rung when its new subscription is confirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from itertools import chain

import structlog
from redis.crc import key_slot
from redis.exceptions import RedisError

from .address import Address
from .link import OPEN_SECONDS
from .node import Node
from .wire import Channel

MAP_SECONDS = 10.0
"""The map is read this often at least. Rings to the wrong node are refused, and then it is read at once."""

MAP_AGAIN_SECONDS = 0.5
SlotRange = tuple[int, int, Address]
"""First slot, last slot, and the primary of all from the one to the other."""

_log = structlog.get_logger()


class Cluster:
    """Implements bus.Servers."""

    def __init__(self, seeds: tuple[Address, ...], make: Callable[[Address], Node]) -> None:
        """Known by its seeds; `make` gives the node of an address."""
        self._seeds, self._make = seeds, make
        self._running: dict[Address, tuple[Node, asyncio.Task[None]]] = {}
        # Until the map is known: listens and rings are kept there, and moved to where they belong.
        self._nowhere = make(seeds[0])
        self._slots: list[tuple[int, int, Node]] = []
        self._poked = asyncio.Event()
        self._tried = asyncio.Event()
        self._unmapped: str | None = "is not connected yet"

    def of(self, channel: Channel) -> Node:
        """See bus.Servers."""
        slot = key_slot(channel)
        return next((node for first, last, node in self._slots if first <= slot <= last), self._nowhere)

    @property
    def nodes(self) -> Iterable[Node]:
        """See bus.Servers."""
        return (self._nowhere, *(node for node, _ in self._running.values()))

    @property
    def trouble(self) -> str | None:
        """See bus.Servers."""
        # A node may be gone for good: then the map knows soon. An old map still serves.
        return self._unmapped or next((node.trouble for node, _ in self._running.values() if node.trouble), None)

    def poke(self) -> None:
        """See bus.Servers: a node is in trouble, so the map may be another."""
        self._poked.set()

    async def run(self) -> None:
        """See bus.Servers."""
        try:
            while True:
                try:
                    await self._look()
                except Exception:  # noqa: BLE001 - a defect in here must not end the bell for the process's life
                    _log.exception("bus.defect", server="cluster")
                self._tried.set()
                troubled = self.trouble is not None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(MAP_SECONDS):
                        await self._poked.wait()
                self._poked.clear()
                if troubled:
                    await asyncio.sleep(MAP_AGAIN_SECONDS)
        finally:
            await self._end(self._running.values())

    async def tried(self) -> None:
        """See bus.Servers."""
        await self._tried.wait()
        for node, _ in tuple(self._running.values()):
            await node.tried.wait()

    async def _look(self) -> None:
        known = tuple(self._running)
        for address in dict.fromkeys(chain(known, self._seeds)):
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    slots = await slots_at(address)
            except (RedisError, OSError) as problem:
                self._unmapped = None if self._slots else f"{address} {' '.join(str(problem).split())}"
                continue
            if slots:
                self._unmapped = None
                await self._follow(slots)
                return
        self._poked.set()  # nobody knew: ask again soon

    async def _follow(self, slots: list[SlotRange]) -> None:
        for address in {address for _, _, address in slots} - self._running.keys():
            node = self._make(address)
            self._running[address] = (node, asyncio.create_task(node.run()))
        former = tuple(self.nodes)
        self._slots = [(first, last, self._running[address][0]) for first, last, address in slots]
        for node in former:
            _hand_over(node, self.of)
        gone = self._running.keys() - {address for _, _, address in slots}
        await self._end([self._running.pop(address) for address in gone])

    async def _end(self, running: Iterable[tuple[Node, asyncio.Task[None]]]) -> None:
        tasks = [task for _, task in running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _hand_over(node: Node, of: Callable[[Channel], Node]) -> None:
    """Move what belongs to other nodes now."""
    for subscription in tuple(node.subscriptions.values()):
        if (to := of(subscription.channel)) is not node:
            node.move(subscription, to)
    for channel in tuple(node.outbox):
        if (to := of(channel)) is not node:
            del node.outbox[channel]
            to.ring(channel)


async def slots_at(address: Address) -> list[SlotRange]:
    """Each range of slots, as this node knows them. Raises RedisError or OSError."""
    connection = address.connection()
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        await connection.send_command("CLUSTER SLOTS", check_health=False)
        reply = await connection.read_response()
    finally:
        await connection.disconnect(nowait=True)
    found: list[SlotRange] = []
    for first, last, (host, port, *_), *_ in reply:
        # A node that doesn't know its own name leaves it empty: it is the one that was asked.
        found.append((first, last, address.at(host.decode() if host else address.host, port)))
    return found
