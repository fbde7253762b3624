"""ports.Telephony by a gateway of the operator's own: see the package."""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from typing import TypeVar

import msgspec
import structlog

from push_service.delivery.telephony.addresses import Addresses
from push_service.delivery.telephony.exchange import Answer, Exchange
from push_service.delivery.telephony.gateway.signing import signed
from push_service.delivery.telephony.settings import TelephonyOptions
from push_service.ports import Call, SendOutcome, SendReport, Text

_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_CODE = re.compile(r"[a-z0-9_]{1,32}")
_log = structlog.get_logger()

T = TypeVar("T")


class TextBody(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="text"):
    """Send this text."""

    id: str
    to: str
    body: str
    seconds: int
    """How long it is of use."""
    status_url: str


class CallBody(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="call"):
    """Place this call; `voice_url` says what to do when it is answered."""

    id: str
    to: str
    extension: str | None
    seconds: int
    voice_url: str
    status_url: str


class HangUpBody(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hang_up"):
    """End this call, if it still stands."""

    call: str


class _Taken(msgspec.Struct, frozen=True):
    id: str = ""


class _Refused(msgspec.Struct, frozen=True):
    code: str = ""


class GatewayTelephony:
    """See ports.Telephony."""

    def __init__(self, options: TelephonyOptions, exchange: Exchange, addresses: Addresses) -> None:
        """Post by this exchange, and have news brought to these addresses."""
        self._options, self._exchange, self._addresses = options, exchange, addresses

    async def text(self, text: Text) -> SendReport:
        """See ports.Telephony."""
        status = self._addresses.status(text.id)
        body = TextBody(id=text.id, to=text.to, body=text.body, seconds=int(text.seconds), status_url=status)
        return await self._send(body, text.seconds)

    async def call(self, call: Call) -> SendReport:
        """See ports.Telephony."""
        body = CallBody(
            id=call.id,
            to=call.to,
            extension=call.extension,
            seconds=int(call.seconds),
            voice_url=self._addresses.voice(call.id, extension=call.extension is not None),
            status_url=self._addresses.status(call.id),
        )
        return await self._send(body, call.seconds)

    async def hang_up(self, provider_id: str) -> None:
        """See ports.Telephony."""
        report = await self._send(HangUpBody(call=provider_id), self._options.timeout_seconds)
        if report.outcome is not SendOutcome.SENT:
            _log.warning("telephony.not_hung_up", provider_id=provider_id, code=report.code)

    async def _send(self, said: TextBody | CallBody | HangUpBody, seconds: float) -> SendReport:
        url, body = self._options.base_url, msgspec.json.encode(said)
        headers = signed(self._options.auth_token, int(time.time()), url, body)
        answer = await self._exchange.post(url, body, headers | {"Content-Type": "application/json"}, seconds)
        return report_of(answer) if isinstance(answer, Answer) else answer


def report_of(answer: Answer) -> SendReport:
    """What a gateway's answer means: its status says it, and a `code` in its body says why."""
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        named = _read(answer.body, _Taken()).id
        return SendReport(SendOutcome.SENT, "sent", named if _ID.fullmatch(named) else None)
    said = _read(answer.body, _Refused()).code
    code = said if _CODE.fullmatch(said) else f"http_{answer.status}"
    match answer.status:
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            outcome = SendOutcome.DEAD_NUMBER
        case HTTPStatus.TOO_MANY_REQUESTS:
            outcome = SendOutcome.QUOTA
        case HTTPStatus.SERVICE_UNAVAILABLE:
            outcome = SendOutcome.TEMPORARY
        case HTTPStatus.REQUEST_TIMEOUT:
            outcome = SendOutcome.UNKNOWN
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            outcome = SendOutcome.UNKNOWN
        case _:
            outcome = SendOutcome.REFUSED
    return SendReport(outcome, code)


def _read(body: bytes, otherwise: T) -> T:
    try:
        return msgspec.json.decode(body, type=type(otherwise))
    except msgspec.DecodeError:
        return otherwise
