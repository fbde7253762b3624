"""A gateway of the operator's own: what it is posted, how that is signed, and what its answers mean."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from push_service.delivery.telephony.exchange import Answer, Exchange
from push_service.delivery.telephony.gateway import signing
from push_service.delivery.telephony.gateway.client import report_of
from push_service.delivery.telephony.settings import Provider
from push_service.ports import SendOutcome, SendReport, Telephony
from push_service.telephony import adapter
from tests.delivery.telephony.conftest import NUMBER, call, options, text

TOKEN = "shared"


class Gateway:
    """Takes everything, after looking at the signature."""

    def __init__(self) -> None:
        self.taken: list[dict[str, object]] = []
        self.status = 200
        self.address = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        at, body = request.headers["X-Push-Service-Time"], await request.text()
        expected = hmac.new(TOKEN.encode(), f"{at}\n{self.address}\n{body}".encode(), hashlib.sha256).hexdigest()
        assert request.headers["X-Push-Service-Signature"] == f"v1={expected}"
        assert abs(time.time() - int(at)) < 60
        self.taken.append(json.loads(body))
        return web.json_response({"id": f"gw-{len(self.taken)}"}, status=self.status)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Gateway, Telephony]]:
    gateway, app = Gateway(), web.Application()
    app.router.add_post("/send", gateway.take)
    async with TestServer(app) as server, Exchange(seconds=5.0, concurrency=2) as exchange:
        gateway.address = str(server.make_url("/send"))
        chosen = options(provider=Provider.WEBHOOK, base_url=gateway.address, auth_token=TOKEN)
        yield gateway, adapter(chosen, exchange)


async def test_texts_calls_and_their_end_are_posted_signed() -> None:
    async with opened() as (gateway, telephony):
        assert await telephony.text(text()) == SendReport(SendOutcome.SENT, "sent", "gw-1")
        assert await telephony.call(call(extension="12")) == SendReport(SendOutcome.SENT, "sent", "gw-2")
        await telephony.hang_up("gw-2")
    status = "http://localhost:9/v1/telephony/status"
    assert gateway.taken == [
        {
            "kind": "text",
            "id": "ch_1",
            "to": NUMBER,
            "body": "Your verification code is 123456.",
            "seconds": 60,
            "status_url": f"{status}/ch_1",
        },
        {
            "kind": "call",
            "id": "ch_2",
            "to": NUMBER,
            "extension": "12",
            "seconds": 60,
            "voice_url": "http://localhost:9/v1/telephony/voice/ch_2?extension=1",
            "status_url": f"{status}/ch_2",
        },
        {"kind": "hang_up", "call": "gw-2"},
    ]


async def test_a_gateway_that_refuses_to_hang_up_troubles_nobody() -> None:
    async with opened() as (gateway, telephony):
        gateway.status = 500
        await telephony.hang_up("gw-9")
        assert len(gateway.taken) == 1


@pytest.mark.parametrize(
    ("status", "body", "report"),
    [
        (202, b"", SendReport(SendOutcome.SENT, "sent", None)),
        (200, b'{"id":"a b"}', SendReport(SendOutcome.SENT, "sent", None)),
        (400, b'{"code":"no_route"}', SendReport(SendOutcome.REFUSED, "no_route")),
        (401, b'{"code":"Ha! <b>"}', SendReport(SendOutcome.REFUSED, "http_401")),
        (408, b"", SendReport(SendOutcome.UNKNOWN, "http_408")),
        (422, b'{"code":"landline"}', SendReport(SendOutcome.DEAD_NUMBER, "landline")),
        (429, b"", SendReport(SendOutcome.QUOTA, "http_429")),
        (500, b"<html>", SendReport(SendOutcome.UNKNOWN, "http_500")),
        (503, b"", SendReport(SendOutcome.TEMPORARY, "http_503")),
    ],
)
def test_what_a_gateways_answer_means(status: int, body: bytes, report: SendReport) -> None:
    assert report_of(Answer(status, body)) == report


@pytest.mark.security("S-45")
def test_a_signature_is_for_one_time_address_and_body() -> None:
    url, body, now = "https://id.example.org/v1/telephony/status/ch_1", b"CallStatus=busy", 1_790_000_000
    made = signing.signed(TOKEN, now, url, body)

    def holds(*, token: str = TOKEN, at: int = now, to: str = url, said: bytes = body, **headers: str) -> bool:
        given = made | {name.replace("_", "-"): value for name, value in headers.items()}
        return signing.holds(token, at, to, said, given[signing.TIME], given[signing.SIGNATURE])

    assert holds()
    assert holds(at=now + 300)
    assert not holds(at=now + 301)
    assert not holds(at=now - 301)
    assert not holds(token="other")
    assert not holds(to=f"{url}?x=1")
    assert not holds(said=body + b"&Digits=%23")
    assert not holds(X_Push_Service_Time=str(now + 1))
    for time_ in ("", "soon", "1" * 40, "²"):
        spoilt = signing.signed(TOKEN, now, url, body) | {signing.TIME: time_}
        assert not signing.holds(TOKEN, now, url, body, time_, spoilt[signing.SIGNATURE])
        right = signing._signature(TOKEN, time_, url, body)
        assert not signing.holds(TOKEN, now, url, body, time_, right)
    assert not holds(X_Push_Service_Signature="\udcff")
