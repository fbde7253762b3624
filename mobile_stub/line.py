"""The phone's line to the service: one socket after another, for as long as the phone is on.

Connects, hands what comes in to a listener, connects again with full-jitter back-off, and ends for good only when the
service says that it is of no use: 4401 (not authenticated) and 4409 (another socket of this phone took over). An answer
under way when the socket breaks is sent again, the same text, on the next one: the service gives the same answer the
same reply, so the caller of `ask` never sees the break. Run by `phone.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Never, Protocol, assert_never

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from mobile_stub.backoff import Backoff
from mobile_stub.connection import Connection, open_connection
from mobile_stub.errors import (
    LineClosedError,
    LineReplacedError,
    NotAuthenticatedError,
    ProtocolError,
    RefusedError,
)
from mobile_stub.problems import Problem
from mobile_stub.wire import (
    Answer,
    Challenge,
    ChallengeFrame,
    ErrorFrame,
    Hello,
    OutcomeFrame,
    Ready,
    Received,
    Reply,
    ServerFrame,
    Withdrawn,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

NOT_AUTHENTICATED = 4401
REPLACED = 4409
RESTARTING = 1012

STEADY_SECONDS = 5.0
"""A connection that stood this long ends a series of failures; one that breaks at once doesn't."""


class LineState(StrEnum):
    """What the person would see in the phone's status bar."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class LineListener(Protocol):
    """Who wants to know what comes over the line."""

    async def on_ready(self, ready: Ready) -> None:
        """A socket is authenticated; the pending challenges follow."""

    async def on_challenge(self, challenge: Challenge) -> bool:
        """A challenge has come; the return value tells whether it may be acknowledged."""

    def on_withdrawn(self, withdrawn: Withdrawn) -> None:
        """A challenge isn't asked any more."""

    def on_state(self, state: LineState) -> None:
        """The line is up, down, or closed for good."""

    async def on_rejected(self) -> bool:
        """The proof wasn't accepted; True if something has been corrected, so that trying once more makes sense."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer under way."""

    frame: Answer
    reply: asyncio.Future[Reply]


@dataclass(slots=True)
class Line:
    """`prove` makes the proof for a hello's nonce; `url` is ws or wss."""

    url: str
    prove: Callable[[str], str]
    listener: LineListener
    backoff: Backoff = field(default_factory=Backoff)
    tls: ssl.SSLContext | None = None
    state: LineState = LineState.CONNECTING
    _asked: dict[str, Asked] = field(default_factory=dict)
    _connection: Connection | None = None

    async def run(self) -> Never:
        """Keep the line up until cancelled; ends by LineClosedError when the service closed it for good."""
        try:
            while True:
                pause = await self._one_connection()
                await asyncio.sleep(pause)
        except BaseException as end:
            self._close(end)
            raise

    async def ask(self, answer: str) -> Reply:
        """Send a signed answer and wait for its outcome, over as many sockets as it takes.

        There is no time limit but the caller's own. Raises RefusedError (status 0) when the service refuses the
        answer, LineClosedError when the line ends for good.
        """
        if self.state is LineState.CLOSED:
            message = "the line is closed"
            raise LineClosedError(message)
        asked = Asked(Answer(ref=secrets.token_hex(8), answer=answer), asyncio.get_running_loop().create_future())
        self._asked[asked.frame.ref] = asked
        try:
            if self._connection is not None:
                with contextlib.suppress(ConnectionClosed):  # the next connection sends it again
                    await self._connection.send(asked.frame)
            return await asked.reply
        finally:
            del self._asked[asked.frame.ref]

    def drop(self) -> None:
        """Cut the present connection, if there is one; the line connects again by itself."""
        if self._connection is not None:
            self._connection.drop()

    async def _one_connection(self) -> float:
        """Use one socket to its end; how long to wait before the next one, in seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with open_connection(self.url, self.prove, self.tls) as connection:
                await self._use(connection)
        except ConnectionClosed as closed:
            return await self._wait_after(closed, steady=loop.time() - began > STEADY_SECONDS)
        except InvalidStatus as refused:
            retry_after = refused.response.headers.get("Retry-After", "")
            return self.backoff.next(at_least=float(retry_after) if retry_after.isdecimal() else 0.0)
        except (OSError, TimeoutError, InvalidHandshake, ProtocolError):
            return self.backoff.next()
        finally:
            self._connection = None
            self._tell(LineState.CONNECTING)

    async def _use(self, connection: Connection) -> Never:
        await self.listener.on_ready(connection.ready)
        self._connection = connection
        self._tell(LineState.CONNECTED)
        for asked in list(self._asked.values()):
            await connection.send(asked.frame)
        await connection.listen(self._handle)

    async def _handle(self, frame: ServerFrame) -> None:
        match frame:
            case ChallengeFrame(challenge=challenge):
                if await self.listener.on_challenge(challenge) and self._connection is not None:
                    await self._connection.send(Received(challenge_id=challenge.id))
            case Withdrawn():
                self.listener.on_withdrawn(frame)
            case OutcomeFrame(ref=ref):
                asked = self._asked.get(ref)
                if asked is not None and not asked.reply.done():
                    asked.reply.set_result(Reply(outcome=frame.outcome, state=frame.state, reported=frame.reported))
            case ErrorFrame(ref=ref, code=code):
                asked = self._asked.get(ref) if ref is not None else None
                if asked is not None and not asked.reply.done():
                    asked.reply.set_exception(RefusedError(0, Problem(code=code)))
            case Hello() | Ready():
                message = f"a second {type(frame).__name__.lower()} on one socket"
                raise ProtocolError(message)
            case _:
                assert_never(frame)

    async def _wait_after(self, closed: ConnectionClosed, *, steady: bool) -> float:
        code = None if closed.rcvd is None else closed.rcvd.code
        if code == REPLACED:
            message = "another connection of this phone took over"
            raise LineReplacedError(message) from closed
        if code == NOT_AUTHENTICATED:
            if await self.listener.on_rejected():
                return self.backoff.next()
            message = "the service doesn't accept this phone's proof"
            raise NotAuthenticatedError(message) from closed
        if code == RESTARTING:
            return self.backoff.after_restart()
        if steady:
            self.backoff.succeeded()
        return self.backoff.next()

    def _tell(self, state: LineState) -> None:
        if state is not self.state:
            self.state = state
            self.listener.on_state(state)

    def _close(self, end: BaseException) -> None:
        self._tell(LineState.CLOSED)
        for asked in self._asked.values():
            if not asked.reply.done():
                asked.reply.set_exception(end if isinstance(end, LineClosedError) else LineClosedError("switched off"))
