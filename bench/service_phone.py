"""The service's phone (see `bench.exchange`): a registered device on the socket, as the device protocol has it.

It proves its key over the server's nonce, says that it received the challenge, and signs what it showed together with
the number that the browser was given. Used by `bench.contestants` and `bench.idle_devices`.
"""

import asyncio
import hashlib
import secrets
import time

import msgspec

from bench.exchange import Begun, ExchangeError, fail
from bench.people import Person
from bench.signing import Header, Signer, base64url
from bench.wire import Address, WebSocketConnection

_SOCKET = "/v1/device/socket"


class _DeviceChallenge(msgspec.Struct):
    id: str
    nonce: str
    context: str
    confirm: str


class _Frame(msgspec.Struct):
    type: str
    nonce: str = ""
    challenge: _DeviceChallenge | None = None
    challenge_id: str = ""
    ref: str | None = None
    outcome: str = ""
    code: str = ""


class _Proof(msgspec.Struct):
    htm: str
    htu: str
    iat: int
    jti: str
    nonce: str


class _Answer(msgspec.Struct, omit_defaults=True):
    challenge_id: str
    nonce: str
    decision: str
    ctx: str
    iat: int
    number: str = ""


class _Authenticate(msgspec.Struct, tag_field="type", tag="authenticate"):
    proof: str


class _Received(msgspec.Struct, tag_field="type", tag="received"):
    challenge_id: str


class _SendAnswer(msgspec.Struct, tag_field="type", tag="answer"):
    ref: str
    answer: str


_encode = msgspec.json.Encoder().encode
_decode_frame = msgspec.json.Decoder(_Frame).decode


class ServicePhone:
    """A registered device: hello, proof, ready; then each challenge is received, and answered when the flow says so."""

    def __init__(self, address: Address, person: Person, public: Address | None = None) -> None:
        self.answered_at = 0.0
        self._address = address
        self._public = public or address  # what the service calls itself, whichever of its processes this is
        self._proofs = Signer(person.key, Header("device-proof+jwt", person.device_id))
        self._answers = Signer(person.key, Header("device-answer+jwt", person.device_id))
        self._shown: dict[str, _DeviceChallenge] = {}
        self._expected: dict[str, asyncio.Future[None]] = {}
        self._unacknowledged: dict[str, asyncio.Future[None]] = {}
        self._ready: asyncio.Future[None]
        self._socket = WebSocketConnection(self._heard, self._lost)

    async def connect(self) -> None:
        """Connect and authenticate."""
        self._shown.clear()
        self._ready = asyncio.get_running_loop().create_future()
        self._socket = WebSocketConnection(self._heard, self._lost)
        await self._socket.open(self._address, _SOCKET)
        await self._ready

    def prompted(self, begun: Begun) -> asyncio.Future[None]:
        """Done when the challenge of this sign-in is on the phone."""
        here = asyncio.get_running_loop().create_future()
        if begun.challenge_id in self._shown:
            here.set_result(None)
        else:
            self._expected[begun.challenge_id] = here
        return here

    def answer(self, begun: Begun) -> asyncio.Future[None]:
        """Sign what was shown with the number that the browser was given, and send it."""
        challenge = self._shown.pop(begun.challenge_id)
        answer = _Answer(
            challenge_id=challenge.id,
            nonce=challenge.nonce,
            decision="verify",
            ctx=base64url(hashlib.sha256(challenge.context.encode()).digest()).decode(),
            iat=int(time.time()),
            number=begun.number if challenge.confirm == "number" else "",
        )
        frame = _encode(_SendAnswer(challenge.id, self._answers.sign(answer).decode()))
        acknowledged = asyncio.get_running_loop().create_future()
        self._unacknowledged[challenge.id] = acknowledged
        self.answered_at = time.perf_counter()
        self._socket.send_text(frame)
        return acknowledged

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()

    def _heard(self, payload: bytes) -> None:
        frame = _decode_frame(payload)
        if frame.type == "challenge" and frame.challenge is not None:
            self._shown[frame.challenge.id] = frame.challenge
            self._socket.send_text(_encode(_Received(frame.challenge.id)))
            if (expected := self._expected.pop(frame.challenge.id, None)) is not None and not expected.done():
                expected.set_result(None)
        elif frame.type in {"outcome", "error"}:
            self._acknowledged(frame)
        elif frame.type == "withdrawn":
            self._shown.pop(frame.challenge_id, None)
        elif frame.type == "hello":
            now = int(time.time())
            proof = _Proof("GET", self._public.url + _SOCKET, now, secrets.token_urlsafe(16), frame.nonce)
            self._socket.send_text(_encode(_Authenticate(self._proofs.sign(proof).decode())))
        elif frame.type == "ready" and not self._ready.done():
            self._ready.set_result(None)

    def _acknowledged(self, frame: _Frame) -> None:
        waiting = self._unacknowledged.pop(frame.ref or "", None)
        if waiting is None or waiting.done():
            return
        if frame.outcome == "completed":
            waiting.set_result(None)
        else:
            fail(waiting, ExchangeError(f"the answer was not taken: {frame.outcome or frame.code}"))

    def _lost(self, why: str) -> None:
        for waiting in (self._ready, *self._expected.values(), *self._unacknowledged.values()):
            if not waiting.done():
                fail(waiting, ConnectionError(why))
        self._expected.clear()
        self._unacknowledged.clear()
