"""The load side's own HTTP/1.1 and WebSocket clients: bare asyncio protocols, as cheap as Python allows.

A client library would cost more than the server that is measured. These speak just what the benchmarks need:
keep-alive requests with bodies of known length, one at a time (RFC 9112), and unfragmented masked frames (RFC 6455).
Anything else is a `ConnectionError`, never a silent success. Used by the clients of the service and of the prototype.
"""

import asyncio
import base64
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL = 0x80
_MASKED = 0x80


class Address(NamedTuple):
    """Where the server listens, on the loopback."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The server's base address, without a final slash."""
        return f"http://{self.host}:{self.port}"


class Response(NamedTuple):
    """The status and the body of an HTTP answer, and in how many seconds to come again where it says so."""

    status: int
    body: bytes
    retry_after: int | None = None


def request(
    method: str,
    target: str,
    address: Address,
    headers: Mapping[str, str],
    body: bytes = b"",
    content_type: str = "application/json",
) -> bytes:
    """An HTTP request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {address.host}:{address.port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[Response] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, address: Address) -> "HttpConnection":
        """Connect. Raises `OSError` if nobody listens."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, *address)
        return connection

    def send(self, message: bytes) -> asyncio.Future[Response]:
        """Write a request at once; the future brings its answer, or `ConnectionError`."""
        if self._transport is None or self._answer is not None:
            raise ConnectionError("the connection is closed, or still waits for an answer")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return self._answer

    def close(self) -> None:
        """Drop the connection; whoever waits for an answer gets `ConnectionError`."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: complete the answer under way, if all of it is there."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        _, found, length = head.lower().partition(b"\r\ncontent-length:")
        if found:
            expected = int(length.partition(b"\r\n")[0])
        elif head[9:12] == b"204":
            expected = 0
        else:
            self._fail(f"an answer without a length: {head[:60]!r}")
            return
        if len(body) < expected:
            return
        self._received = b""
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(Response(int(head[9:12]), body, _retry_after(head)))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionError(f"the HTTP connection was lost: {exc or 'closed by the server'}"))

    def _fail(self, why: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionError(why))
        self.close()


def _retry_after(head: bytes) -> int | None:
    """What a refusal says of when to come again."""
    if head[9:10] not in {b"4", b"5"}:
        return None
    _, found, seconds = head.lower().partition(b"\r\nretry-after:")
    return int(seconds.partition(b"\r\n")[0]) if found else None


class WebSocketConnection(asyncio.Protocol):
    """One WebSocket, client side, without extensions; answers pings by itself.

    `on_message` gets each text or binary payload, `on_lost` the reason when the connection ends.
    """

    def __init__(self, on_message: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._received = bytearray()
        self._upgraded: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._closed_because = "closed by the server"

    async def open(self, address: Address, target: str) -> None:
        """Connect and upgrade (RFC 6455, section 4.1); the server's first frames may be handed on before this returns.

        Raises `OSError` if nobody listens or the server refuses.
        """
        loop = asyncio.get_running_loop()
        upgraded = self._upgraded = loop.create_future()
        await loop.create_connection(lambda: self, *address)
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
        }
        self._write(request("GET", target, address, headers))
        await upgraded

    def send_text(self, payload: bytes) -> None:
        """Send one text frame."""
        self._write(_frame(_TEXT, payload))

    def send_binary(self, payload: bytes) -> None:
        """Send one binary frame."""
        self._write(_frame(_BINARY, payload))

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: hand on every complete frame."""
        self._received += data
        if self._upgraded is not None and not self._switch_protocols(self._upgraded):
            return
        while (frame := _take_frame(self._received)) is not None:
            opcode, payload = frame
            if opcode in {_TEXT, _BINARY}:
                self._on_message(payload)
            elif opcode == _PING:
                self._write(_frame(_PONG, payload))
            elif opcode == _CLOSE:
                self._closed_because = (
                    f"close code {int.from_bytes(payload[:2])} {payload[2:].decode(errors='replace')}".strip()
                )
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        why = f"the WebSocket was lost: {exc or self._closed_because}"
        if self._upgraded is not None and not self._upgraded.done():
            self._upgraded.set_exception(ConnectionError(why))
        self._on_lost(why)

    def _switch_protocols(self, upgraded: asyncio.Future[None]) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        if self._received[9:12] != b"101":
            self._closed_because = f"refused with {bytes(self._received[:60])!r}"
            self.close()
            return False
        del self._received[: end + 4]
        self._upgraded = None
        if not upgraded.done():
            upgraded.set_result(None)
        return True

    def _write(self, data: bytes) -> None:
        if self._transport is None:
            raise ConnectionError("the WebSocket is closed")
        self._transport.write(data)


def _take_frame(received: bytearray) -> tuple[int, bytes] | None:
    """Remove the first frame, if all of it was received (RFC 6455, section 5.2; servers do not mask)."""
    if len(received) < 2:
        return None
    length, start = received[1], 2
    if length == 126:
        length, start = int.from_bytes(received[2:4]), 4
    elif length == 127:
        length, start = int.from_bytes(received[2:10]), 10
    if len(received) < start or len(received) < start + length:
        return None
    if not received[0] & _FINAL:
        raise ConnectionError("a fragmented message, which this client does not take")
    opcode, payload = received[0] & 0x0F, bytes(received[start : start + length])
    del received[: start + length]
    return opcode, payload


def _frame(opcode: int, payload: bytes) -> bytes:
    """A masked frame (RFC 6455, section 5.3), its mask applied as one big integer because that is fastest."""
    length = len(payload)
    if length < 126:
        head = bytes((_FINAL | opcode, _MASKED | length))
    elif length < 0x10000:
        head = bytes((_FINAL | opcode, _MASKED | 126)) + length.to_bytes(2)
    else:
        head = bytes((_FINAL | opcode, _MASKED | 127)) + length.to_bytes(8)
    mask = os.urandom(4)
    pattern = (mask * (length // 4 + 1))[:length]
    return head + mask + (int.from_bytes(payload) ^ int.from_bytes(pattern)).to_bytes(length)
