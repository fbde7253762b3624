"""Traces: one for each sign-in, over processes; strangers can't write into it, and nothing private is in it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from mobile_stub.backoff import Backoff
from mobile_stub.surroundings import Setup
from mobile_stub.world import world
from tests.conftest import MakeOffice, MakeService
from tests.support.browser import SignIn
from tests.support.people import PASSWORD
from tests.support.waking import firebase_settings, until_delivery

PATIENCE = 60.0
CALLER_TRACE, CALLER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACE_PARENT = f"00-{CALLER_TRACE}-{CALLER_SPAN}-01"
WHOLE = {"begin", "first_factor", "decide", "prompt", "received", "answer", "tell"}


@dataclass
class Collector:
    """Somebody who collects traces: the OTLP/HTTP endpoint, and what came."""

    spans: list[Span] = field(default_factory=list)
    instances: dict[bytes, str] = field(default_factory=dict)
    raw: bytes = b""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert named["service.name"] == "push-service"
            for scope in resource.scope_spans:
                self.spans += scope.spans
                self.instances |= {span.span_id: named["service.instance.id"] for span in scope.spans}
        self.came.set()
        return web.Response()

    def of(self, sign_in: SignIn) -> list[Span]:
        trace = hashlib.sha256(f"trace\0{sign_in.id}".encode()).digest()[:16]
        return [span for span in self.spans if span.trace_id == trace]

    async def until(self, sign_in: SignIn, names: set[str]) -> list[Span]:
        """The spans of the sign-in's trace, once all of those names have come."""
        missing = names
        try:
            async with asyncio.timeout(PATIENCE):
                while missing := names - {span.name for span in self.of(sign_in)}:
                    self.came.clear()
                    await self.came.wait()
        except TimeoutError:
            pytest.fail(f"of the trace, these never came: {missing}")
        return self.of(sign_in)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collecting = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collecting.take)
    async with TestServer(app, host="127.0.0.1") as server:
        collecting.url = str(server.make_url("/v1/traces"))
        yield collecting


def attributes(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


@pytest.mark.deployed("sqlite-1", "postgres-3")
async def test_a_sign_in_is_one_trace_though_its_process_was_replaced_on_the_way(
    collector: Collector, make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(TELEMETRY__TRACES_ENDPOINT=collector.url)
    desk = await make_office(service)
    alice = await desk.person("Alice Liddell")
    async with asyncio.timeout(PATIENCE), await desk.phone(alice) as phone, desk.browser() as browser:
        client = {"ip": "203.0.113.77", "user_agent": "Mozilla/5.0 Looking Glass"}
        sign_in = await browser.begin(alice.username, PASSWORD, client=client)
        challenge = await phone.next_challenge()
        # Else its receipt may come too late to be heeded, and the answer be the first to come to the next process.
        await until_delivery(sign_in, "delivered")
        await service.stop()
        await service.start()
        waiting = asyncio.create_task(sign_in.outcome())
        await phone.verify(challenge, number=sign_in.number)
        assert (await waiting)["state"] == "approved"
    spans = await collector.until(sign_in, WHOLE)

    by_name = {span.name: span for span in spans}
    root = by_name["begin"]
    assert not root.parent_span_id
    assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}
    assert {attributes(span)["push_service.sign_in.id"] for span in spans} == {sign_in.id}
    assert attributes(by_name["tell"])["push_service.sign_in.state"] == "approved"
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans)
    assert collector.instances[root.span_id] != collector.instances[by_name["answer"].span_id]

    private = (
        "Alice",
        "Liddell",
        alice.id,
        PASSWORD,
        client["ip"],
        "Looking Glass",
        sign_in.token,
        str(phone.device_id),
    )
    assert [text for text in private if text.encode() in collector.raw] == []


@pytest.mark.deployed("postgres-1")
async def test_a_phone_that_was_woken_is_a_step_of_the_trace(
    collector: Collector, make_service: MakeService, make_office: MakeOffice
) -> None:
    async with world() as google:
        service = await make_service(TELEMETRY__TRACES_ENDPOINT=collector.url, **firebase_settings(google))
        desk = await make_office(service)
        alice = await desk.person()
        setup = Setup(firebase=google.firebase, backoff=lambda: Backoff(base=0.05, cap=0.2))
        async with asyncio.timeout(PATIENCE), await desk.phone(alice, setup=setup) as phone, desk.browser() as browser:
            await phone.disconnect()
            sign_in = await browser.begin(alice.username, PASSWORD)
            await phone.wakes.get()
            await phone.verify(await phone.next_challenge(), number=sign_in.number)
        spans = await collector.until(sign_in, {"begin", "wake"})
    by_name = {span.name: span for span in spans}
    assert by_name["wake"].parent_span_id == by_name["begin"].span_id
    found = attributes(by_name["wake"])
    assert (found["push_service.wake.outcome"], found["push_service.wake.code"]) == ("sent", "sent")
    (message,) = google.firebase.received
    assert message.message.to.encode() not in collector.raw


@pytest.mark.deployed("sqlite-1")
async def test_an_authenticated_application_s_trace_goes_on_here_and_a_stranger_s_does_not(
    collector: Collector, make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(TELEMETRY__TRACES_ENDPOINT=collector.url)
    desk = await make_office(service)
    alice = await desk.person()
    public = await desk.application("Page", public=True, origins=("https://page.example",))
    async with desk.browser() as browser, desk.browser(public, origin="https://page.example") as page:
        named = await browser.begin(alice.username, PASSWORD, headers={"traceparent": TRACE_PARENT})
        strange = await page.begin(alice.username, PASSWORD, headers={"traceparent": TRACE_PARENT})
    (root,) = [span for span in await collector.until(named, {"begin"}) if span.name == "begin"]
    (other,) = [span for span in await collector.until(strange, {"begin"}) if span.name == "begin"]
    async with asyncio.timeout(PATIENCE):
        while not (calls := [span for span in collector.spans if span.trace_id == bytes.fromhex(CALLER_TRACE)]):
            collector.came.clear()
            await collector.came.wait()
    (call,) = calls
    assert call.parent_span_id == bytes.fromhex(CALLER_SPAN)
    assert attributes(call)["push_service.sign_in.id"] == named.id
    assert [(link.trace_id, link.span_id) for link in call.links] == [(root.trace_id, root.span_id)]
    assert [(link.trace_id, link.span_id) for link in root.links] == [(call.trace_id, call.span_id)]
    assert not other.links


@pytest.mark.deployed("sqlite-1")
async def test_a_listed_proxy_s_trace_goes_on_here_too(
    collector: Collector, make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(TELEMETRY__TRACES_ENDPOINT=collector.url, TRUSTED_PROXIES="127.0.0.0/8,::1/128")
    desk = await make_office(service)
    alice = await desk.person()
    public = await desk.application("Page", public=True, origins=("https://page.example",))
    async with desk.browser(public, origin="https://page.example") as page:
        nonsense = ("00-nothing", "00-" + "0" * 32 + f"-{CALLER_SPAN}-01")
        ill = [await page.begin(alice.username, PASSWORD, headers={"traceparent": each}) for each in nonsense]
        named = await page.begin(alice.username, PASSWORD, headers={"traceparent": TRACE_PARENT})
    (root,) = [span for span in await collector.until(named, {"begin"}) if span.name == "begin"]
    assert [link.trace_id.hex() for link in root.links] == [CALLER_TRACE]
    for each in ill:
        assert not [link for span in await collector.until(each, {"begin"}) for link in span.links]


@pytest.mark.deployed("postgres-3")
async def test_the_share_of_traces_is_the_same_sign_ins_in_every_process(
    collector: Collector, make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(
        TELEMETRY__TRACES_ENDPOINT=collector.url,
        TELEMETRY__TRACES_SHARE="0.5",
        POLICY__PENDING_PER_PERSON="20",
        POLICY__PROMPTS_UNANSWERED="1000/1m",
    )
    desk = await make_office(service)
    alice = await desk.person()
    async with await desk.phone(alice), desk.browser() as browser:
        begun = [await browser.begin(alice.username) for _ in range(16)]
    await service.stop()  # sends what is left
    kept = {each.id for each in begun if {span.name for span in collector.of(each)} >= {"begin", "decide"}}
    ids = {each.id: hashlib.sha256(f"trace\0{each.id}".encode()).digest()[8:16] for each in begun}
    assert kept == {name for name, low in ids.items() if low < (1 << 63).to_bytes(8)}
    assert {attributes(span)["push_service.sign_in.id"] for span in collector.spans} <= kept


@pytest.mark.deployed("sqlite-1")
async def test_a_collector_that_is_away_costs_nobody_a_sign_in(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(TELEMETRY__TRACES_ENDPOINT=f"http://127.0.0.1:{unused_port()}/v1/traces")
    desk = await make_office(service)
    alice = await desk.person()
    async with asyncio.timeout(PATIENCE), await desk.phone(alice) as phone, desk.browser() as browser:
        sign_in = await browser.begin(alice.username, PASSWORD)
        await phone.verify(await phone.next_challenge(), number=sign_in.number)
        assert (await sign_in.outcome())["state"] == "approved"
    assert await service.stop() == 0


async def _run(tmp_path: Path, program: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        "serve",
        env={
            "PUSH_SERVICE_DATA_DIR": str(tmp_path / "data"),
            "PUSH_SERVICE_LISTEN": "127.0.0.1:0",
            **{f"PUSH_SERVICE_{name}": value for name, value in environment.items()},
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_traces_that_are_asked_for_without_the_library_are_refused_by_the_setting_s_name(tmp_path: Path) -> None:
    without = "import sys; sys.modules['opentelemetry.exporter'] = None\nfrom push_service.__main__ import main; main()"
    code, said = await _run(tmp_path, without, TELEMETRY__TRACES_ENDPOINT="http://127.0.0.1:4318/v1/traces")
    assert code == 1
    (line,) = said.splitlines()
    assert line.startswith("push-service: PUSH_SERVICE_TELEMETRY__TRACES_ENDPOINT: traces need the extra `telemetry`")


async def test_where_no_traces_are_asked_for_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\nfrom push_service.config import load\nfrom push_service.core import open_core\n"
        "async def main():\n    async with open_core(load(), logged=True): pass\n"
        "asyncio.run(main())\nsys.exit('opentelemetry.sdk' in sys.modules)"
    )
    assert await _run(tmp_path, program) == (0, "")
