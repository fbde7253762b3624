"""A private cluster of three primaries, made with the commands that make one, without the tool that comes with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from .ports import free_port
from .redis import RedisServer

SLOTS = 16384
FORMED_SECONDS = 30.0


class RedisCluster:
    """Three servers that share the slots."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [
            RedisServer(
                folder / f"node{n}",
                *("--cluster-enabled", "yes", "--cluster-node-timeout", "2000"),
                *("--cluster-port", str(free_port()), "--cluster-require-full-coverage", "no"),
            )
            for n in range(3)
        ]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in self.nodes)

    async def start(self) -> None:
        """Start all, give each a third of the slots, and return once they agree on that."""
        for each in self.nodes:
            each.start()
        for n, each in enumerate(self.nodes):
            first, end = SLOTS * n // 3, SLOTS * (n + 1) // 3
            await each.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
        for each in self.nodes[1:]:
            await self.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", str(each.port), await _bus_port(each))
        async with asyncio.timeout(FORMED_SECONDS):
            for each in self.nodes:
                while not await _knows_all(each, len(self.nodes)):  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(0.02)

    def kill(self) -> None:
        """End all at once."""
        for each in self.nodes:
            each.kill()

    async def move(self, slots: Sequence[int], to: RedisServer) -> None:
        """Give slots, which must be empty of keys, to another node; all are told."""
        name = await to.command("CLUSTER", "MYID")
        assert isinstance(name, bytes)
        for slot in slots:
            for each in (to, *(node for node in self.nodes if node is not to)):
                await each.command("CLUSTER", "SETSLOT", str(slot), "NODE", name.decode())


async def _bus_port(server: RedisServer) -> str:
    reply = await server.command("CONFIG", "GET", "cluster-port")
    value = reply[1] if isinstance(reply, list) else dict(reply)[b"cluster-port"]  # type: ignore[call-overload]
    return str(int(value))


async def _knows_all(server: RedisServer, count: int) -> bool:
    slots = await server.command("CLUSTER", "SLOTS")
    return isinstance(slots, list) and len({node[2][1] for node in slots}) == count
