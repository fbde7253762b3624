"""A WebSocket as bytes on a connection: half frames, endless ones, and readers that never read. For test_sockets.py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.people import Office

from .support import (
    PATIENCE,
    SOCKET,
)

TEXT, CONTINUATION, PING, CLOSE = 0x1, 0x0, 0x9, 0x8
FINAL, COMPRESSED = 0x80, 0x40


class Wire:
    """A WebSocket by hand: frames that no library would send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self.reader, self.writer, self.head = reader, writer, head

    async def frame(self, opcode: int, payload: bytes, flags: int = FINAL) -> None:
        """Send one masked frame (RFC 6455, 5.2)."""
        mask = os.urandom(4)
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
        hidden = bytes(each ^ mask[n % 4] for n, each in enumerate(payload))
        self.writer.write(bytes([flags | opcode]) + length + mask + hidden)
        await self.writer.drain()

    async def close_code(self) -> int | None:
        """Read on until the server closes: the code of its close frame; None where it just hung up."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    first, second = await self.reader.readexactly(2)
                    size = second & 0x7F
                    if size == 126:
                        (size,) = struct.unpack(">H", await self.reader.readexactly(2))
                    payload = await self.reader.readexactly(size)
                    if first & 0x0F == CLOSE:
                        return int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None


@asynccontextmanager
async def wire(desk: Office, *extra: str) -> AsyncIterator[Wire]:
    """A socket by hand, after the handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.service.port)
    lines = [
        f"GET {SOCKET} HTTP/1.1",
        f"Host: localhost:{desk.service.port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *extra,
    ]
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        yield Wire(reader, writer, head.decode())
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
