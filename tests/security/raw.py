"""HTTP as bytes on a socket: for requests that no well-behaved client can be brought to send.

Used by the tests of the transport and of bodies. `answers` reads whatever the server has to say until it closes or
falls silent, and takes it apart, so that a second answer behind a smuggled request would be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

CRLF = b"\r\n"
ANSWER_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """One answer as it came: its status, its header lines (names in lower case), its body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for each, value in self.headers if each == name.lower()), None)

    def json(self) -> dict[str, Any]:
        """The body as an object."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Wire:
    """One TCP connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        """Send these bytes as they are."""
        with contextlib.suppress(ConnectionError):  # the server may have had enough already: `answer` will say
            self._writer.write(b"".join(pieces))
            await self._writer.drain()

    async def answer(self) -> Answer | None:
        """The next answer; None when the server closed instead."""
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                head = await self._reader.readuntil(CRLF + CRLF)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
            body = await self._body(dict(headers))
            return Answer(int(first.split(" ")[1]), headers, body)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return await self._reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return body

    async def answers(self, silence: float = 0.2) -> list[Answer]:
        """Every answer until the server closes, or has said nothing more for so many seconds after its first."""
        first = await self.answer()
        found = [first] if first else []
        while first:
            try:
                async with asyncio.timeout(silence):
                    following = await self.answer()
            except TimeoutError:
                break
            if following is None:
                break
            found.append(following)
        return found

    async def closed(self) -> bool:
        """Wait until the server closes the connection; False if it says something first."""
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                return await self._reader.read(1) == b""
            except ConnectionError:
                return True

    def hang_up(self) -> None:
        """Leave at once, without a farewell."""
        self._writer.transport.abort()


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """Connect to the server on loopback."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(port: int, *pieces: bytes) -> list[Answer]:
    """Send bytes on a connection of their own; every answer that came."""
    async with wire(port) as line:
        await line.send(*pieces)
        return await line.answers()


def request(
    method: str, path: str, body: bytes = b"", *headers: str, host: str = "localhost", length: bool = True
) -> bytes:
    """A request as bytes; `headers` are whole lines. Without `length` the framing is the caller's own."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body and length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + CRLF + CRLF + body
