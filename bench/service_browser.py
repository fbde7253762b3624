"""The service's browser (see `bench.exchange`): an application's own sign-in page, which gives a password or vouches.

It begins with the application's HTTP Basic credentials and goes on with the sign-in's token.
Used by `bench.contestants`.
"""

import asyncio
import base64
import ipaddress
import time

import msgspec

from bench.exchange import Begun, ExchangeError, fail
from bench.people import Person, Vouching
from bench.wire import Address, HttpConnection, Response, request

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
    number: str | None = None


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


_encode = msgspec.json.Encoder().encode
_decode_sign_in = msgspec.json.Decoder(_SignIn).decode
_decode_problem = msgspec.json.Decoder(_Problem).decode


class ServiceBrowser:
    """Begins as a vouching application does, with or without a password, and waits with the sign-in's token."""

    def __init__(self, address: Address, vouching: Vouching, person: Person, *, password: str = "") -> None:
        self.polls = 0
        self.polled_at = 0.0
        self._address = address
        credentials = base64.b64encode(f"{vouching.client_id}:{vouching.client_secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}"}
        client = Client(
            _address_of(person.number), "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
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


def _begun(answer: Response) -> Begun:
    sign_in = _expect(201, answer)
    if sign_in.state != _PENDING or sign_in.challenge is None:
        raise ExchangeError(f"begun, but nobody is asked: {sign_in.state} ({sign_in.reason})")
    challenge = sign_in.challenge
    return Begun(sign_in.id, challenge.id, challenge.prompt.number or "", sign_in.browser_token, sign_in.version)


def _expect(status: int, answer: Response) -> _SignIn:
    if answer.status != status:
        raise _refusal(answer)
    return _decode_sign_in(answer.body)


def _refusal(answer: Response) -> ExchangeError:
    """The service's refusal as an error: its status and its stable code."""
    try:
        code = _decode_problem(answer.body).code
    except msgspec.DecodeError:
        code = repr(answer.body[:60])
    return ExchangeError(f"{answer.status} {code}")


def _address_of(number: int) -> str:
    """A client address of its own for every person, so that no limit by address is what is measured."""
    return str(ipaddress.IPv4Address("10.0.0.1") + number)
