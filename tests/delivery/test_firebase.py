"""The bridge to Firebase against the stub's, which Google's own client takes for the real one."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mobile_stub.firebase_faults import Endpoint, Fault, FaultKind
from mobile_stub.world import World, world
from push_service.delivery import breaker
from push_service.delivery.breaker import FAILURES
from push_service.delivery.firebase import credentials
from push_service.delivery.firebase.client import FirebaseMessenger
from push_service.delivery.firebase.errors import error_of, report_of, retry_after
from push_service.delivery.firebase.settings import FirebaseOptions
from push_service.model.instant import Instant
from push_service.ports import Wake, WakeOutcome, WakeReport

PATIENCE_SECONDS = 30.0
EXPIRES = Instant(1_790_000_000_000_000)


def wake(token: str, *, seconds: float = 60.0, platform: str = "stub") -> Wake:
    return Wake(token=token, platform=platform, id="opaque", expires_at=EXPIRES, seconds=seconds)


@asynccontextmanager
async def bridge(timeout_seconds: float = 1.0) -> AsyncIterator[tuple[World, FirebaseMessenger]]:
    async with world() as running:
        options = FirebaseOptions(
            credentials=running.credentials, base_url=running.url, timeout_seconds=timeout_seconds
        )
        async with FirebaseMessenger(options) as messenger, asyncio.timeout(PATIENCE_SECONDS):
            yield running, messenger


async def test_a_wake_is_urgent_opaque_and_of_no_use_after_its_time() -> None:
    async with bridge() as (running, messenger):
        assert await messenger.wake(wake(running.firebase.new_token())) == WakeReport(WakeOutcome.SENT, "sent")
        [received] = running.firebase.received
    message = received.message
    assert message.data == {"v": "1", "wake": "opaque"}
    assert message.notification is None
    assert (message.android.priority, message.android.collapse_key, message.time_to_live) == ("high", "opaque", 60.0)
    assert message.apns.headers["apns-expiration"] == "1790000000"
    assert message.apns.headers["apns-collapse-id"] == "opaque"
    assert message.apns.payload["aps"] == {
        "alert": "A sign-in is waiting",
        "sound": "default",
        "content-available": 1,
    }


@pytest.mark.parametrize(("platform", "android", "apple"), [("Android", True, False), ("iOS", False, True)])
async def test_each_platform_gets_its_own_half(platform: str, *, android: bool, apple: bool) -> None:
    async with bridge() as (running, messenger):
        await messenger.wake(wake(running.firebase.new_token(), platform=platform))
        message = running.firebase.received[0].message
    assert (message.android.priority is not None, bool(message.apns.headers)) == (android, apple)


@pytest.mark.parametrize(
    ("fault", "report"),
    [
        (Fault(kind=FaultKind.UNREGISTERED), WakeReport(WakeOutcome.DEAD_TOKEN, "unregistered")),
        (Fault(kind=FaultKind.SENDER_ID_MISMATCH), WakeReport(WakeOutcome.DEAD_TOKEN, "sender_id_mismatch")),
        (Fault(kind=FaultKind.INVALID_ARGUMENT), WakeReport(WakeOutcome.REFUSED, "invalid_argument")),
        (Fault(kind=FaultKind.THIRD_PARTY_AUTH_ERROR), WakeReport(WakeOutcome.REFUSED, "third_party_auth_error")),
        (Fault(kind=FaultKind.QUOTA_EXCEEDED), WakeReport(WakeOutcome.RETRY, "quota_exceeded", 60.0)),
        (Fault(kind=FaultKind.QUOTA_EXCEEDED, retry_after=7), WakeReport(WakeOutcome.RETRY, "quota_exceeded", 7.0)),
        (Fault(kind=FaultKind.UNAVAILABLE), WakeReport(WakeOutcome.RETRY, "unavailable")),
        (Fault(kind=FaultKind.UNAVAILABLE, retry_after=3), WakeReport(WakeOutcome.RETRY, "unavailable", 3.0)),
        (Fault(kind=FaultKind.INTERNAL), WakeReport(WakeOutcome.RETRY, "internal")),
        (Fault(kind=FaultKind.BAD_GATEWAY), WakeReport(WakeOutcome.RETRY, "unavailable")),
        (Fault(kind=FaultKind.SILENT), WakeReport(WakeOutcome.UNAVAILABLE, "timeout")),
        (Fault(kind=FaultKind.DRIBBLE), WakeReport(WakeOutcome.UNAVAILABLE, "timeout")),
        (Fault(kind=FaultKind.LATE, late=0.2), WakeReport(WakeOutcome.SENT, "sent")),
        (Fault(kind=FaultKind.LOST), WakeReport(WakeOutcome.SENT, "sent")),
    ],
    ids=lambda value: f"{value.kind.value} {value.retry_after}" if isinstance(value, Fault) else "",
)
async def test_each_answer_is_told_for_what_it_is_after_one_request(fault: Fault, report: WakeReport) -> None:
    async with bridge() as (running, messenger):
        token = running.firebase.new_token()
        running.firebase.faults.add(fault)
        assert await messenger.wake(wake(token)) == report
        assert len(running.firebase.received) == 1
        running.firebase.faults.clear()
        assert (await messenger.wake(wake(token))).outcome is WakeOutcome.SENT


async def test_no_call_outlives_the_sign_in_and_that_is_not_held_against_firebase() -> None:
    async with bridge(timeout_seconds=25.0) as (running, messenger):
        running.firebase.faults.add(Fault(kind=FaultKind.SILENT))
        token = running.firebase.new_token()
        for _ in range(FAILURES + 1):
            assert (await messenger.wake(wake(token, seconds=0.1))).code == "too_late"
        assert not messenger.circuit_open


async def test_a_firebase_that_hangs_is_left_alone_and_an_answer_brings_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(breaker, "PAUSES", (0.5,))
    async with bridge(timeout_seconds=0.2) as (running, messenger):
        token = running.firebase.new_token()
        running.firebase.faults.add(Fault(kind=FaultKind.SILENT))
        for _ in range(FAILURES):
            assert (await messenger.wake(wake(token))).code == "timeout"
        assert messenger.circuit_open
        refused = await messenger.wake(wake(token))
        assert refused.code == "circuit_open"
        assert refused.retry_after is not None
        assert len(running.firebase.received) == FAILURES
        running.firebase.faults.clear()
        await asyncio.sleep(refused.retry_after)  # the pause: there is nothing else to wait for
        assert (await messenger.wake(wake(token))).outcome is WakeOutcome.SENT
        assert not messenger.circuit_open


async def test_an_address_where_nobody_answers_is_told_as_such(tmp_path: Path) -> None:
    async with world() as running:
        account = tmp_path / "account.json"
        account.write_bytes(running.credentials.read_bytes())
        token = running.firebase.new_token()
        options = FirebaseOptions(credentials=account, base_url="http://127.0.0.1:9", timeout_seconds=5.0)
        async with FirebaseMessenger(options) as messenger:
            assert (await messenger.wake(wake(token))).code == "connection"
    async with FirebaseMessenger(options) as messenger:  # and now the token endpoint is away, too
        assert (await messenger.wake(wake(token))).code in {"no_token", "timeout"}


async def test_a_proxy_that_the_environment_names_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.get_running_loop().create_future()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not asked.done():
            asked.set_result(await reader.readline())
        writer.close()

    async with world() as running, await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for name, value in (("no_proxy", ""), ("NO_PROXY", ""), ("http_proxy", f"http://127.0.0.1:{port}")):
            monkeypatch.setenv(name, value)
        options = FirebaseOptions(credentials=running.credentials, base_url=running.url, timeout_seconds=2.0)
        async with FirebaseMessenger(options) as messenger, asyncio.timeout(PATIENCE_SECONDS):
            report = await messenger.wake(wake(running.firebase.new_token()))
            assert report.outcome is WakeOutcome.UNAVAILABLE
            assert (await asked).startswith(f"POST {running.url}/token ".encode())


async def test_googles_library_is_not_imported_where_firebase_is_not_set_up() -> None:
    look = "import sys, push_service.app, push_service.commands; print('firebase_admin' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", look, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert said.split() == [b"False"]


# --- access tokens ----------------------------------------------------------------------------------------------------


async def test_many_wakes_at_once_buy_one_token() -> None:
    async with bridge(timeout_seconds=10.0) as (running, messenger):
        running.firebase.faults.add(Fault(kind=FaultKind.LATE, endpoint=Endpoint.TOKEN, late=0.3))
        tokens = [running.firebase.new_token() for _ in range(50)]
        reports = await asyncio.gather(*(messenger.wake(wake(token)) for token in tokens))
        assert {report.outcome for report in reports} == {WakeOutcome.SENT}
        assert running.firebase.tokens_sold == 1


async def test_a_token_that_google_takes_no_more_is_replaced_at_once() -> None:
    async with bridge(timeout_seconds=10.0) as (running, messenger):
        token = running.firebase.new_token()
        for _ in range(2):
            assert (await messenger.wake(wake(token))).outcome is WakeOutcome.SENT
            running.firebase.account.revoke()
        assert running.firebase.tokens_sold == 2


@pytest.mark.parametrize("kind", [FaultKind.SILENT, FaultKind.DRIBBLE, FaultKind.INTERNAL, FaultKind.INVALID_ARGUMENT])
async def test_a_token_endpoint_in_trouble_holds_up_a_wake_for_its_time_and_the_event_loop_not_at_all(
    kind: FaultKind,
) -> None:
    async with bridge(timeout_seconds=0.5) as (running, messenger):
        running.firebase.faults.add(Fault(kind=kind, endpoint=Endpoint.TOKEN))
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        report = await messenger.wake(wake(running.firebase.new_token()))
        ticking.cancel()
        assert report.outcome is WakeOutcome.UNAVAILABLE
        assert report.code in {"timeout", "no_token"}
        if report.code == "timeout":
            assert ticks > 5
        assert len(running.firebase.received) == 0


async def test_a_purchase_that_hangs_ends_by_itself_and_leaves_no_thread_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(credentials, "PURCHASE_SECONDS", 0.5)
    monkeypatch.setattr(breaker, "PAUSES", (0.1,))
    before = threading.active_count()
    async with bridge(timeout_seconds=0.2) as (running, messenger):
        running.firebase.faults.add(Fault(kind=FaultKind.DRIBBLE, endpoint=Endpoint.TOKEN, times=1))
        token = running.firebase.new_token()
        while (report := await messenger.wake(wake(token, seconds=0.1))).outcome is not WakeOutcome.SENT:
            assert report.outcome is WakeOutcome.UNAVAILABLE
            await asyncio.sleep(0.05)
        assert running.firebase.tokens_sold >= 1
        assert threading.active_count() <= before + 8  # the loop's own pool, whose threads are free again


# --- reading answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "report"),
    [
        (404, b"{}", WakeReport(WakeOutcome.REFUSED, "not_found")),
        (403, b'{"error":{"status":"PERMISSION_DENIED"}}', WakeReport(WakeOutcome.REFUSED, "permission_denied")),
        (404, b"<html>", WakeReport(WakeOutcome.REFUSED, "not_found")),
        (504, b"", WakeReport(WakeOutcome.RETRY, "unavailable", 2.0)),
        (418, b"[]", WakeReport(WakeOutcome.REFUSED, "unknown")),
    ],
)
def test_what_does_not_name_the_token_is_never_the_tokens_fault(status: int, body: bytes, report: WakeReport) -> None:
    assert report_of(error_of(status, body), 2.0) == report


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after("17") == 17.0
    assert retry_after("999999") == 3600.0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    assert 50 < (retry_after(later) or 0) <= 60
    assert retry_after("soon") is None
    assert retry_after(None) is None
