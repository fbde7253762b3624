"""A TCP proxy between any two parts, with the faults of a network: in user space, so that it needs no rights.

Each way has its own fault, which can be changed at any time and then holds for what has not been passed on yet. Bytes
are never changed, doubled or put out of order: TCP doesn't do that either.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from .ports import free_port

CHUNK = 64 * 1024
CONNECTED_SECONDS = 30.0


@dataclass(frozen=True)
class Way:
    """How one direction behaves."""

    delay: float = 0.0
    """Seconds that everything takes longer. What came together stays together."""

    byte_every: float | None = None
    """Seconds for each single byte."""

    cut_after: int | None = None
    """How many bytes of each connection get through, counted from now or its beginning. Then it ends for who receives,
    and is reset for who sends."""

    hole: bool = False
    """Nothing gets through, and nobody is told. What was held back goes on when the hole is mended."""


CLEAR = Way()
HOLE = Way(hole=True)


class Proxy:
    """Listens on a port of its own, and passes everything on to another."""

    def __init__(self, target: int) -> None:
        """Pass on to this port of this machine."""
        self.port, self._target = free_port(), target
        self._up = self._down = CLEAR
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._more = asyncio.Event()
        self.accepted = 0
        """Connections so far."""

    @property
    def up(self) -> Way:
        """The way from those who connect to the target."""
        return self._up

    @up.setter
    def up(self, way: Way) -> None:
        self._up = way
        self._renew()

    @property
    def down(self) -> Way:
        """The way back."""
        return self._down

    @down.setter
    def down(self, way: Way) -> None:
        self._down = way
        self._renew()

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._pairs)

    async def accept(self) -> None:
        """Listen, at first or again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def refuse(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def cut(self) -> None:
        """Reset all connections, on both sides."""
        for pair in tuple(self._pairs):
            pair.reset()

    def half_open(self) -> None:
        """End all connections towards the target; whoever connected isn't told, and nothing they send arrives."""
        for pair in self._pairs:
            pair.lose_target()

    async def end(self) -> None:
        """End everything that is still open."""
        tasks = [pair.task for pair in self._pairs if pair.task]
        self.cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def connected(self, times: int) -> None:
        """Wait until it was connected to so many times."""
        async with asyncio.timeout(CONNECTED_SECONDS):
            while self.accepted < times:
                self._more.clear()
                await self._more.wait()

    def _renew(self) -> None:
        for pair in self._pairs:
            pair.passed = [0, 0]
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer)
        self._pairs.add(pair)
        self.accepted += 1
        self._more.set()
        try:
            there, beyond = await asyncio.open_connection("127.0.0.1", self._target)
            pair.target = beyond
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(pair, 0, reader, beyond))
                ways.create_task(self._pass(pair, 1, there, writer))
        except* OSError:
            pair.reset()  # the target refuses, or one side has gone
        finally:
            self._pairs.discard(pair)
            pair.close()

    async def _pass(self, pair: _Pair, side: int, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        """Pass one way on: one task takes in, so that a delay doesn't become a lack of bandwidth."""
        loop, waiting = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]](64)

        async def take_in() -> None:
            while data := await source.read(CHUNK):
                await waiting.put((loop.time(), data))
            await waiting.put((loop.time(), b""))

        taking = asyncio.create_task(take_in())
        try:
            while True:
                came, data = await waiting.get()
                await asyncio.sleep(max(0.0, came + self._way(side).delay - loop.time()))
                await self._through(side)
                if not data:
                    break
                await self._give(pair, side, data, to)
            if not pair.lost:
                _still_there(to).write_eof()
        finally:
            taking.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await taking

    async def _give(self, pair: _Pair, side: int, data: bytes, to: asyncio.StreamWriter) -> None:
        while data:
            await self._through(side)
            way = self._way(side)
            left = len(data) if way.cut_after is None else way.cut_after - pair.passed[side]
            piece = data[: min(left, 1 if way.byte_every else len(data))]
            if piece and not pair.lost:
                _still_there(to).write(piece)
                await to.drain()
            pair.passed[side] += len(piece)
            data = data[len(piece) :]
            if way.cut_after is not None and pair.passed[side] >= way.cut_after:
                to.close()  # a reset might overtake the bytes that are to arrive
                pair.reset(sparing=to)
                return
            if way.byte_every:
                await asyncio.sleep(way.byte_every)

    async def _through(self, side: int) -> None:
        while self._way(side).hole:
            await self._changed.wait()

    def _way(self, side: int) -> Way:
        return self._down if side else self._up


class _Pair:
    """The two connections that are one."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.target: asyncio.StreamWriter | None = None
        self.task = asyncio.current_task()
        self.passed = [0, 0]
        self.lost = False

    def reset(self, sparing: asyncio.StreamWriter | None = None) -> None:
        for writer in (self.client, self.target):
            if writer is not None and writer is not sparing:
                _linger_not(writer)
                writer.transport.abort()

    def lose_target(self) -> None:
        self.lost = True
        if self.target is not None:
            self.target.transport.abort()

    def close(self) -> None:
        self.client.close()
        if self.target is not None:
            self.target.close()


def _still_there(writer: asyncio.StreamWriter) -> asyncio.StreamWriter:
    """To be written to. Raises ConnectionResetError, as uvloop has a RuntimeError for a connection that has ended."""
    if writer.is_closing():
        raise ConnectionResetError
    return writer


def _linger_not(writer: asyncio.StreamWriter) -> None:
    """What follows is a reset, not a farewell."""
    connected = writer.get_extra_info("socket")
    if connected is not None:  # else it is lost already
        with contextlib.suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def proxy_to(target: int) -> AsyncIterator[Proxy]:
    """A proxy that passes on to this port, until left."""
    proxy = Proxy(target)
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.refuse()
        await proxy.end()
