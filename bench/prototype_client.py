"""The prototype's browser and phone (see `bench.exchange`): what `bench.prototype` understands, and nothing else."""

import asyncio
import time

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.exchange import Begun, ExchangeError, Pair, fail
from bench.signing import Header, Signer
from bench.wire import Address, HttpConnection, Response, WebSocketConnection, request

_encode = msgspec.json.Encoder().encode


class _Begun(msgspec.Struct):
    id: str


class _Frame(msgspec.Struct):
    type: str
    id: str = ""
    nonce: str = ""


class _Answer(msgspec.Struct):
    sub: str
    challenge_id: str
    nonce: str
    verdict: str
    iat: int
    exp: int


_decode_begun = msgspec.json.Decoder(_Begun).decode
_decode_frame = msgspec.json.Decoder(_Frame).decode


class PrototypeBrowser:
    """Posts a user's name and waits for the verdict."""

    def __init__(self, address: Address, user: str) -> None:
        self.polls = 0
        self.polled_at = 0.0
        self._address = address
        self._begin = request("POST", "/sign-ins", address, {}, _encode({"user": user}))
        self._told: asyncio.Future[None]
        self._http = HttpConnection()

    async def connect(self) -> None:
        """Connect to the server."""
        self._http = await HttpConnection.open(self._address)

    async def begin(self, replacing: Begun | None = None) -> Begun:
        """Begin a sign-in; the prototype knows no replacing."""
        del replacing
        answer = await self._http.send(self._begin)
        if answer.status != 200:
            raise ExchangeError(f"begin: {answer.status}")
        begun = _decode_begun(answer.body)
        return Begun(begun.id, begun.id)

    def watch(self, begun: Begun) -> asyncio.Future[None]:
        """Send the one long-poll that there is."""
        self._told = asyncio.get_running_loop().create_future()
        self.polls, self.polled_at = 1, time.perf_counter()
        self._http.send(request("GET", f"/sign-ins/{begun.sign_in_id}", self._address, {})).add_done_callback(
            self._heard
        )
        return self._told

    def close(self) -> None:
        """Drop the connection."""
        self._http.close()

    def _heard(self, answer: asyncio.Future[Response]) -> None:
        if self._told.done():
            return
        if (error := answer.exception()) is not None:
            fail(self._told, error)
        elif answer.result().body != b'{"status":"approve"}':
            fail(self._told, ExchangeError(f"wait: {answer.result().status} {answer.result().body[:60]!r}"))
        else:
            self._told.set_result(None)


class PrototypePhone:
    """Shows its public key, then answers each challenge with a signed approval."""

    def __init__(self, address: Address, user: str, key: ec.EllipticCurvePrivateKey) -> None:
        self.answered_at = 0.0
        self._address = address
        self._user = user
        self._key = key
        self._signer = Signer(key, Header("JWT"))
        self._shown: dict[str, _Frame] = {}
        self._expected: dict[str, asyncio.Future[None]] = {}
        self._ready: asyncio.Future[None]
        self._acknowledged: asyncio.Future[None]
        self._socket = WebSocketConnection(self._heard, self._lost)

    async def connect(self) -> None:
        """Connect and wait until the key is taken."""
        self._ready = asyncio.get_running_loop().create_future()
        self._acknowledged = asyncio.get_running_loop().create_future()
        target = f"/phone?user={self._user}"
        self._socket = WebSocketConnection(self._heard, self._lost)
        await self._socket.open(self._address, target)
        self._socket.send_binary(self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
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
        """Sign the approval and send it."""
        challenge, now = self._shown.pop(begun.challenge_id), int(time.time())
        token = self._signer.sign(_Answer("device-1", challenge.id, challenge.nonce, "approve", now, now + 60))
        self._acknowledged = asyncio.get_running_loop().create_future()
        self.answered_at = time.perf_counter()
        self._socket.send_binary(token)
        return self._acknowledged

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()

    def _heard(self, payload: bytes) -> None:
        frame = _decode_frame(payload)
        if frame.type == "challenge":
            self._shown[frame.id] = frame
            if (expected := self._expected.pop(frame.id, None)) is not None and not expected.done():
                expected.set_result(None)
        elif frame.type == "ack" and not self._acknowledged.done():
            self._acknowledged.set_result(None)
        elif frame.type == "ready":
            self._ready.set_result(None)

    def _lost(self, why: str) -> None:
        for waiting in (self._ready, self._acknowledged, *self._expected.values()):
            if not waiting.done():
                fail(waiting, ConnectionError(why))


def prototype_pair(address: Address, number: int, key: ec.EllipticCurvePrivateKey) -> Pair:
    """The browser and the phone of the prototype's user with this number."""
    user = f"user{number:05d}"
    return Pair(PrototypeBrowser(address, user), PrototypePhone(address, user, key))
