"""A plain balancer without stickiness: each new connection goes to the next process that takes it.

It knows nothing of HTTP. That is the least that a service of several processes must work behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from typing import Self

_PIECE = 64 * 1024


class Balancer:
    """Listens on `port` of the loopback address while entered, and passes connections on to `ports`."""

    def __init__(self, port: int, ports: Sequence[int]) -> None:
        self._port, self._ports = port, tuple(ports)
        self._turn = itertools.count()
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for line in tuple(self._lines):
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        try:
            behind = await self._connect()
            if behind is not None:
                await asyncio.gather(_copy(reader, behind[1]), _copy(behind[0], writer))
        except asyncio.CancelledError:
            pass  # the end of the balancer; a streams callback has nobody to pass it on to
        finally:
            writer.close()
            self._lines.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The next process that listens; None when none does, and then the client's connection is closed."""
        start = next(self._turn)
        for n in range(len(self._ports)):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self._ports[(start + n) % len(self._ports)])
        return None


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Until the source ends or either side breaks; then the target is told the end, too."""
    with contextlib.suppress(OSError):
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
    with contextlib.suppress(OSError, RuntimeError):
        target.close()
