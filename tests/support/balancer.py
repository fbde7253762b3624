"""A plain TCP balancer: connections to the servers in turn, to the next where one refuses. No stickiness, no checks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast


class Balancer:
    """One that listens. `port` is where."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports, self._turn = ports, itertools.count()
        self.port = 0
        self.refused = 0
        """Connections that no server took."""
        self._connecting: set[asyncio.Task[None]] = set()
        self._open: set[_Side] = set()

    def take(self, front: _Side) -> None:
        """A client has connected: find it a server."""
        task = asyncio.get_running_loop().create_task(self._connect(front))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, front: _Side) -> None:
        first = next(self._turn)
        for step in range(len(self._ports)):
            port = self._ports[(first + step) % len(self._ports)]
            back = _Side(self._open)
            try:
                await asyncio.get_running_loop().create_connection(lambda side=back: side, "127.0.0.1", port)  # type: ignore[misc]
            except OSError:
                continue
            front.join(back)
            return
        self.refused += 1
        front.abort()

    async def close(self) -> None:
        """Drop everything."""
        connecting = tuple(self._connecting)
        for task in connecting:
            task.cancel()
        await asyncio.gather(*connecting, return_exceptions=True)
        for side in tuple(self._open):
            side.abort()


class _Side(asyncio.Protocol):
    """One side of a connection; what comes in goes out at the other."""

    def __init__(self, open_: set[_Side], balancer: Balancer | None = None) -> None:
        self._open, self._balancer = open_, balancer
        self._transport: asyncio.Transport | None = None
        self._other: _Side | None = None
        self._early: list[bytes] = []
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)
        if self._balancer is not None:
            self._balancer.take(self)

    def join(self, other: _Side) -> None:
        self._other, other._other = other, self
        for data in self._early:
            other.write(data)
        if self._lost:
            other.end()

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early.append(data)
        else:
            self._other.write(data)

    def eof_received(self) -> None:
        """Close both ways: nobody here speaks on after having said everything."""

    def connection_lost(self, _: Exception | None) -> None:
        self._open.discard(self)
        self._lost = True
        if self._other is not None:
            self._other.end()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def end(self) -> None:
        """Close, after what is still to be sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def balancer(ports: Sequence[int], port: int = 0) -> AsyncIterator[Balancer]:
    """A balancer in front of these ports of this machine, for as long as the block lasts, at `port` or a free one."""
    made = Balancer(ports)
    server = await asyncio.get_running_loop().create_server(lambda: _Side(made._open, made), "127.0.0.1", port)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
