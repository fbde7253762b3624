"""What every route has in common: how requests are read, how refusals are written, who asks from where.

Errors are RFC 9457 problem documents with a stable `code`. Each response carries `X-Request-Id`. Bodies are JSON in
UTF-8, read strictly, at most 64 KiB, and given ten seconds to arrive.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from push_service import strict_json
from push_service.model.errors import (
    BodyTooLarge,
    Fault,
    InvalidClient,
    InvalidRequest,
    InvalidToken,
    MethodNotAllowed,
    NotFound,
    ServiceError,
    Unavailable,
    UnsupportedMediaType,
)
from push_service.model.network import Networks, address_of, within

T = TypeVar("T")

MAX_BODY = 64 * 1024
BODY_SECONDS = 10.0
PROBLEM = "application/problem+json"
JSON = "application/json"

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]
Observe = Callable[[web.Request, int, float, str | None], None]
"""Is told of each answer: its status, how many seconds it took, and the code if it is a refusal."""

_REQUEST_ID = web.RequestKey("request_id", str)
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger()


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    state: str | None = None
    reported: bool | None = None
    tries_left: int | None = None
    server_time: str | None = None
    retry_after: int | None = None
    errors: tuple[Fault, ...] = ()


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A route with everything that the OpenAPI document says of it."""

    method: str
    path: str
    handle: Handle
    summary: str
    tag: str
    body: type | None = None
    query: type | None = None
    replies: dict[int, type | None]
    """By status, what is in the body; None: nothing that has a shape."""
    media: str | None = None
    """The content type of a reply without a shape; None: it has no body."""
    errors: tuple[type[ServiceError], ...] = ()
    security: tuple[str, ...] = ()
    idempotent: bool = False
    """Whether it heeds `Idempotency-Key`."""


def json_reply(value: object, status: int = 200) -> web.Response:
    """A JSON response."""
    return web.Response(body=_encode(value), status=status, content_type=JSON)


def problem_of(refusal: ServiceError) -> Problem:
    """A refusal as a document."""
    return Problem(
        type=f"/docs/errors#{refusal.code}",
        title=refusal.sentence,
        status=refusal.status,
        code=refusal.code,
        detail=refusal.detail,
        state=refusal.state,
        reported=refusal.reported,
        tries_left=refusal.tries_left,
        server_time=refusal.server_time,
        retry_after=_whole_seconds(refusal),
        errors=refusal.faults,
    )


def refuse(refusal: ServiceError) -> web.Response:
    """A refusal as a response."""
    response = web.Response(body=_encode(problem_of(refusal)), status=refusal.status, content_type=PROBLEM)
    seconds = _whole_seconds(refusal)
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    if isinstance(refusal, InvalidClient):
        response.headers["WWW-Authenticate"] = 'Basic realm="push-service", charset="UTF-8"'
    elif isinstance(refusal, InvalidToken):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


class UnexpectedError(ServiceError):
    """A defect: recorded with its trace, told without it."""


_ROUTER_REFUSALS: dict[int, type[ServiceError]] = {
    403: NotFound,  # a folder of static files: nothing to list
    404: NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
}


def guard(observe: Observe) -> Middleware:
    """The middleware around every handler: request id, refusals to problems, defects to 500, and the metrics."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = _request_id(request)
        begun = asyncio.get_running_loop().time()
        code: str | None = None
        try:
            response = await handler(request)
        except ServiceError as refusal:
            response, code = refuse(refusal), refusal.code
        except web.HTTPException as plain:
            kind = _ROUTER_REFUSALS.get(plain.status)
            # Every path of the shared interface answers OPTIONS (cors.PATTERN); what answers nothing else isn't there.
            nowhere = plain.headers.get("Allow") == "OPTIONS"
            problem = NotFound if nowhere else kind
            response, code = (refuse(problem()), problem.code) if problem else (plain, None)
            if "Allow" in plain.headers and not nowhere:
                response.headers["Allow"] = plain.headers["Allow"]
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:  # noqa: BLE001 - the outermost shell: a defect is logged whole and told as 500
            _log.exception("request.failed", request_id=request_id, route=route_of(request), method=request.method)
            response, code = refuse(UnexpectedError()), UnexpectedError.code
        observe(request, response.status, asyncio.get_running_loop().time() - begun, code)
        return response

    return middleware


async def mark(request: web.Request, response: web.StreamResponse) -> None:
    """A response-prepare signal: what every answer carries, event streams and sockets included."""
    response.headers["X-Request-Id"] = _request_id(request)
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.path.startswith("/v1/"):
        response.headers.setdefault("Cache-Control", "no-store")


_PROCESS, _NUMBERS = secrets.token_urlsafe(9), itertools.count(1)
"""A request id need not be unguessable, only unlike every other."""


def _request_id(request: web.Request) -> str:
    known: str | None = request.get(_REQUEST_ID)
    if known is None:
        known = request[_REQUEST_ID] = f"{_PROCESS}-{next(_NUMBERS)}"
    return known


class QuietAboutMalformed(logging.Filter):
    """Leaves out of the server's log what is no HTTP at all: its trace would quote it, tokens included.

    And whoever sends it would fill the log. The sender is answered 400.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        problem = record.exc_info[1] if record.exc_info else None
        return not isinstance(problem, HttpProcessingError | web.RequestPayloadError)


def route_of(request: web.Request) -> str:
    """The route's pattern: never the path itself, which is whatever someone typed."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"


async def read_body(request: web.Request) -> bytes:
    """The body as bytes. Raises UnsupportedMediaType, BodyTooLarge, InvalidRequest."""
    if request.content_type != JSON or request.charset not in {None, "utf-8", "UTF-8"}:
        raise UnsupportedMediaType
    return await read_bytes(request)


async def read_bytes(request: web.Request) -> bytes:
    """The body, whatever it is said to be. Raises UnsupportedMediaType, BodyTooLarge, InvalidRequest."""
    if "Content-Encoding" in request.headers:
        raise UnsupportedMediaType("Compressed bodies are not accepted.")
    if request.content_length is not None and request.content_length > MAX_BODY:
        raise BodyTooLarge
    try:
        if request.content.is_eof():  # it came with the headers, as nearly all do
            return await request.read()
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        request.protocol.close()
        raise InvalidRequest("The body did not arrive in time.") from None
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLarge from None


async def read(request: web.Request, shape: type[T]) -> T:
    """The body as `shape`."""
    return strict_json.decode(await read_body(request), shape)


def bearer(request: web.Request) -> str:
    """The bearer token. Raises InvalidToken."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise InvalidToken
    return token.strip()


def basic(request: web.Request) -> tuple[str, str] | None:
    """The client id and secret of HTTP Basic (RFC 7617); None where nothing is said. Raises InvalidClient."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient
    try:
        name, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise InvalidClient from None
    if not colon:
        raise InvalidClient
    return name, secret


def whole_number(request: web.Request, name: str, largest: int) -> int | None:
    """A query parameter as a whole number from 0 to `largest`; None where it is absent. Raises InvalidRequest."""
    values = request.query.getall(name, [])
    if not values:
        return None
    value = values[0]
    fits = len(values) == 1 and value.isascii() and value.isdigit() and len(value) <= 18  # noqa: PLR2004 - fits 64 bits
    if not fits or int(value) > largest:
        fault = Fault(f"?{name}", f"must be a whole number from 0 to {largest}")
        raise InvalidRequest(f"{name} {fault.detail}.", faults=(fault,))
    return int(value)


def client_address(request: web.Request, proxies: Networks) -> str | None:
    """Where the request comes from: the peer, or behind listed proxies the right-most hop that isn't one of them."""
    address = request.remote and (address_of(request.remote) or request.remote)
    if not proxies or not address:
        return address
    hops = [hop.strip() for header in request.headers.getall("X-Forwarded-For", []) for hop in header.split(",")]
    while hops and within(address, proxies):
        hop = address_of(hops.pop())
        if hop is None:
            break
        address = hop
    return address


def trace_parent(request: web.Request, proxies: Networks, *, trusted: bool) -> str | None:
    """The trace that the request belongs to (W3C Trace Context), if whoever sent it may say so.

    An authenticated application may, and a listed proxy. A stranger's would mix other people's sign-ins into one trace,
    and have traces kept that nobody asked for.
    """
    named = request.headers.get("traceparent")
    if named is None:
        return None
    return named if trusted or within(address_of(request.remote or ""), proxies) else None


def _whole_seconds(refusal: ServiceError) -> int | None:
    if refusal.retry_after is None:
        return 1 if isinstance(refusal, Unavailable) else None
    return max(1, int(refusal.retry_after + 0.999))
