"""The provider's news of texts and calls: an answered call, pressed keys, how it fared. Translation only.

Whoever brings it must have signed it, for our public address: that is looked at first, and what isn't is 403 and
changes nothing but the record of it. Genuine news may come twice, late and in any order, and is always answered 2xx;
what still counts, the use case knows. Where no provider is set up, nobody can have signed it.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs

from aiohttp import web

from push_service.calls import AnsweredBy, CallReply, Calls, Status
from push_service.decisions import Decisions
from push_service.delivery.telephony.addresses import KEYS, STATUS, VOICE, Turn
from push_service.delivery.telephony.signatures import Signature
from push_service.delivery.telephony.voice import Voice
from push_service.frontends import http
from push_service.frontends.http import Route
from push_service.model import errors
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.errors import InvalidSignature, ServiceError, StoreUnavailable
from push_service.model.ids import MessageId
from push_service.model.network import Networks
from push_service.model.policy import Rate
from push_service.model.throttle import Charge
from push_service.ports import Store

FORGED_PER_ADDRESS = Rate(60, 60)
"""So many forgeries of one address are recorded; beyond that it is told to wait."""
_MOST_FIELDS = 100
_LONGEST = 128
_XML = "text/xml"
_ZERO = "0"
_HASH = "#"

_STATUS = {
    "sent": Status.SENT,
    "ringing": Status.SENT,
    "in-progress": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "undelivered": Status.FAILED,
    "failed": Status.FAILED,
    "busy": Status.BUSY,
    "no-answer": Status.NO_ANSWER,
    "canceled": Status.CANCELED,
    "completed": Status.COMPLETED,
}
"""What counts of the provider's words for how a text or call fares; from others, such as `queued`, nothing follows."""


class Webhooks(NamedTuple):
    """What is set up where there is a provider."""

    calls: Calls
    signature: Signature
    voice: Voice


class _News(NamedTuple):
    """A request that the provider signed."""

    message_id: MessageId
    turn: Turn
    form: dict[str, list[str]]

    def field(self, *names: str) -> str:
        """The first of these fields that is there, cut to what one can be; "" where none is."""
        return next((self.form[name][0][:_LONGEST] for name in names if name in self.form), "")

    @property
    def provider_id(self) -> str:
        """The provider's own id of the text or call."""
        return self.field("CallSid", "MessageSid", "SmsSid")


class TelephonyFrontend:
    """`/v1/telephony/...`."""

    def __init__(
        self,
        decisions: Decisions,
        store: Store,
        webhooks: Webhooks | None,
        *,
        public_url: str,
        proxies: Networks,
    ) -> None:
        """Translate for the use case of `webhooks`; record in these what is not the provider's."""
        self._decisions, self._store, self._webhooks = decisions, store, webhooks
        self._public_url, self._proxies = public_url, proxies

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            _route(VOICE, self.voice, "A call was answered: what to say", {200: None}, _XML),
            _route(KEYS, self.keys, "Keys were pressed in a call: what to say next", {200: None}, _XML),
            _route(STATUS, self.status, "How a text or call fared", {204: None}),
        ]

    async def voice(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/telephony/voice/{id}`."""
        webhooks, news = await self._news(request)
        by = _answered_by(news.field("AnsweredBy"))
        reply = await webhooks.calls.answered(news.message_id, news.provider_id, by)
        if reply is CallReply.OVER and by is AnsweredBy.MACHINE:
            return _xml(webhooks.voice.silence())
        return _xml(webhooks.voice.document(reply, news.message_id, news.turn))

    async def keys(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/telephony/keys/{id}`."""
        webhooks, news = await self._news(request)
        keys, turn = news.field("Digits"), news.turn
        if keys == _ZERO:
            return _xml(webhooks.voice.after_zero(news.message_id, turn))
        if turn.zero and keys == _HASH:
            keys = _ZERO + _HASH
        try:
            reply = await webhooks.calls.keyed(news.message_id, news.provider_id, keys)
        except StoreUnavailable:
            reply = CallReply.AGAIN  # until the question has been put again the store may be back
        return _xml(webhooks.voice.document(reply, news.message_id, turn))

    async def status(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/telephony/status/{id}`."""
        webhooks, news = await self._news(request)
        status = _STATUS.get(news.field("CallStatus", "MessageStatus", "SmsStatus"))
        if status is not None:
            code = news.field("ErrorCode") or None
            await webhooks.calls.status(news.message_id, news.provider_id, status, code)
        return web.Response(status=204)

    async def _news(self, request: web.Request) -> tuple[Webhooks, _News]:
        """The request, if it is the provider's. Raises InvalidSignature, and what reading a body raises."""
        if self._webhooks is None:
            raise InvalidSignature
        body = await http.read_bytes(request)
        form = _form(body)
        url = self._public_url + request.raw_path
        genuine = form is not None and url.isascii()
        if form is None or not genuine or not self._webhooks.signature.holds(url, request.headers, body, form):
            await self._record(request)
            raise InvalidSignature
        turn = Turn.of(request.query)
        return self._webhooks, _News(MessageId(request.match_info["id"]), turn, form)

    async def _record(self, request: web.Request) -> None:
        source = http.client_address(request, self._proxies)
        await self._store.debit((Charge.one(f"forged_webhooks:{source}", FORGED_PER_ADDRESS),))
        code = InvalidSignature.code
        await self._decisions.record(Audit(kind=AuditKind.WEBHOOK_REFUSED, actor=Actor.PHONE, code=code, source=source))


def _form(body: bytes) -> dict[str, list[str]] | None:
    """The fields of a form, empty ones included; None where it is none."""
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return None


def _answered_by(word: str) -> AnsweredBy:
    if word == "human":
        return AnsweredBy.PERSON
    return AnsweredBy.MACHINE if word.startswith("machine") or word == "fax" else AnsweredBy.UNKNOWN


def _xml(document: str) -> web.Response:
    return web.Response(text=document, content_type=_XML)


def _route(
    path: str, handle: http.Handle, summary: str, replies: dict[int, type | None], media: str | None = None
) -> Route:
    refusals: tuple[type[ServiceError], ...] = (
        InvalidSignature,
        errors.BodyTooLarge,
        errors.UnsupportedMediaType,
        errors.TooManyRequests,
        StoreUnavailable,
    )
    return Route(
        method="POST",
        path=path,
        handle=handle,
        summary=summary,
        tag="Telephony",
        replies=replies,
        media=media,
        errors=refusals,
        security=("provider_signature",),
    )
