"""Several server processes that are one service: the same data, the same public address, a plain balancer in front."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

from .balancer import balancer
from .service import Service


class Fleet(Service):
    """Started, stopped and killed together; `members` are the processes, each with an address of its own."""

    def __init__(self, folder: Path, processes: int, **settings: str) -> None:
        super().__init__(folder, **settings)
        shared = {"PUBLIC_URL": self.url, **settings}
        self.members = tuple(Service(folder, f"server{n + 1}", **shared) for n in range(processes))
        self.apart: tuple[dict[str, str], ...] = tuple({} for _ in self.members)
        """What each process has in its environment for itself, such as a way of its own to what all share."""
        self._front: _Front | None = None

    @property
    def running(self) -> bool:
        return self._front is not None

    @property
    def pid(self) -> int:
        raise AssertionError("several processes have no one id: name a member")

    @property
    def log(self) -> str:
        return "".join(each.log for each in self.members)

    def each(self) -> Sequence[Service]:
        return self.members

    async def start(self) -> None:
        for member, own in zip(self.members, self.apart, strict=True):
            here = f"127.0.0.1:{member.port}"
            member.environment = {**self.environment, "PUSH_SERVICE_LISTEN": here, **own}
        await asyncio.gather(*(member.start() for member in self.members))
        self._front = _Front([member.port for member in self.members], self.port)

    async def stop(self) -> int:
        codes = await asyncio.gather(*(member.stop() for member in self.members))
        self._close()
        return _worst(codes)

    async def kill(self) -> int:
        codes = await asyncio.gather(*(member.kill() for member in self.members))
        self._close()
        return _worst(codes)

    def _close(self) -> None:
        front, self._front = self._front, None
        if front is not None:
            front.close()


def _worst(codes: Sequence[int]) -> int:
    """The first that is none of a good end; signals are negative."""
    return next((code for code in codes if code), 0)


class _Front:
    """A balancer on an event loop of its own: it serves whichever loop the story runs on."""

    def __init__(self, ports: Sequence[int], port: int) -> None:
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ports, port)), daemon=True)
        self._thread.start()
        assert self._listening.wait(10), "the balancer does not listen"

    async def _serve(self, ports: Sequence[int], port: int) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with balancer(ports, port):
            self._listening.set()
            await self._over.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
