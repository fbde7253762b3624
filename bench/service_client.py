"""The service's browser and phone (see `bench.exchange`): the interface of a vouching application and of a device.

The browser stands for an application's own sign-in page: it begins with HTTP Basic and goes on with the sign-in's
token. The phone proves its key on the socket, says that it received the challenge, and signs what it showed together
with the browser's number.
"""

import asyncio
import base64
import hashlib
import ipaddress
import secrets
import time

import msgspec

from bench.exchange import Begun, ExchangeError, Pair, fail
from bench.people import Person, Vouching
from bench.signing import Header, Signer, base64url
from bench.wire import Address, HttpConnection, Response, WebSocketConnection, request

_encode = msgspec.json.Encoder().encode

LONG_POLL = 25
"""Seconds for which the browser lets the service park it."""

_PENDING = "pending"
_APPROVED = "approved"


class Client(msgspec.Struct):
    """The browser behind an application's request."""

    ip: str
    user_agent: str


class Begin(msgspec.Struct, omit_defaults=True):
    """The body of `POST /v1/sign-ins`."""

    username: str
    client: Client
    password: str = ""
    replaces: str = ""


class _Prompt(msgspec.Struct):
    number: str = ""


class _Challenge(msgspec.Struct):
    id: str
    prompt: _Prompt


class _SignIn(msgspec.Struct):
    id: str
    version: int
    state: str
    reason: str | None = None
    challenge: _Challenge | None = None
    browser_token: str = ""
    result: str | None = None


class _Problem(msgspec.Struct):
    code: str = "?"


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


_decode_sign_in = msgspec.json.Decoder(_SignIn).decode
_decode_problem = msgspec.json.Decoder(_Problem).decode
_decode_frame = msgspec.json.Decoder(_Frame).decode


def refusal(answer: Response) -> ExchangeError:
    """The service's refusal as an error: its status and its stable code."""
    try:
        code = _decode_problem(answer.body).code
    except msgspec.DecodeError:
        code = repr(answer.body[:60])
    return ExchangeError(f"{answer.status} {code}")


def address_of(number: int) -> str:
    """A client address of its own for every person, so that no limit by address is what is measured."""
    return str(ipaddress.IPv4Address("10.0.0.1") + number)


class ServiceBrowser:
    """Begins as a vouching application does, with or without a password, and waits with the sign-in's token."""

    def __init__(self, address: Address, vouching: Vouching, person: Person, *, password: str = "") -> None:
        self.polls = 0
        self.polled_at = 0.0
        self._address = address
        credentials = base64.b64encode(f"{vouching.client_id}:{vouching.client_secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}"}
        client = Client(
            address_of(person.number), "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        )
        self._body = Begin(person.username, client, password)
        self._begin = request("POST", "/v1/sign-ins", address, self._headers, _encode(self._body))
        self._told: asyncio.Future[None]
        self._http = HttpConnection()

    async def connect(self) -> None:
        """Connect to the service."""
        self._http = await HttpConnection.open(self._address)

    async def begin(self, replacing: Begun | None = None) -> Begun:
        """Begin a sign-in that asks the person's phone, in place of this browser's former one if it has one."""
        if replacing is None:
            return _begun(await self._http.send(self._begin))
        body = _encode(msgspec.structs.replace(self._body, replaces=replacing.token))
        return _begun(await self._http.send(request("POST", "/v1/sign-ins", self._address, self._headers, body)))

    def watch(self, begun: Begun) -> asyncio.Future[None]:
        """Long-poll until the outcome is there; the prompt's delivery brings a poll back early, as for any browser."""
        self._told = asyncio.get_running_loop().create_future()
        self.polls = 0
        self._poll(begun, begun.version)
        return self._told

    def close(self) -> None:
        """Drop the connection."""
        self._http.close()

    def _poll(self, begun: Begun, version: int) -> None:
        self.polls += 1
        self.polled_at = time.perf_counter()
        target = f"/v1/sign-ins/{begun.sign_in_id}?wait={LONG_POLL}&after={version}"
        answer = self._http.send(request("GET", target, self._address, {"Authorization": f"Bearer {begun.token}"}))
        answer.add_done_callback(lambda heard: self._heard(begun, heard))

    def _heard(self, begun: Begun, answer: asyncio.Future[Response]) -> None:
        if self._told.done():
            return
        try:
            sign_in = _expect(200, answer.result())
        except (ConnectionError, ExchangeError, msgspec.DecodeError) as error:
            fail(self._told, error)
            return
        if sign_in.state == _PENDING:
            self._poll(begun, sign_in.version)
        elif sign_in.state == _APPROVED and sign_in.result:
            self._told.set_result(None)
        else:
            fail(self._told, ExchangeError(f"the outcome is {sign_in.state} ({sign_in.reason})"))


def _expect(status: int, answer: Response) -> _SignIn:
    if answer.status != status:
        raise refusal(answer)
    return _decode_sign_in(answer.body)


def _begun(answer: Response) -> Begun:
    sign_in = _expect(201, answer)
    if sign_in.state != _PENDING or sign_in.challenge is None:
        raise ExchangeError(f"begun, but nobody is asked: {sign_in.state} ({sign_in.reason})")
    challenge = sign_in.challenge
    return Begun(sign_in.id, challenge.id, challenge.prompt.number, sign_in.browser_token, sign_in.version)


class ServicePhone:
    """A registered device: hello, proof, ready; then each challenge is received, and answered when the flow says so."""

    def __init__(self, address: Address, person: Person) -> None:
        self.answered_at = 0.0
        self._address = address
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
            proof = _Proof("GET", self._address.url + _SOCKET, now, secrets.token_urlsafe(16), frame.nonce)
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


_SOCKET = "/v1/device/socket"


def service_pair(address: Address, vouching: Vouching, person: Person, *, password: str = "") -> Pair:
    """A browser whose application gives the person's password, or else vouches for it; and the person's phone."""
    return Pair(ServiceBrowser(address, vouching, person, password=password), ServicePhone(address, person))
