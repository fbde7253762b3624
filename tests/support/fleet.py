"""Several server processes that are one service: the same data, the same public address, a plain balancer in front."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from .balancer import Balancer
from .service import Service


class Fleet(Service):
    """Started, stopped and killed together; `members` are the processes, each with an address of its own."""

    def __init__(self, folder: Path, processes: int, **settings: str) -> None:
        super().__init__(folder, **settings)
        shared = {"PUBLIC_URL": self.url, **settings}
        self.members = tuple(Service(folder, f"server{n + 1}", **shared) for n in range(processes))
        self._balancer: Balancer | None = None

    @property
    def running(self) -> bool:
        return self._balancer is not None

    @property
    def pid(self) -> int:
        raise AssertionError("several processes have no one id: name a member")

    @property
    def log(self) -> str:
        return "".join(each.log for each in self.members)

    def each(self) -> Sequence[Service]:
        return self.members

    async def start(self) -> None:
        for member in self.members:
            here = f"127.0.0.1:{member.port}"
            member.environment = {**self.environment, "PUSH_SERVICE_LISTEN": here}
        await asyncio.gather(*(member.start() for member in self.members))
        self._balancer = await Balancer(self.port, [member.port for member in self.members]).__aenter__()

    async def stop(self) -> int:
        codes = await asyncio.gather(*(member.stop() for member in self.members))
        await self._close()
        return max(codes)

    async def kill(self) -> None:
        await asyncio.gather(*(member.kill() for member in self.members))
        await self._close()

    async def _close(self) -> None:
        balancer, self._balancer = self._balancer, None
        if balancer is not None:
            await balancer.__aexit__()
