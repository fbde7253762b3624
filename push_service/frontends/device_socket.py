"""The device socket: `GET /v1/device/socket`.

Frames in and out; the prompts themselves are the line's (delivery/line.py).
"""

from __future__ import annotations

import asyncio
import functools
import random
import secrets
from typing import Annotated, cast

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from push_service import strict_json
from push_service.answers import Answers
from push_service.crypto.answers import ReceivedAnswer
from push_service.delivery import frames
from push_service.delivery.line import (
    NOT_AUTHENTICATED,
    RESTARTING,
    TOO_MANY_MESSAGES,
    DeviceLine,
)
from push_service.delivery.receipts import Receipts
from push_service.frontends.http import Route
from push_service.frontends.wire import Jws
from push_service.hops import Hops
from push_service.model import ids
from push_service.model.device import Device
from push_service.model.errors import InvalidRequest, NotAuthenticated, OriginNotAllowed, ServiceError, TooLate
from push_service.model.ids import ChallengeId, ConnectionId
from push_service.model.instant import MICROSECONDS, Instant, rfc3339
from push_service.model.policy import Rate
from push_service.model.throttle import spend
from push_service.ports import Bus, Store, Topic
from push_service.registrar import Registrar

PATH = "/v1/device/socket"
HEARTBEAT_SECONDS = 30
AUTHENTICATE_SECONDS = 10.0
SEND_SECONDS = 10.0
FAREWELL_SECONDS = 2.0
SPREAD_SECONDS = 2.0
SPREAD_PER_SOCKET_SECONDS = 0.01
"""An ending process closes its sockets one by one over this time, and over SPREAD_SECONDS at most: thousands of phones
that lose their socket in one instant would come back in one as well."""
MAX_FRAME = 16 * 1024
MESSAGES = Rate(900, 10)
_NONCE_BYTES = 18

Ref = Annotated[str, msgspec.Meta(max_length=128)]


class _Authenticate(msgspec.Struct, frozen=True, tag="authenticate"):
    proof: Jws


class _Received(msgspec.Struct, frozen=True, tag="received"):
    challenge_id: str


class _Answer(msgspec.Struct, frozen=True, tag="answer"):
    answer: Jws
    ref: Ref | None = None


_Frame = _Authenticate | _Received | _Answer


def _read(data: bytes) -> _Frame:
    # msgspec takes a union where type checkers know a class only.
    return strict_json.decode(data, cast("type[_Frame]", _Frame))


class DeviceSocketFrontend:
    """Serves the sockets, and knows which device has which."""

    def __init__(
        self,
        answers: Answers,
        registrar: Registrar,
        store: Store,
        bus: Bus,
        receipts: Receipts,
        *,
        own_origin: str,
        hops: Hops | None = None,
    ) -> None:
        """Translate for these use cases."""
        self._hops = hops or Hops()
        self._answers, self._registrar, self._store, self._bus = answers, registrar, store, bus
        self._receipts, self._own_origin = receipts, own_origin
        self._lines: dict[ConnectionId, DeviceLine] = {}
        self._greeted: set[web.WebSocketResponse] = set()
        self._leaving = False
        self._dice = random.SystemRandom()

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            Route(
                method="GET",
                path=PATH,
                handle=self.serve,
                summary="The device socket (WebSocket; see docs/protocol.md)",
                tag="Devices",
                replies={101: None},
                errors=(InvalidRequest, OriginNotAllowed),
            )
        ]

    @property
    def open(self) -> int:
        """How many devices are connected."""
        return len({line.device.id for line in self._lines.values()})

    async def close_all(self) -> None:
        """Send everyone away to come back, each at a moment of its own: this process is about to end.

        Until its moment a device is served as ever. An answer that is being judged then gets its outcome first. Takes
        at most the spread, what an answer may take (delivery/line.py), and the farewell.
        """
        self._leaving = True
        lines = tuple(self._lines.values())
        within = min(SPREAD_SECONDS, SPREAD_PER_SOCKET_SECONDS * len(lines))
        strangers = (_close(socket, RESTARTING) for socket in tuple(self._greeted))
        await asyncio.gather(*strangers, *(self._send_away(line, within) for line in lines))

    async def _send_away(self, line: DeviceLine, within: float) -> None:
        await asyncio.sleep(self._dice.uniform(0.0, within))
        await line.end(RESTARTING)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One device's socket, from hello to close."""
        if request.headers.get("Origin", self._own_origin) != self._own_origin:
            raise OriginNotAllowed
        socket = web.WebSocketResponse(
            compress=False,
            max_msg_size=MAX_FRAME,
            heartbeat=HEARTBEAT_SECONDS,
            timeout=FAREWELL_SECONDS,
            autoping=False,  # pings are answered here, where they count as messages
        )
        if not socket.can_prepare(request).ok:
            raise InvalidRequest("This is a WebSocket; the request does not ask for one.")
        accepted_at = await self._store.now()
        await socket.prepare(request)
        self._greeted.add(socket)
        try:
            device = None if self._leaving else await self._authenticated(socket)
        finally:
            self._greeted.discard(socket)
        if device is None or self._leaving:
            await socket.close(code=RESTARTING if self._leaving else NOT_AUTHENTICATED)
            return socket
        send = functools.partial(_send, socket)
        connection_id = ids.connection_id()
        line = DeviceLine(device, connection_id, self._store, send, functools.partial(_close, socket), hops=self._hops)
        # A former socket is told here as on any other process, by the bell below: which of several is the newest is for
        # the store to say, or two that come at the same moment may each end the other.
        self._lines[connection_id] = line
        try:
            async with (
                self._bus.attach(Topic.user(device.user_id), line.ring),
                self._bus.attach(elsewhere := Topic.device(device.id), line.contest),
            ):
                await self._store.connected(device.id, connection_id, accepted_at)
                await self._bus.ring([elsewhere])
                now = await self._store.now()
                await send(frames.ready(device.id, HEARTBEAT_SECONDS, rfc3339(now)))
                line.greeted()
                await self._converse(socket, line)
        finally:
            await line.end()
            del self._lines[connection_id]
        return socket

    async def _authenticated(self, socket: web.WebSocketResponse) -> Device | None:
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        await socket.send_str(frames.hello(nonce).decode())
        try:
            async with asyncio.timeout(AUTHENTICATE_SECONDS):
                message = await socket.receive()
                while await _is_ping(socket, message.type, message.data):
                    message = await socket.receive()
            if message.type is not WSMsgType.TEXT:
                return None
            frame = _read(message.data.encode())
            if not isinstance(frame, _Authenticate):
                return None
            return await self._registrar.device_of_proof(frame.proof, "GET", PATH, nonce)
        except (TimeoutError, InvalidRequest, NotAuthenticated):
            return None

    async def _converse(self, socket: web.WebSocketResponse, line: DeviceLine) -> None:
        allowance, loop = Instant(0), asyncio.get_running_loop()
        async for message in socket:
            now = Instant(int(loop.time() * MICROSECONDS))
            spent = spend(allowance, now, MESSAGES.interval, MESSAGES.seconds * MICROSECONDS)
            if spent is None:
                await socket.close(code=TOO_MANY_MESSAGES)
                return
            allowance = spent
            if await _is_ping(socket, message.type, message.data):
                continue
            if message.type is not WSMsgType.TEXT:
                await socket.close(code=WSCloseCode.UNSUPPORTED_DATA)
                return
            async with line.turn() as heeded:
                reply = await self._heed(message.data.encode(), line) if heeded else None
                if reply:
                    await socket.send_str(reply.decode())

    async def _heed(self, data: bytes, line: DeviceLine) -> bytes | None:
        try:
            frame = _read(data)
        except InvalidRequest as refusal:
            return frames.error(None, refusal.code)
        match frame:
            case _Received(challenge_id):
                pending = line.shown(ChallengeId(challenge_id))
                if pending and pending.challenge:
                    self._hops.received(pending.challenge)
                    self._receipts.shown(ChallengeId(challenge_id), line.device.id)
                return None
            case _Answer(answer, ref):
                return await self._answer(answer, ref, line)
            case _Authenticate():
                return frames.error(None, InvalidRequest.code)

    async def _answer(self, answer: str, ref: str | None, line: DeviceLine) -> bytes:
        try:
            challenge_id, outcome = await self._answers.take(line.device, answer, shown=line.shown)
        except TooLate as late:
            self._hops.refused(late.code)
            named = ReceivedAnswer(answer).challenge_id
            return frames.outcome(ref, named, late.code, state=late.state, reported=late.reported)
        except ServiceError as refusal:
            self._hops.refused(refusal.code)
            return frames.error(ref, refusal.code)
        line.answered(challenge_id)
        self._receipts.answered(challenge_id, line.device.id)
        return frames.outcome(ref, challenge_id, outcome.value)


async def _is_ping(socket: web.WebSocketResponse, kind: WSMsgType, data: object) -> bool:
    """Whether this was a ping, which is answered, or a pong, which says that the device is there."""
    if kind is WSMsgType.PING:
        await socket.pong(data if isinstance(data, bytes) else b"")
    return kind in {WSMsgType.PING, WSMsgType.PONG}


async def _send(socket: web.WebSocketResponse, frame: bytes) -> None:
    """Send, or give up on a device that doesn't read: it must not hold what others wait for."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await socket.send_str(frame.decode())
    except TimeoutError:
        await _close(socket, TOO_MANY_MESSAGES)
        raise


async def _close(socket: web.WebSocketResponse, code: int) -> None:
    # Without waiting for the other side's farewell, which a dead one never sends.
    await socket.close(code=code, drain=False)
