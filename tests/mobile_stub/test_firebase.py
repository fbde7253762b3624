"""The stub's Firebase as Google's own client meets it, and what its messages do to the stub's phones.

firebase-admin is unmodified: only the address that it sends to is another. It blocks, so it runs in a thread.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import firebase_admin
import pytest
from firebase_admin import credentials, exceptions, messaging
from google.auth.exceptions import GoogleAuthError

from mobile_stub.backoff import Backoff
from mobile_stub.errors import LineClosedError
from mobile_stub.firebase_faults import Endpoint, Fault, FaultKind
from mobile_stub.line import LineState
from mobile_stub.phone import Phone
from mobile_stub.surroundings import Reach, Setup
from mobile_stub.world import World, world
from tests.mobile_stub.fake_service import FakeService

QUICK = Setup(backoff=lambda: Backoff(base=0.01, cap=0.05, restart_spread=0.01))
SECONDS = 30.0


class GoogleClient:
    """firebase-admin with the world's service account."""

    def __init__(self, running: World) -> None:
        self.app = firebase_admin.initialize_app(
            credentials.Certificate(str(running.credentials)), {"httpTimeout": 2}, name=running.url
        )

    async def send(self, token: str, **more: object) -> str:
        # By `fid`, as this version of the client wants it; older ones and our own service write `token`.
        message = messaging.Message(fid=token, data={"v": "1", "wake": "opaque"}, **more)
        return str(await _in_a_thread(lambda: messaging.send(message, app=self.app)))


async def _in_a_thread(call: Callable[[], object]) -> object:
    """A thread that nobody has to wait for: a client that retries for seconds doesn't hold up the end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[object] = loop.create_future()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            loop.call_soon_threadsafe(_tell, done, None, error)
        else:
            loop.call_soon_threadsafe(_tell, done, result, None)

    threading.Thread(target=run, daemon=True).start()
    async with asyncio.timeout(SECONDS):
        return await done


def _tell(done: asyncio.Future[object], result: object, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


@asynccontextmanager
async def google(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[World, GoogleClient]]:
    async with world(setup=QUICK) as running:
        # There is no setting for the address: the class has it.
        monkeypatch.setattr(messaging._MessagingService, "FCM_URL", f"{running.url}/v1/projects/{{0}}/messages:send")
        client = GoogleClient(running)
        try:
            yield running, client
        finally:
            # Away from our event loop: it runs one of its own to close what it opened.
            await asyncio.to_thread(firebase_admin.delete_app, client.app)


@pytest.fixture
async def sender(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[World, GoogleClient]]:
    async with google(monkeypatch) as both:
        yield both


async def test_googles_client_buys_a_token_and_sends_and_the_message_is_kept_as_it_came(
    sender: tuple[World, GoogleClient],
) -> None:
    running, client = sender
    token = running.firebase.new_token()
    android = messaging.AndroidConfig(priority="high", ttl=60, collapse_key="opaque")
    name = await client.send(token, android=android)
    assert name.startswith("projects/stub-project/messages/")
    [received] = running.firebase.received
    assert (received.message.to, received.answer) == (token, "sent")
    assert (received.message.android.ttl, received.message.android.priority) == ("60s", "high")
    assert received.message.time_to_live == 60.0
    assert received.message.data == {"v": "1", "wake": "opaque"}
    await client.send(token)
    assert running.firebase.tokens_sold == 1  # one is enough for an hour


@pytest.mark.parametrize(
    ("fault", "expected", "requests"),
    [
        (Fault(kind=FaultKind.UNREGISTERED), messaging.UnregisteredError, 1),
        (Fault(kind=FaultKind.SENDER_ID_MISMATCH), messaging.SenderIdMismatchError, 1),
        (Fault(kind=FaultKind.INVALID_ARGUMENT), exceptions.InvalidArgumentError, 1),
        (Fault(kind=FaultKind.QUOTA_EXCEEDED), messaging.QuotaExceededError, 1),
        (Fault(kind=FaultKind.THIRD_PARTY_AUTH_ERROR), messaging.ThirdPartyAuthError, 3),
        (Fault(kind=FaultKind.BAD_GATEWAY), exceptions.UnknownError, 1),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else None,
)
async def test_googles_client_takes_each_error_for_what_it_is(
    sender: tuple[World, GoogleClient], fault: Fault, expected: type[Exception], requests: int
) -> None:
    running, client = sender
    token = running.firebase.new_token()
    running.firebase.faults.add(fault)
    with pytest.raises(expected):
        await client.send(token)
    assert len(running.firebase.received) == requests
    running.firebase.faults.clear()
    assert await client.send(token)


async def test_googles_client_tries_again_and_again_where_it_is_told_to_come_back(
    sender: tuple[World, GoogleClient],
) -> None:
    """Side by side: each takes seconds, and nothing can shorten that. It is why the service sends by itself."""
    running, client = sender
    expected = {
        running.firebase.new_token(): (FaultKind.QUOTA_EXCEEDED, messaging.QuotaExceededError, 5),
        running.firebase.new_token(): (FaultKind.UNAVAILABLE, exceptions.UnavailableError, 5),
        running.firebase.new_token(): (FaultKind.INTERNAL, exceptions.InternalError, 5),
        running.firebase.new_token(): (FaultKind.SILENT, exceptions.UnavailableError, 2),
    }
    for token, (kind, _, _) in expected.items():
        running.firebase.faults.add(Fault(kind=kind, token=token, retry_after=0))
    ends = await asyncio.gather(*(client.send(token) for token in expected), return_exceptions=True)
    came = [each.message.to for each in running.firebase.received]
    for (token, (_, error, requests)), end in zip(expected.items(), ends, strict=True):
        assert isinstance(end, error), end
        assert came.count(token) == requests


async def test_googles_client_understands_which_field_is_wrong(sender: tuple[World, GoogleClient]) -> None:
    _, client = sender
    with pytest.raises(exceptions.InvalidArgumentError, match="Invalid data payload key: from"):
        await client.send("any", android=messaging.AndroidConfig(data={"from": "me"}))
    with pytest.raises(messaging.UnregisteredError):
        await client.send("a-token-that-nobody-has")


async def test_a_token_endpoint_in_trouble_is_no_firebase_error(sender: tuple[World, GoogleClient]) -> None:
    running, client = sender
    running.firebase.faults.add(Fault(kind=FaultKind.INVALID_ARGUMENT, endpoint=Endpoint.TOKEN))
    with pytest.raises(GoogleAuthError):
        await client.send(running.firebase.new_token())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"message": {"data": {}}}, "message"),
        ({"message": {"token": "t", "fid": "f"}}, "message"),
        ({"message": {"token": "t", "data": {"v": 1}}}, "message.data[...]"),
        ({"message": {"token": "t", "surprise": 1}}, "message"),
        ({"message": {"token": "t", "android": {"ttl": "60"}}}, "message.android.ttl"),
        ({"message": {"token": "t", "android": {"ttl": "9999999s"}}}, "message.android.ttl"),
        ({"message": {"token": "t", "android": {"priority": "urgent"}}}, "message.android.priority"),
        ({"message": {"token": "t", "data": {"a": "x" * 5000}}}, "message.data"),
        ({"message": {"token": "t", "apns": {"headers": {"apns-expiration": "soon"}}}}, "message.apns.headers"),
        ({"message": {"token": "t", "apns": {"headers": {"apns-collapse-id": "x" * 65}}}}, "message.apns.headers"),
        ({"message": {"token": "t", "apns": {"payload": {"alert": "x"}}}}, "message.apns.payload"),
    ],
    ids=str,
)
async def test_a_malformed_message_is_refused_with_the_field_that_is_wrong(body: object, field: str) -> None:
    async with world(setup=QUICK) as running, aiohttp.ClientSession(running.url) as session:
        bearer = {"Authorization": f"Bearer {_bought(running)}"}
        async with session.post("/v1/projects/stub-project/messages:send", json=body, headers=bearer) as response:
            refused = json.loads(await response.text())["error"]
    assert (response.status, refused["status"]) == (400, "INVALID_ARGUMENT")
    assert [each["field"] for each in refused["details"][0]["fieldViolations"]] == [field]
    assert refused["details"][1]["errorCode"] == "INVALID_ARGUMENT"


async def test_a_bearer_token_that_was_not_bought_here_or_was_revoked_is_refused() -> None:
    async with world(setup=QUICK) as running, aiohttp.ClientSession(running.url) as session:
        token = _bought(running)
        running.firebase.account.revoke()
        for bearer in (token, "made-up", ""):
            headers = {"Authorization": f"Bearer {bearer}"}
            async with session.post("/v1/projects/stub-project/messages:send", json={}, headers=headers) as response:
                assert response.status == 401


async def test_a_fault_is_for_one_phone_a_number_of_times_and_is_taken_back_over_http() -> None:
    async with world(setup=QUICK) as running, aiohttp.ClientSession(running.url) as session:
        one, other = running.firebase.new_token(), running.firebase.new_token()
        fault = {"kind": "UNREGISTERED", "token": one, "times": 1}
        assert (await session.post("/firebase/faults", json=fault)).status == 204
        assert (await session.post("/firebase/faults", json={"kind": "boredom"})).status == 400
        statuses = [await _send(session, running, token) for token in (other, one, one)]
        assert statuses == [200, 404, 200]
        await session.post("/firebase/faults", json={"kind": "UNAVAILABLE"})
        await session.delete("/firebase/faults")
        assert await _send(session, running, one) == 200
        seen = json.loads(await (await session.get("/firebase")).text())
        assert [each["answer"] for each in seen["received"]] == ["sent", "sent", "UNREGISTERED", "sent"]
        assert Path(seen["credentials"]) == running.credentials


async def test_a_phone_without_a_socket_is_woken_connects_and_shows_what_is_pending(service: FakeService) -> None:
    async with world(setup=QUICK) as running, aiohttp.ClientSession(running.url) as session:
        setup = Setup(backoff=QUICK.backoff, firebase=running.firebase)
        async with Phone.activate(service.activation_uri(), setup=setup) as phone:
            await phone.disconnect()
            asked = await service.ask("42")
            with pytest.raises(LineClosedError):
                await phone.next_challenge()
            assert await _send(session, running, phone.identity.push_token) == 200
            async with asyncio.timeout(SECONDS):
                await phone.wakes.get()
                challenge = await phone.next_challenge()
            assert challenge.id == asked


async def test_a_phone_that_polls_is_woken_and_one_in_both_places_shows_one_prompt(service: FakeService) -> None:
    async with world(setup=QUICK) as running, aiohttp.ClientSession(running.url) as session:
        polls = Setup(reach=Reach.POLL, firebase=running.firebase)
        async with Phone.activate(service.activation_uri(), setup=polls) as phone:
            asked = await service.ask("42")
            for _ in range(2):
                assert await _send(session, running, phone.identity.push_token) == 200
            async with asyncio.timeout(SECONDS):
                assert (await phone.next_challenge()).id == asked
                for _ in range(2):
                    await phone.wakes.get()
                await phone.connect()  # the service sends it again, over the socket
                await phone.device()
            assert len(phone.prompts.unread) == 0


async def test_a_phone_whose_token_was_renewed_is_reached_by_the_new_one_alone(service: FakeService) -> None:
    async with world(setup=QUICK) as running, aiohttp.ClientSession(running.url) as session:
        setup = Setup(backoff=QUICK.backoff, firebase=running.firebase)
        async with Phone.activate(service.activation_uri(), setup=setup) as phone:
            old = phone.identity.push_token
            new = await phone.refresh_push_token()
            assert [await _send(session, running, token) for token in (old, new)] == [404, 200]


async def test_the_app_on_the_shelf_is_closed_and_a_push_message_opens_it(service: FakeService) -> None:
    async with world(setup=QUICK) as running, aiohttp.ClientSession(running.url) as session:
        held = await running.shelf.activate(service.activation_uri(), "Alice's phone", "stub")
        assert (await session.post(f"/phones/{held.phone.device_id}/close")).status == 200
        assert (held.view().asleep, held.view().line) == (True, LineState.CLOSED)
        asked = await service.ask("42")
        assert await _send(session, running, held.phone.identity.push_token) == 200
        async with asyncio.timeout(SECONDS):
            while asked not in held.screen:
                await running.shelf.changes.after(running.shelf.changes.number)
        assert not held.view().asleep


async def _send(session: aiohttp.ClientSession, running: World, token: str | None) -> int:
    headers = {"Authorization": f"Bearer {_bought(running)}"}
    body = {"message": {"token": token, "data": {"v": "1", "wake": "w"}}}
    async with session.post("/v1/projects/stub-project/messages:send", json=body, headers=headers) as response:
        return response.status


def _bought(running: World) -> str:
    """A token, without the exchange."""
    account = firebase_admin.credentials.Certificate(str(running.credentials)).get_credential()
    return running.firebase.account.sell(account._make_authorization_grant_assertion().decode()).access_token
