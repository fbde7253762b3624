"""privacyIDEA's HTTP interface, as much of it as a sign-in needs: requests with a form each, and what the answers hold.

Every answer is JSON with a `result` (`status` says whether the request was understood, `value` what came of it) and
sometimes a `detail`. Its workers close the connection after each answer. Used by all that speaks to it.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from bench.exchange import ExchangeError
from bench.wire import Address, HttpConnection, Response, request

V = TypeVar("V")

_FORM = "application/x-www-form-urlencoded"


class Error(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    message: str = "?"


class Result(msgspec.Struct, Generic[V], frozen=True):
    """What came of a request."""

    status: bool
    value: V | None = None
    error: Error | None = None


class Detail(msgspec.Struct, frozen=True):
    """What some answers say besides."""

    transaction_id: str = ""
    serial: str = ""
    enrollment_credential: str = ""
    public_key: str = ""


class Answer(msgspec.Struct, Generic[V], frozen=True):
    """An answer's body."""

    result: Result[V]
    detail: Detail | None = None


class Challenge(msgspec.Struct, frozen=True):
    """What the phone is asked, signed by the server."""

    nonce: str
    url: str
    serial: str
    question: str
    title: str
    sslverify: str
    signature: str

    def signed_text(self) -> bytes:
        """The text that the signature covers."""
        parts = (self.nonce, self.url, self.serial, self.question, self.title, self.sslverify)
        return "|".join(parts).encode()


class Session(msgspec.Struct, frozen=True):
    """An administrator's session."""

    token: str


class Kind(Generic[V]):
    """A kind of answer by the type of its value."""

    def __init__(self, value: type[V]) -> None:
        self._decode = msgspec.json.Decoder(Answer[value]).decode  # type: ignore[valid-type]

    def read(self, answer: Response) -> Answer[V]:
        """The body. Raises `ExchangeError` if it is a refusal or has another shape."""
        try:
            body: Answer[V] = self._decode(answer.body)
        except msgspec.DecodeError as error:
            raise ExchangeError(f"{answer.status}: {error}") from error
        if answer.status != 200 or not body.result.status or body.result.value is None:
            why = body.result.error or Error()
            raise ExchangeError(f"{answer.status}: {why.message[:80]}")
        return body


YES_OR_NO = Kind(bool)
COUNT = Kind(int)
CHALLENGES = Kind(list[Challenge])
SESSION = Kind(Session)
ANYTHING = Kind(object)


class Peer:
    """The interface at one address."""

    def __init__(self, address: Address) -> None:
        self.url = address.url
        self._address = address

    async def get(self, kind: Kind[V], path: str, query: Mapping[str, str]) -> Answer[V]:
        """Ask. Raises `ExchangeError` or `OSError`."""
        return await self._send(kind, path, request("GET", f"{path}?{urlencode(query)}", self._address, {}))

    async def post(self, kind: Kind[V], path: str, form: Mapping[str, str], session: str = "") -> Answer[V]:
        """Send a form, as an administrator if there is a session. Raises `ExchangeError` or `OSError`."""
        headers = {"Authorization": session} if session else {}
        body = urlencode(form).encode()
        return await self._send(kind, path, request("POST", path, self._address, headers, body, _FORM))

    async def _send(self, kind: Kind[V], path: str, message: bytes) -> Answer[V]:
        connection = await HttpConnection.open(self._address)
        try:
            return kind.read(await connection.send(message))
        except ExchangeError as error:
            raise ExchangeError(f"{path} {error}") from error
        finally:
            connection.close()
