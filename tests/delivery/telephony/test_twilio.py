"""Twilio's interface as the service speaks it, against the stub's, which Twilio's own client takes for the real one."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mobile_stub.carrier_calls import CallState
from mobile_stub.carrier_faults import Fault, FaultKind
from push_service.delivery import breaker
from push_service.delivery.breaker import FAILURES
from push_service.delivery.telephony.exchange import Answer, Exchange
from push_service.delivery.telephony.twilio.errors import report_of
from push_service.ports import SendOutcome, SendReport
from push_service.telephony import adapter
from tests.delivery.telephony.conftest import NUMBER, Bridge, call, options, text


async def test_a_text_is_sent_once_and_its_news_are_asked_for(bridge: Bridge) -> None:
    async with bridge() as (running, telephony, _):
        report = await telephony.text(text())
        arrived = await running.carrier.handset(NUMBER).next_text()
        await running.carrier.settled()
        assert report == SendReport(SendOutcome.SENT, "sent", arrived.sid)
        assert arrived.body == "Your verification code is 123456."
        assert running.carrier.requests == 1
        assert {each.url for each in running.carrier.webhooks.told} == {"http://localhost:9/v1/telephony/status/ch_1"}


async def test_a_call_says_where_its_words_are_and_rings_no_longer_than_it_is_of_use(bridge: Bridge) -> None:
    async with bridge() as (running, telephony, _):
        report = await telephony.call(call(seconds=20.0))
        ringing = await running.carrier.handset(NUMBER).next_call()
        assert report == SendReport(SendOutcome.SENT, "sent", ringing.wanted.sid)
        assert ringing.wanted.url == "http://localhost:9/v1/telephony/voice/ch_2"
        assert (ringing.wanted.ring_seconds, ringing.wanted.dialled, ringing.wanted.events) == (
            20.0,
            "",
            ("completed",),
        )
        await telephony.hang_up(ringing.wanted.sid)
        assert await ringing.over() is CallState.CANCELED


@pytest.mark.parametrize(("extension", "detected"), [(None, True), ("123", False)])
async def test_an_extension_is_dialled_and_its_exchange_is_not_taken_for_a_machine(
    bridge: Bridge, extension: str | None, *, detected: bool
) -> None:
    async with bridge(machine_detection=True) as (running, telephony, _):
        await telephony.call(call(extension=extension))
        ringing = await running.carrier.handset(NUMBER).next_call()
        assert (ringing.wanted.dialled, ringing.wanted.detect_machine) == (extension or "", detected)
        assert ringing.wanted.url.endswith("?extension=1") is (extension is not None)


async def test_a_messaging_service_or_a_name_sends_texts_and_calls_need_a_number(bridge: Bridge) -> None:
    for sender in (f"MG{'0' * 32}", "Contoso"):
        async with bridge(sender=sender, caller="") as (running, telephony, _):
            assert (await telephony.text(text())).outcome is SendOutcome.SENT
            assert (await running.carrier.handset(NUMBER).next_text()).sender == sender
            assert await telephony.call(call()) == SendReport(SendOutcome.REFUSED, "no_caller")


async def test_what_is_no_id_of_a_call_is_not_hung_up(bridge: Bridge) -> None:
    async with bridge() as (running, telephony, exchange):
        await telephony.hang_up("../Messages")
        await telephony.hang_up("CA0")  # unknown: told to the log, and nobody else
        assert (running.carrier.requests, exchange.circuit_open) == (0, False)


@pytest.mark.parametrize(
    ("fault", "report"),
    [
        (Fault(kind=FaultKind.REFUSED, code=21211), SendReport(SendOutcome.DEAD_NUMBER, "21211")),
        (Fault(kind=FaultKind.REFUSED, code=21610), SendReport(SendOutcome.DEAD_NUMBER, "21610")),
        (Fault(kind=FaultKind.REFUSED, code=21614), SendReport(SendOutcome.DEAD_NUMBER, "21614")),
        (Fault(kind=FaultKind.REFUSED, code=20003), SendReport(SendOutcome.REFUSED, "20003")),
        (Fault(kind=FaultKind.REFUSED, code=21408), SendReport(SendOutcome.REFUSED, "21408")),
        (Fault(kind=FaultKind.REFUSED, code=20429), SendReport(SendOutcome.QUOTA, "20429")),
        (Fault(kind=FaultKind.REFUSED, code=63038), SendReport(SendOutcome.QUOTA, "63038")),
        (Fault(kind=FaultKind.REFUSED, code=20500), SendReport(SendOutcome.UNKNOWN, "20500")),
        (Fault(kind=FaultKind.BAD_GATEWAY), SendReport(SendOutcome.UNKNOWN, "http_503")),
        (Fault(kind=FaultKind.SILENT), SendReport(SendOutcome.UNKNOWN, "timeout")),
        (Fault(kind=FaultKind.SENT_IN_SILENCE), SendReport(SendOutcome.UNKNOWN, "timeout")),
    ],
    ids=lambda value: f"{value.kind.value} {value.code}" if isinstance(value, Fault) else "",
)
async def test_each_answer_is_told_for_what_it_is_after_one_request(
    bridge: Bridge, fault: Fault, report: SendReport
) -> None:
    async with bridge(timeout_seconds=0.5 if report.code == "timeout" else 5.0) as (running, telephony, _):
        for send in (telephony.text(text()), telephony.call(call())):
            running.carrier.faults.add(fault)
            assert await send == report
            running.carrier.faults.clear()
        assert running.carrier.requests == 2


@pytest.mark.parametrize(
    ("status", "body", "report"),
    [
        (201, b"<html>", SendReport(SendOutcome.UNKNOWN, "unreadable")),
        (201, b'{"sid":"../x"}', SendReport(SendOutcome.UNKNOWN, "unreadable")),
        (302, b"", SendReport(SendOutcome.REFUSED, "http_302")),
        (400, b'{"code":30001}', SendReport(SendOutcome.QUOTA, "30001")),
        (404, b"<html>", SendReport(SendOutcome.REFUSED, "http_404")),
        (408, b"", SendReport(SendOutcome.UNKNOWN, "http_408")),
        (429, b"", SendReport(SendOutcome.QUOTA, "http_429")),
    ],
)
def test_answers_that_the_stub_never_gives(status: int, body: bytes, report: SendReport) -> None:
    assert report_of(Answer(status, body)) == report


# --- the exchange below it --------------------------------------------------------------------------------------------


async def test_what_never_left_is_temporary_and_what_may_have_left_is_unknown() -> None:
    async def hangs_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    app = web.Application()
    app.router.add_post("/{any:.*}", hangs_up)
    async with Exchange(seconds=5.0, concurrency=2) as exchange, TestServer(app) as server:
        nowhere = adapter(options(), exchange)
        assert await nowhere.text(text()) == SendReport(SendOutcome.TEMPORARY, "connection")
        cut = adapter(options(base_url=str(server.make_url("")).rstrip("/")), exchange)
        assert await cut.text(text()) == SendReport(SendOutcome.UNKNOWN, "connection")


async def test_who_waits_for_a_connection_in_vain_has_sent_nothing(bridge: Bridge) -> None:
    async with bridge(timeout_seconds=2.0, concurrency=1) as (running, telephony, _):
        running.carrier.faults.add(Fault(kind=FaultKind.SILENT))
        # The second gives up long before the first, which would leave its connection to it.
        reports = await asyncio.gather(telephony.text(text()), telephony.text(text(seconds=0.2)))
        assert [report.outcome for report in reports] == [SendOutcome.UNKNOWN, SendOutcome.TEMPORARY]
        assert running.carrier.requests == 1


async def test_no_request_outlives_the_sign_in_and_that_is_not_held_against_the_provider(bridge: Bridge) -> None:
    async with bridge(timeout_seconds=25.0) as (running, telephony, exchange):
        running.carrier.faults.add(Fault(kind=FaultKind.SILENT))
        for _ in range(FAILURES + 1):
            assert (await telephony.text(text(seconds=0.1))).code == "too_late"
        assert not exchange.circuit_open


async def test_a_provider_that_hangs_is_left_alone_and_an_answer_brings_it_back(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "PAUSES", (0.5,))
    async with bridge(timeout_seconds=0.2) as (running, telephony, exchange):
        running.carrier.faults.add(Fault(kind=FaultKind.SILENT))
        while not exchange.circuit_open:
            assert (await telephony.text(text())).code == "timeout"
        asked = running.carrier.requests
        assert await telephony.text(text()) == SendReport(SendOutcome.TEMPORARY, "circuit_open")
        assert running.carrier.requests == asked
        running.carrier.faults.clear()
        while (report := await telephony.text(text())).code == "circuit_open":  # noqa: ASYNC110 - see below
            await asyncio.sleep(0.05)  # the pause: there is nothing else to wait for
        assert (report.outcome, exchange.circuit_open) == (SendOutcome.SENT, False)
