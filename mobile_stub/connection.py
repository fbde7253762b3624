"""One WebSocket from opening to closing: greeting, authentication, frames, and an ear for the server's pings.

`websockets` answers pings by itself; the phone only needs to notice when they stop, because a dead path otherwise looks
like a quiet evening. Called by `line.py`, which opens the next one when this one is over.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Never, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame as RawFrame
from websockets.frames import Opcode

from mobile_stub.errors import ProtocolError
from mobile_stub.wire import Authenticate, DeviceFrame, Hello, Ready, ServerFrame, decode_frame

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from websockets.protocol import Event

Expected = TypeVar("Expected", Hello, Ready)

GREETING_SECONDS = 10.0
CLOSING_SECONDS = 2.0
LARGEST_FRAME_BYTES = 64 * 1024
MISSED_HEARTBEATS = 2.0


class ServerSilentError(OSError):
    """No ping for twice the heartbeat: the path is dead, whatever the operating system thinks of it."""


class PingedConnection(ClientConnection):
    """A client connection that says when the server has pinged."""

    on_ping: Callable[[], None] | None = None

    def process_event(self, event: Event) -> None:
        """Handle one frame as always, then tell about a ping."""
        super().process_event(event)
        if self.on_ping is not None and isinstance(event, RawFrame) and event.opcode is Opcode.PING:
            self.on_ping()


class Connection:
    """An authenticated socket. `ready` is the frame that said so."""

    def __init__(self, socket: PingedConnection, ready: Ready) -> None:
        self._socket = socket
        self.ready = ready

    async def send(self, frame: DeviceFrame) -> None:
        """Send one frame; websockets' ConnectionClosed when the socket is over."""
        await self._socket.send(msgspec.json.encode(frame), text=True)

    async def listen(self, handle: Callable[[ServerFrame], Awaitable[None]]) -> Never:
        """Hand over every frame until the socket ends.

        Ends by websockets' ConnectionClosed, or ServerSilentError after twice the heartbeat without a ping.
        """
        patience = MISSED_HEARTBEATS * self.ready.heartbeat
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(patience) as silence:
                self._socket.on_ping = lambda: silence.reschedule(loop.time() + patience)
                while True:
                    frame = decode_frame(await self._socket.recv())
                    if frame is not None:
                        await handle(frame)
        except TimeoutError as error:
            message = f"no ping for {patience:g} s"
            raise ServerSilentError(message) from error
        finally:
            self._socket.on_ping = None

    def drop(self) -> None:
        """Cut the connection without a word, as a phone in a lift does."""
        self._socket.transport.abort()


@asynccontextmanager
async def open_connection(
    url: str, prove: Callable[[str], str], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Connection]:
    """Open the socket at `url` (ws or wss) and authenticate with the proof that `prove` makes for the hello's nonce.

    Raises OSError, TimeoutError and websockets' InvalidHandshake or ConnectionClosed as they come, ProtocolError when
    the greeting isn't one.
    """
    async with connect(
        url,
        ssl=tls,
        compression=None,
        ping_interval=None,
        open_timeout=GREETING_SECONDS,
        close_timeout=CLOSING_SECONDS,
        max_size=LARGEST_FRAME_BYTES,
        proxy=None,
        create_connection=PingedConnection,
    ) as socket:
        if not isinstance(socket, PingedConnection):  # pragma: no cover - create_connection is honoured; tells mypy
            raise TypeError(socket)
        async with asyncio.timeout(GREETING_SECONDS):
            hello = await _expect(socket, Hello)
            await socket.send(msgspec.json.encode(Authenticate(proof=prove(hello.nonce))), text=True)
            ready = await _expect(socket, Ready)
        yield Connection(socket, ready)


async def _expect(socket: ClientConnection, kind: type[Expected]) -> Expected:
    frame = decode_frame(await socket.recv())
    if not isinstance(frame, kind):
        message = f"{kind.__name__.lower()} was due, not {type(frame).__name__}"
        raise ProtocolError(message)
    return frame
