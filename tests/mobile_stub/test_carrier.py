"""The stub's telephone company as Twilio's own client meets it, and what its texts and calls do on phones.

The client is unmodified: only the address that it sends to is another. It blocks, so it runs in a thread.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from mobile_stub.carrier import FROM, Carrier
from mobile_stub.carrier_calls import APPLICATION_ERROR, CallState, NotNow
from mobile_stub.carrier_faults import Fault, FaultKind
from mobile_stub.carrier_twiml import BadDocument, read
from mobile_stub.carrier_webhooks import NoAnswer
from mobile_stub.world import World, world

NUMBER = "+441632960001"
SECONDS = 30.0
ASK = (
    "<Response><Gather finishOnKey='' numDigits='2' timeout='2' actionOnEmptyResult='true' action='/keys'>"
    "<Say>Press the pound key.</Say><Pause length='6'/></Gather><Hangup/></Response>"
)
BYE = "<Response><Say>Goodbye.</Say><Hangup/></Response>"


class Customer:
    """A server that the company calls: it answers what it is told to, and keeps what it was asked."""

    def __init__(self, token: str) -> None:
        self.validator = RequestValidator(token)
        self.documents = {"/voice": ASK, "/keys": BYE}
        self.asked: list[tuple[str, dict[str, str], bool]] = []
        self.server = TestServer(web.Application())
        self.server.app.router.add_post("/{any:.*}", self.answer)

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        fields = dict(parse_qsl(await request.text(), keep_blank_values=True))
        signature = request.headers["X-Twilio-Signature"]
        genuine = self.validator.validate(self.url + request.raw_path, fields, signature)
        self.asked.append((request.path, fields, bool(genuine)))
        document = self.documents.get(request.path)
        return web.Response(text=document or "", status=200 if document else 204, content_type="text/xml")

    def said(self, path: str, name: str) -> list[str]:
        return [fields.get(name, "") for asked, fields, _ in self.asked if asked == path]


class Office:
    """A world, a customer, and the customer's client."""

    def __init__(self, running: World, customer: Customer) -> None:
        self.carrier: Carrier = running.carrier
        self.customer = customer
        account = running.carrier
        self.client = Client(account.account_sid, account.auth_token, http_client=TwilioHttpClient(timeout=10))
        self.client.api.base_url = running.url
        self.phone = self.carrier.handset(NUMBER)

    async def text(self, **more: str) -> str:
        fields = {"to": NUMBER, "from_": FROM, "body": "Hello", "status_callback": f"{self.customer.url}/status"}
        return str((await asyncio.to_thread(lambda: self.client.messages.create(**fields | more))).sid)

    async def call(self, **more: object) -> str:
        fields = {
            "to": NUMBER,
            "from_": FROM,
            "url": f"{self.customer.url}/voice",
            "status_callback": f"{self.customer.url}/status",
        }
        return str((await asyncio.to_thread(lambda: self.client.calls.create(**fields | more))).sid)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with opened() as found:
        yield found


@asynccontextmanager
async def opened() -> AsyncIterator[Office]:
    async with world(pace=None) as running, asyncio.timeout(SECONDS):
        customer = Customer(running.carrier.auth_token)
        async with customer.server:
            yield Office(running, customer)


async def test_twilios_client_sends_a_text_it_arrives_and_its_news_are_signed(office: Office) -> None:
    sid = await office.text()
    text = await office.phone.next_text()
    await office.carrier.settled()
    assert (text.sid, text.body, text.sender) == (sid, "Hello", FROM)
    assert office.customer.said("/status", "MessageStatus") == ["sent", "delivered"]
    assert all(genuine for _, _, genuine in office.customer.asked)
    fetched = await asyncio.to_thread(lambda: office.client.messages(sid).fetch())
    assert (fetched.status, fetched.body) == ("delivered", "Hello")


async def test_twilios_client_places_a_call_and_a_key_ends_the_question(office: Office) -> None:
    await office.call(machine_detection="Enable", send_digits="wwww123")
    call = await office.phone.next_call()
    assert call.wanted.dialled == "123"
    call.answer()
    assert await call.asks() == "Press the pound key."
    assert call.press("#")
    assert await call.over() is CallState.COMPLETED
    assert call.said == ["Press the pound key.", "Goodbye."]
    assert office.customer.said("/voice", "AnsweredBy") == ["human"]
    assert office.customer.said("/keys", "Digits") == ["#"]
    assert office.customer.said("/status", "CallStatus") == ["completed"]
    assert all(genuine for _, _, genuine in office.customer.asked)


async def test_two_keys_arrive_together_and_silence_is_told_as_such(office: Office) -> None:
    office.customer.documents["/keys"] = ASK
    await office.call()
    call = await office.phone.next_call()
    call.answer()
    await call.asks()
    call.press("0#")
    await call.asks(after=1)
    call.silence()
    await call.asks(after=2)
    call.hang_up()
    await call.over()
    assert office.customer.said("/keys", "Digits") == ["0#", ""]
    assert not call.press("#")
    with pytest.raises(NotNow):
        await call.asks(after=9)
    with pytest.raises(NotNow):
        call.answer()


async def test_a_key_before_the_question_is_lost(office: Office) -> None:
    await office.call()
    call = await office.phone.next_call()
    call.answer()
    assert not call.press("#")
    await call.asks()
    call.silence()
    await call.over()
    assert office.customer.said("/keys", "Digits") == [""]


async def test_with_the_finishing_key_at_its_default_a_lone_one_looks_like_silence(office: Office) -> None:
    office.customer.documents["/voice"] = ASK.replace("finishOnKey='' ", "")
    await office.call()
    call = await office.phone.next_call()
    call.answer()
    await call.asks()
    call.press("#")
    await call.over()
    assert office.customer.said("/keys", "Digits") == [""]


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (FaultKind.BUSY, CallState.BUSY),
        (FaultKind.NO_ANSWER, CallState.NO_ANSWER),
        (FaultKind.FAILED, CallState.FAILED),
    ],
)
async def test_a_call_that_is_not_put_through_is_told(office: Office, kind: FaultKind, state: CallState) -> None:
    office.carrier.faults.add(Fault(kind=kind, code=21214))
    await office.call()
    assert await (await office.phone.next_call()).over() is state
    assert office.customer.said("/status", "CallStatus") == [state.value]
    assert office.customer.said("/status", "ErrorCode") == ["21214" if kind is FaultKind.FAILED else ""]


async def test_a_call_that_nobody_takes_ends_and_one_that_is_declined_is_busy(office: Office) -> None:
    await office.call(timeout=5)
    call = await office.phone.next_call()
    call.silence()
    assert await call.over() is CallState.NO_ANSWER
    await office.call()
    call = await office.phone.next_call()
    call.hang_up()
    assert await call.over() is CallState.BUSY


async def test_a_machine_takes_the_call_and_presses_nothing(office: Office) -> None:
    office.carrier.faults.add(Fault(kind=FaultKind.MACHINE))
    await office.call(machine_detection="Enable")
    call = await office.phone.next_call()
    await call.asks()
    call.silence()
    await call.over()
    assert office.customer.said("/voice", "AnsweredBy") == ["machine_start"]
    assert office.customer.said("/keys", "Digits") == [""]


async def test_the_customer_ends_a_call_that_stands_or_rings(office: Office) -> None:
    sid = await office.call()
    call = await office.phone.next_call()
    await asyncio.to_thread(lambda: office.client.calls(sid).update(status="completed"))
    assert await call.over() is CallState.CANCELED
    sid = await office.call()
    call = await office.phone.next_call()
    call.answer()
    await call.asks()
    await asyncio.to_thread(lambda: office.client.calls(sid).update(status="completed"))
    assert await call.over() is CallState.COMPLETED


@pytest.mark.parametrize("document", ["", "<Response><Dial>1</Dial></Response>", "no document", "<Say>x</Say>"])
async def test_a_customer_who_answers_nonsense_has_the_call_ended(office: Office, document: str) -> None:
    office.customer.documents["/voice"] = document
    await office.call()
    call = await office.phone.next_call()
    call.answer()
    assert await call.over() is CallState.COMPLETED
    assert call.said in ([APPLICATION_ERROR], [])


@pytest.mark.parametrize(
    ("fields", "code", "status"),
    [
        ({"to": "07700900001"}, 21211, 400),
        ({"body": ""}, 21602, 400),
        ({"body": "x" * 1601}, 21617, 400),
        ({"from_": "+1"}, 21212, 400),
        ({"status_callback": "somewhere"}, 21205, 400),
    ],
)
async def test_twilios_client_understands_what_is_wrong(
    office: Office, fields: dict[str, str], code: int, status: int
) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await office.text(**fields)
    assert (refused.value.code, refused.value.status) == (code, status)


async def test_only_the_accounts_holder_is_served(office: Office) -> None:
    office.client.password = "wrong"
    office.client.auth = (office.carrier.account_sid, "wrong")
    with pytest.raises(TwilioRestException) as refused:
        await office.text()
    assert (refused.value.code, refused.value.status) == (20003, 401)


async def test_faults_of_requests_and_of_texts(office: Office) -> None:
    office.carrier.faults.add(Fault(kind=FaultKind.REFUSED, code=21610, times=1))
    with pytest.raises(TwilioRestException) as refused:
        await office.text()
    assert refused.value.code == 21610
    office.carrier.faults.add(Fault(kind=FaultKind.BAD_GATEWAY, times=1))
    with pytest.raises(TwilioRestException) as refused:
        await office.text()
    assert refused.value.status == 503
    office.carrier.faults.add(Fault(kind=FaultKind.UNDELIVERED, code=30003, times=1))
    await office.text()
    await office.carrier.settled()
    assert office.customer.said("/status", "MessageStatus") == ["sent", "undelivered"]
    assert office.customer.said("/status", "ErrorCode") == ["", "30003"]


async def test_faults_of_news_forged_twice_lost_and_late(office: Office) -> None:
    for kind in (FaultKind.NEWS_FORGED, FaultKind.NEWS_TWICE):
        office.carrier.faults.add(Fault(kind=kind, times=1))
    await office.text()
    await office.carrier.settled()
    assert [genuine for _, _, genuine in office.customer.asked] == [False, True, True]
    office.customer.asked.clear()
    for kind in (FaultKind.NEWS_LOST, FaultKind.NEWS_LATE):
        office.carrier.faults.add(Fault(kind=kind, times=1, late=0.05))
    await office.text()
    await office.carrier.settled()
    assert office.customer.said("/status", "MessageStatus") == ["delivered"]
    assert await office.carrier.webhooks.send(office.carrier.webhooks.told[0]) == (204, "")
    with pytest.raises(NoAnswer):
        await office.carrier.webhooks.send(office.carrier.webhooks.told[0]._replace(url="http://127.0.0.1:9/"))


@pytest.mark.parametrize(
    "text",
    [
        "<Response><Say voice='x' tone='y'>Hello</Say></Response>",
        "<Response><Gather><Gather/></Gather></Response>",
        "<Response><Gather input='speech'/></Response>",
        "<Response><Say>Hello <Redirect>/x</Redirect></Say></Response>",
        "<Response><Pause length='long'/></Response>",
        "<Response><Response/></Response>",
        f"<Response><Say>{'x' * 70_000}</Say></Response>",
    ],
)
def test_a_document_that_the_provider_would_not_read_is_bad(text: str) -> None:
    with pytest.raises(BadDocument):
        read(text, "http://localhost/")


async def test_a_script_answers_presses_and_hangs_up_over_http() -> None:
    async with opened() as office, aiohttp.ClientSession(str(office.client.api.base_url)) as session:
        await office.call()
        seen = json.loads(await (await session.get("/carrier")).text())
        (phone,) = seen["handsets"]
        call = f"/carrier/calls/{phone['calls'][0]['id']}"
        assert (seen["account_sid"], phone["calls"][0]["state"]) == (office.carrier.account_sid, "ringing")
        assert (await session.post(f"{call}/press", json={"keys": "#"})).status == 409
        assert (await session.post(f"{call}/answer", json={})).status == 200
        assert (await session.post(f"{call}/answer", json={})).status == 409
        ringing = await office.phone.next_call()
        await ringing.asks()
        assert (await session.post(f"{call}/press", json={"keys": "#"})).status == 200
        assert await ringing.over() is CallState.COMPLETED
        assert (await session.post(f"{call}/hang-up")).status == 200
        assert (await session.post("/carrier/calls/CA0/hang-up")).status == 404
        assert (await session.post("/carrier/faults", json={"kind": "boredom"})).status == 400
        assert (await session.post("/carrier/faults", json={"kind": "busy", "to": NUMBER})).status == 204
        assert len(office.carrier.faults.listed()) == 1
        assert (await session.delete("/carrier/faults")).status == 204
        assert office.carrier.faults.listed() == ()
