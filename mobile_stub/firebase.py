"""Google's push network in a box: the token endpoint, FCM v1 `messages:send`, and the way to the stub's phones.

::

    async with world() as running:
        running.firebase.write_account(path, running.url)    # the sender's service-account file
        running.firebase.faults.add(Fault(kind=FaultKind.UNAVAILABLE, times=3))

Phones get their push tokens here (`new_token`) and say what wakes them (`attach`). What was asked for is kept in
`received`. The real client, firebase-admin, takes it for the real thing. Composed by `world.py`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from aiohttp import web

from mobile_stub import firebase_messages
from mobile_stub.errors import PhoneError
from mobile_stub.firebase_accounts import GRANT, BadAssertion, ServiceAccount
from mobile_stub.firebase_faults import ANSWERS, Endpoint, Fault, FaultKind, Faults, refusal, unauthenticated
from mobile_stub.firebase_messages import BadMessage, Message

PROJECT = "stub-project"
REMEMBERED = 20_000
JSON = "application/json"
GATEWAY_PAGE = "<html><head><title>502</title></head><body><h1>502 Bad Gateway</h1></body></html>"

Woken = Callable[[Mapping[str, str]], Awaitable[None]]
"""What a phone does when a data message reaches it."""


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send, as it came, and what it was answered: `sent`, an error code, or the fault that met it."""

    at: datetime
    message: Message
    answer: str


class _Sent(msgspec.Struct, frozen=True):
    name: str


class _GrantRefused(msgspec.Struct, frozen=True):
    error: str
    error_description: str


class Firebase:
    """See the module. `closing` ends whatever hangs on purpose."""

    def __init__(self) -> None:
        self.account = ServiceAccount(PROJECT)
        self.faults = Faults()
        self.received: deque[Received] = deque(maxlen=REMEMBERED)
        self.tokens_sold = 0
        self._phones: dict[str, Woken | None] = {}
        self._delivering: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._arrived = asyncio.Event()

    # --- for phones ---------------------------------------------------------------------------------------------------

    def new_token(self) -> str:
        """A push token of an app that was just installed, or whose token was renewed."""
        token = f"{secrets.token_urlsafe(16)}:APA91b{secrets.token_urlsafe(80)}"
        self._phones[token] = None
        return token

    def attach(self, token: str, woken: Woken) -> None:
        """The phone of this token is switched on, and this is called when a message reaches it."""
        self._phones[token] = woken

    def retire(self, token: str) -> None:
        """The app was removed, or got another token: this one is UNREGISTERED from now on."""
        self._phones.pop(token, None)

    # --- for whoever runs it ------------------------------------------------------------------------------------------

    def write_account(self, path: Path, url: str) -> None:
        """Write the service-account file of a sender; `url` is where this is served."""
        path.touch(mode=0o600)
        path.write_bytes(self.account.file(f"{url}/token"))

    async def receives(self, count: int) -> list[Received]:
        """Wait until so many requests to send have come; all of them."""
        while len(self.received) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return list(self.received)

    def add_to(self, app: web.Application) -> None:
        """Register Google's two endpoints."""
        app.router.add_post("/token", self.sell)
        app.router.add_post("/v1/projects/{project}/messages:send", self.send)
        app.on_shutdown.append(self._close)

    async def close(self) -> None:
        """Deliver nothing more."""
        self._closing.set()
        for task in tuple(self._delivering):
            task.cancel()
        await asyncio.gather(*self._delivering, return_exceptions=True)

    # --- Google's endpoints -------------------------------------------------------------------------------------------

    async def sell(self, request: web.Request) -> web.StreamResponse:
        """`POST /token`: an access token for an assertion (RFC 7523)."""
        form = await request.post()
        fault = self.faults.next(Endpoint.TOKEN)
        if fault is not None and (trouble := await self._trouble(request, fault)):
            return trouble
        grant, assertion = form.get("grant_type"), form.get("assertion")
        if grant != GRANT or not isinstance(assertion, str):
            return _json(_GrantRefused("unsupported_grant_type", f"Invalid grant_type: {grant!r}"), 400)
        try:
            sold = self.account.sell(assertion)
        except BadAssertion as error:
            return _json(_GrantRefused("invalid_grant", str(error)), 400)
        self.tokens_sold += 1
        return await self._answered(request, msgspec.json.encode(sold), fault)

    async def send(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/projects/{project}/messages:send`."""
        if not self.account.accepts(request.headers.get("Authorization", "")):
            headers = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}
            return web.Response(body=unauthenticated(), status=401, content_type=JSON, headers=headers)
        if request.match_info["project"] != self.account.project_id:
            return _refused(FaultKind.SENDER_ID_MISMATCH)
        try:
            wanted = firebase_messages.read(await request.read())
        except BadMessage as error:
            body = refusal(FaultKind.INVALID_ARGUMENT, error.field, error.description)
            return web.Response(body=body, status=400, content_type=JSON)
        message = wanted.message
        fault = self.faults.next(Endpoint.SEND, message.to)
        if fault is None and message.to not in self._phones:
            fault = Fault(kind=FaultKind.UNREGISTERED)
        self.received.append(
            Received(at=datetime.now(UTC), message=message, answer="sent" if fault is None else fault.kind.value)
        )
        self._arrived.set()
        if fault is not None and (trouble := await self._trouble(request, fault)):
            return trouble
        if not wanted.validate_only and (fault is None or fault.kind is not FaultKind.LOST):
            self._deliver(message)
        sent = msgspec.json.encode(_Sent(f"projects/{self.account.project_id}/messages/{secrets.token_hex(8)}"))
        return await self._answered(request, sent, fault)

    async def _trouble(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        """What the fault answers in place of the truth; None where the truth follows, late or slowly."""
        match fault.kind:
            case FaultKind.LATE:
                await self._until_closing(fault.late)
                return None
            case FaultKind.SILENT:
                await self._until_closing(None)
                raise web.HTTPServiceUnavailable
            case FaultKind.DRIBBLE | FaultKind.LOST:
                return None
            case FaultKind.BAD_GATEWAY:
                return web.Response(status=502, text=GATEWAY_PAGE, content_type="text/html")
            case _ if fault.endpoint is Endpoint.TOKEN and fault.kind not in {
                FaultKind.INTERNAL,
                FaultKind.UNAVAILABLE,
            }:
                return _json(_GrantRefused("invalid_grant", f"Told to refuse {request.path}."), 400)
            case _:
                return _refused(fault.kind, fault.retry_after)

    async def _answered(self, request: web.Request, body: bytes, fault: Fault | None) -> web.StreamResponse:
        if fault is None or fault.kind is not FaultKind.DRIBBLE:
            return web.Response(body=body, content_type=JSON)
        slow = web.StreamResponse(headers={"Content-Type": JSON, "Content-Length": str(len(body))})
        await slow.prepare(request)
        with suppress(ConnectionResetError):  # they did not wait for all of it
            for byte in body:
                await slow.write(bytes([byte]))
                if await self._until_closing(1.0):
                    break
        return slow

    async def _until_closing(self, seconds: float | None) -> bool:
        """Wait so long; True if this is about to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True

    def _deliver(self, message: Message) -> None:
        """To the phone, if it is switched on; a message for one that isn't is lost here as if its time had run out."""
        woken = self._phones.get(message.to)
        if woken is None:
            return
        task = asyncio.create_task(_wake(woken, message), name="push message on its way")
        self._delivering.add(task)
        task.add_done_callback(self._delivering.discard)

    async def _close(self, _: web.Application) -> None:
        self._closing.set()


async def _wake(woken: Woken, message: Message) -> None:
    with suppress(PhoneError, TimeoutError):  # the phone could not reach its service in time: its trouble, not ours
        async with asyncio.timeout(max(1.0, message.time_to_live)):
            await woken(message.data)


def _refused(kind: FaultKind, retry_after: int | None = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.Response(body=refusal(kind), status=ANSWERS[kind].http, content_type=JSON, headers=headers)


def _json(body: msgspec.Struct, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type=JSON)
