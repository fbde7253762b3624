"""The telephone company in a box: a provider's REST interface, and the phones that its texts and calls reach.

::

    async with world() as running:
        carrier = running.carrier               # its account_sid and auth_token are what the service is given
        phone = carrier.handset("+441632960001")
        text = await phone.next_text()
        call = await phone.next_call()
        call.answer()
        await call.asks()
        call.press("#")

The interface is Twilio's of 2010-04-01, as far as texts and calls need it: Twilio's own client takes it for the real
one. News of each go to the addresses that the customer names (`carrier_webhooks.py`). Composed by `world.py`.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from mobile_stub.carrier_calls import CallState, StubCall, Wanted, extension_of
from mobile_stub.carrier_faults import OF_REQUESTS, OF_TEXTS, Fault, FaultKind, Faults, refusal_of
from mobile_stub.carrier_webhooks import NoAnswer, Webhooks
from mobile_stub.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

FROM = "+15005550006"
"""The number that this company gives to its customer; others would serve as well."""
REMEMBERED = 200
LONGEST_TEXT = 1600
LONGEST_RING = 600
GATEWAY_PAGE = "<html><head><title>503</title></head><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|[A-Za-z0-9 ]{1,11}|MG[0-9a-f]{32}")
_SEND_DIGITS = re.compile(r"[0-9#*wW]{0,32}")
_JSON = "application/json"

Form = dict[str, list[str]]
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """A request that is refused with this error code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class TextState(StrEnum):
    """As the provider's MessageStatus has it."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


@dataclass(slots=True)
class StubText:
    """A text, and how far it came."""

    sid: str
    to: str
    sender: str
    body: str
    status: TextState = TextState.QUEUED
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Handset:
    """A phone that texts and calls reach: the number is all that there is to it."""

    def __init__(self, number: str) -> None:
        self.number = number
        self.texts: deque[StubText] = deque(maxlen=REMEMBERED)
        self.calls: deque[StubCall] = deque(maxlen=REMEMBERED)
        self._unread: asyncio.Queue[StubText] = asyncio.Queue()
        self._ringing: asyncio.Queue[StubCall] = asyncio.Queue()

    async def next_text(self) -> StubText:
        """The oldest text that nobody has asked for yet, as soon as there is one."""
        return await self._unread.get()

    async def next_call(self) -> StubCall:
        """The oldest call that nobody has asked for yet, as soon as there is one."""
        return await self._ringing.get()

    def receive(self, text: StubText) -> None:
        """Show a text."""
        self.texts.append(text)
        self._unread.put_nowait(text)

    def ring(self, call: StubCall) -> None:
        """Show a call."""
        self.calls.append(call)
        self._ringing.put_nowait(call)


class _Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A text or call as the interface shows it."""

    sid: str
    account_sid: str
    status: str
    to: str
    from_: str = msgspec.field(name="from")
    direction: str = "outbound-api"
    date_created: str
    uri: str
    body: str | None = None
    error_code: int | None = None
    error_message: str | None = None


class Carrier:
    """See the module. Changes of anything ring `changes`; `carrier_calls.py` says what `pace` is."""

    def __init__(self, changes: Changes | None = None, *, pace: float | None = 1.0) -> None:
        self.account_sid = f"AC{secrets.token_hex(16)}"
        self.auth_token = secrets.token_hex(16)
        self.faults = Faults()
        self.webhooks = Webhooks(self.auth_token, self.faults)
        self.changes = changes or Changes()
        self.pace = pace
        self.heard: Counter[str] = Counter()
        """How many requests to send came for each number, whatever became of them."""
        self._handsets: dict[str, Handset] = {}
        self._texts: dict[str, StubText] = {}
        self._calls: dict[str, StubCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    # --- for people and scripts -----------------------------------------------------------------------------------

    def settings(self, url: str) -> dict[str, str]:
        """What a service is set to that sends by this company; `url` is where it is served."""
        return {
            "TELEPHONY__ACCOUNT_SID": self.account_sid,
            "TELEPHONY__AUTH_TOKEN": self.auth_token,
            "TELEPHONY__FROM": FROM,
            "TELEPHONY__BASE_URL": url,
        }

    def handset(self, number: str) -> Handset:
        """The phone with this number, which may have been silent so far."""
        return self._handsets.setdefault(number, Handset(number))

    @property
    def requests(self) -> int:
        """How many requests to send came, whatever became of them."""
        return self.heard.total()

    def handsets(self) -> tuple[Handset, ...]:
        """All phones that were asked for, or that anything came to."""
        return tuple(self._handsets.values())

    def call(self, sid: str) -> StubCall | None:
        """A call by its id."""
        return self._calls.get(sid)

    async def settled(self) -> None:
        """Wait until all that is on its way has arrived, and all news of it were told."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def add_to(self, app: web.Application) -> None:
        """Register the provider's endpoints."""
        account = "/2010-04-01/Accounts/{account}"
        app.router.add_get(f"{account}.json", self._guarded(self.show_account))
        app.router.add_post(f"{account}/Messages.json", self._guarded(self.create_text))
        app.router.add_get(f"{account}/Messages/{{sid}}.json", self._guarded(self.show_text))
        app.router.add_post(f"{account}/Calls.json", self._guarded(self.create_call))
        app.router.add_get(f"{account}/Calls/{{sid}}.json", self._guarded(self.show_call))
        app.router.add_post(f"{account}/Calls/{{sid}}.json", self._guarded(self.change_call))
        app.on_shutdown.append(self._close)

    async def close(self) -> None:
        """End everything."""
        self._closing.set()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.webhooks.close()

    # --- the provider's endpoints ---------------------------------------------------------------------------------

    async def show_account(self, _: web.Request) -> web.StreamResponse:
        """`GET …/Accounts/{account}.json`."""
        said = {"sid": self.account_sid, "status": "active", "friendly_name": "Stub", "type": "Full"}
        return web.Response(body=msgspec.json.encode(said), content_type=_JSON)

    async def create_text(self, request: web.Request) -> web.StreamResponse:
        """`POST …/Messages.json`."""
        form = await _form(request)
        to, sender, body = _one(form, "To"), _one(form, "From", "MessagingServiceSid"), _one(form, "Body")
        self._hear(to)
        fault = self.faults.next(OF_REQUESTS, to)
        if fault is not None and (trouble := await self._trouble(fault)):
            return trouble
        _check_numbers(to, sender, dead=21211)
        if not body:
            raise Refusal(21602)
        if len(body) > LONGEST_TEXT:
            raise Refusal(21617)
        status_url = _address(form, "StatusCallback")
        text = StubText(f"SM{secrets.token_hex(16)}", to, sender, body)
        self._texts[text.sid] = text
        answer = _json(self._text_resource(text), HTTPStatus.CREATED)
        self._own(self._deliver(text, status_url))
        return await self._unless_silent(fault, answer)

    async def show_text(self, request: web.Request) -> web.StreamResponse:
        """`GET …/Messages/{sid}.json`."""
        text = self._texts.get(request.match_info["sid"])
        if text is None:
            raise Refusal(20404)
        return _json(self._text_resource(text))

    async def create_call(self, request: web.Request) -> web.StreamResponse:
        """`POST …/Calls.json`."""
        form = await _form(request)
        to, sender = _one(form, "To"), _one(form, "From")
        self._hear(to)
        fault = self.faults.next(OF_REQUESTS, to)
        if fault is not None and (trouble := await self._trouble(fault)):
            return trouble
        _check_numbers(to, sender, dead=21217)
        url, digits = _address(form, "Url"), _one(form, "SendDigits")
        if url is None or not _SEND_DIGITS.fullmatch(digits):
            raise Refusal(21205 if url is None else 21222)
        wanted = Wanted(
            sid=f"CA{secrets.token_hex(16)}",
            account=self.account_sid,
            to=to,
            sender=sender,
            url=url,
            status_url=_address(form, "StatusCallback"),
            events=tuple(form.get("StatusCallbackEvent", ["completed"])),
            ring_seconds=min(LONGEST_RING, float(_one(form, "Timeout") or 60)),
            dialled=extension_of(digits),
            detect_machine=_one(form, "MachineDetection") in {"Enable", "DetectMessageEnd"},
        )
        call = StubCall(wanted, self.webhooks, self.faults, self.pace, self.changes.ring)
        self._calls[wanted.sid] = call
        answer = _json(self._call_resource(call, "queued"), HTTPStatus.CREATED)
        self._hold(call.start())
        self.handset(to).ring(call)
        self.changes.ring()
        return await self._unless_silent(fault, answer)

    async def show_call(self, request: web.Request) -> web.StreamResponse:
        """`GET …/Calls/{sid}.json`."""
        call = self._known_call(request)
        return _json(self._call_resource(call, call.state.value))

    async def change_call(self, request: web.Request) -> web.StreamResponse:
        """`POST …/Calls/{sid}.json`: `Status=completed` ends it, `Status=canceled` only while it rings."""
        call, status = self._known_call(request), _one(await _form(request), "Status")
        ringing = call.state is CallState.RINGING
        if ringing and status in {"completed", "canceled"}:
            call.end(CallState.CANCELED)
        elif status == "completed":
            call.end(CallState.COMPLETED)
        return _json(self._call_resource(call, call.state.value))

    # --- how it goes on -------------------------------------------------------------------------------------------

    def _guarded(self, handle: Handle) -> Handle:
        """Only for the account's holder; refusals as the provider words them."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handle(request) if self._authenticated(request) else _refused(20003)
            except Refusal as refusal:
                return _refused(refusal.code)

        return guarded

    def _authenticated(self, request: web.Request) -> bool:
        expected = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode()).decode()
        given = request.headers.get("Authorization", "")
        return request.match_info["account"] == self.account_sid and given == f"Basic {expected}"

    def _hear(self, to: str) -> None:
        self.heard[to] += 1
        self.changes.ring()

    async def _trouble(self, fault: Fault) -> web.StreamResponse | None:
        """What is answered in place of the truth; None where the truth follows, late or never."""
        match fault.kind:
            case FaultKind.REFUSED:
                raise Refusal(fault.code)
            case FaultKind.BAD_GATEWAY:
                return web.Response(status=503, text=GATEWAY_PAGE, content_type="text/html")
            case FaultKind.SILENT:
                await self._closing.wait()
                raise web.HTTPServiceUnavailable
            case FaultKind.LATE:
                with suppress(TimeoutError):
                    async with asyncio.timeout(fault.late):
                        await self._closing.wait()
                return None
            case _:
                return None

    async def _unless_silent(self, fault: Fault | None, answer: web.StreamResponse) -> web.StreamResponse:
        if fault is not None and fault.kind is FaultKind.SENT_IN_SILENCE:
            await self._closing.wait()
        return answer

    async def _deliver(self, text: StubText, status_url: str | None) -> None:
        fault = self.faults.next(OF_TEXTS, text.to)
        if fault is not None and fault.kind is FaultKind.LOST:
            return
        await self._news(text, status_url, TextState.SENT, {})
        if fault is not None:
            await self._news(text, status_url, TextState.UNDELIVERED, {"ErrorCode": str(fault.code)})
            return
        self.handset(text.to).receive(text)
        await self._news(text, status_url, TextState.DELIVERED, {})

    async def _news(self, text: StubText, url: str | None, status: TextState, more: Mapping[str, str]) -> None:
        text.status = status
        self.changes.ring()
        if url is None:
            return
        fields = {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "From": text.sender,
            "MessageSid": text.sid,
            "MessageStatus": status,
            "SmsSid": text.sid,
            "SmsStatus": status,
            "To": text.to,
            **more,
        }
        with suppress(NoAnswer):  # what a customer doesn't hear, they don't hear
            await self.webhooks.tell(url, fields, text.to)

    def _known_call(self, request: web.Request) -> StubCall:
        call = self._calls.get(request.match_info["sid"])
        if call is None:
            raise Refusal(20404)
        return call

    def _text_resource(self, text: StubText) -> _Resource:
        uri = f"/2010-04-01/Accounts/{self.account_sid}/Messages/{text.sid}.json"
        return self._resource(text.sid, text.status, text.to, text.sender, text.at, uri, body=text.body)

    def _call_resource(self, call: StubCall, status: str) -> _Resource:
        uri = f"/2010-04-01/Accounts/{self.account_sid}/Calls/{call.wanted.sid}.json"
        return self._resource(call.wanted.sid, status, call.wanted.to, call.wanted.sender, call.at, uri)

    def _resource(
        self, sid: str, status: str, to: str, sender: str, at: datetime, uri: str, *, body: str | None = None
    ) -> _Resource:
        return _Resource(
            sid=sid,
            account_sid=self.account_sid,
            status=status,
            to=to,
            from_=sender,
            date_created=format_datetime(at, usegmt=False),
            uri=uri,
            body=body,
        )

    def _own(self, work: Coroutine[None, None, None]) -> None:
        self._hold(asyncio.create_task(work, name="text on its way"))

    def _hold(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self, _: web.Application) -> None:
        self._closing.set()


def _refused(code: int) -> web.Response:
    status, body = refusal_of(code)
    return web.Response(status=status, body=body, content_type=_JSON)


def _check_numbers(to: str, sender: str, *, dead: int) -> None:
    if not to:
        raise Refusal(21604)
    if not _NUMBER.fullmatch(to):
        raise Refusal(dead)
    if not sender:
        raise Refusal(21603)
    if not _SENDER.fullmatch(sender):
        raise Refusal(21212)


async def _form(request: web.Request) -> Form:
    posted = await request.post()
    return {name: [str(value) for value in posted.getall(name)] for name in posted}


def _one(form: Form, *names: str) -> str:
    return next((form[name][0] for name in names if name in form), "")


def _address(form: Form, name: str) -> str | None:
    """An address that the company would call; None where none is named."""
    said = _one(form, name)
    if not said:
        return None
    parts = urlsplit(said)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Refusal(21205)
    return said


def _json(resource: _Resource, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(body=msgspec.json.encode(resource), status=status, content_type=_JSON)
