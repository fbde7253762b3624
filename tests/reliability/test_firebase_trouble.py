"""R-09, R-10, R-11: a Firebase in trouble holds nobody up, is made good for, and takes nobody's push token with it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from mobile_stub.backoff import Backoff
from mobile_stub.firebase_faults import Endpoint, Fault, FaultKind
from mobile_stub.phone import Phone
from mobile_stub.surroundings import Setup
from mobile_stub.wire import Challenge, Outcome
from mobile_stub.world import World, world
from push_service.model.ids import DeviceId
from push_service.model.user import User
from tests.conftest import MakeOffice, MakeService
from tests.soak.story import WIDE_OPEN
from tests.support.browser import Browser
from tests.support.people import PASSWORD, Office
from tests.support.service import Service
from tests.support.waking import firebase_settings, until_delivery

PATIENCE_SECONDS = 30.0
UNLIMITED = WIDE_OPEN | {"LOG_LEVEL": "info"}

FAULTS = (
    Fault(kind=FaultKind.LOST),
    Fault(kind=FaultKind.THIRD_PARTY_AUTH_ERROR),
    Fault(kind=FaultKind.QUOTA_EXCEEDED, retry_after=1),
    Fault(kind=FaultKind.UNAVAILABLE),
    Fault(kind=FaultKind.INTERNAL),
    Fault(kind=FaultKind.BAD_GATEWAY),
    Fault(kind=FaultKind.SILENT),
    Fault(kind=FaultKind.DRIBBLE),
    Fault(kind=FaultKind.LATE, late=60.0),
)
FOR_GOOD = {FaultKind.LOST: "sent", FaultKind.THIRD_PARTY_AUTH_ERROR: "failed"}
"""What waiting doesn't mend: Firebase took it and lost it, or will never take it."""


@pytest.fixture
async def google() -> AsyncIterator[World]:
    async with world() as running:
        yield running


def pushed(google: World) -> Setup:
    return Setup(firebase=google.firebase, backoff=lambda: Backoff(base=0.05, cap=0.2))


@asynccontextmanager
async def asleep(desk: Office, google: World, count: int) -> AsyncIterator[list[tuple[User, Phone]]]:
    """People whose phones have their app closed."""
    async with AsyncExitStack() as stack:
        people = []
        for _ in range(count):
            user = await desk.person()
            phone = await stack.enter_async_context(await desk.phone(user, setup=pushed(google)))
            await phone.disconnect()
            people.append((user, phone))
        yield people


async def signs_in(browser: Browser, user: User, phone: Phone) -> None:
    """One whole sign-in over the socket."""
    sign_in = await browser.begin(user.username, PASSWORD)
    challenge = await phone.next_challenge()
    assert await phone.verify(challenge, sign_in.number) is Outcome.COMPLETED
    while (await sign_in.look(wait=20, after=sign_in.body["version"]))["state"] == "pending":
        pass
    assert sign_in.body["state"] == "approved"


@pytest.mark.reliability("R-09")
async def test_whatever_firebase_does_others_sign_in_and_when_it_is_back_everybody_still_asked_is_woken(
    google: World, make_service: MakeService, make_office: MakeOffice
) -> None:
    """Each sleeper has a trouble of their own, all at the same time."""
    desk = await make_office(
        await make_service(**UNLIMITED, **firebase_settings(google), FIREBASE__TIMEOUT_SECONDS="1")
    )
    awake_user = await desk.person()
    async with (
        asleep(desk, google, len(FAULTS)) as people,
        await desk.phone(awake_user) as awake,
        desk.browser() as browser,
    ):
        for fault, (_, phone) in zip(FAULTS, people, strict=True):
            google.firebase.faults.add(msgspec.structs.replace(fault, token=phone.identity.push_token, times=1))
        begun = [await browser.begin(user.username, PASSWORD) for user, _ in people]
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(3):
                await signs_in(browser, awake_user, awake)
        for fault, sign_in in zip(FAULTS, begun, strict=True):
            await until_delivery(sign_in, FOR_GOOD.get(fault.kind, "delivered"))
        assert {each.answer for each in google.firebase.received} == {"sent"} | {each.kind.value for each in FAULTS}

        google.firebase.account.revoke()
        google.firebase.faults.add(Fault(kind=FaultKind.SILENT, endpoint=Endpoint.TOKEN))
        for user, phone in people:
            await phone.disconnect()
            await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(3):
                await signs_in(browser, awake_user, awake)


@pytest.mark.reliability("R-10")
async def test_a_sender_that_slept_past_its_lease_sends_nothing_when_it_wakes(
    google: World, make_service: MakeService, make_office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def overlooked(_: Challenge) -> bool:
        return False

    one = await make_service(**UNLIMITED, **firebase_settings(google))
    other = Service(one.folder, **UNLIMITED, **firebase_settings(google), PUBLIC_URL=one.url)
    desk = await make_office(one)
    try:
        async with asleep(desk, google, 1) as [(bob, _)], desk.browser() as browser:
            alice = await desk.person()
            async with await desk.phone(alice, setup=pushed(google)) as phone:
                monkeypatch.setattr(phone.prompts, "on_challenge", overlooked)
                await other.start()
                sign_in = await browser.begin(alice.username, PASSWORD)  # a socket listens, so it waits for a receipt
                os.kill(one.pid, signal.SIGSTOP)
                try:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await google.firebase.receives(1)  # the other has taken over
                finally:
                    os.kill(one.pid, signal.SIGCONT)
                assert (await sign_in.look())["state"] == "pending"
                # By the time at which a later prompt of the process that slept is sent, it has long had its turn.
                await browser.begin(bob.username, PASSWORD)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    received = await google.firebase.receives(2)
                tokens = [each.message.to for each in received]
                assert tokens.count(phone.identity.push_token or "") == 1
    finally:
        await other.kill()


@pytest.mark.reliability("R-10", "R-15")
async def test_an_orderly_end_gives_its_leases_back_and_the_next_process_wakes(
    google: World, make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(**UNLIMITED, **firebase_settings(google))
    desk = await make_office(service)
    google.firebase.faults.add(Fault(kind=FaultKind.UNAVAILABLE, retry_after=2))
    async with asleep(desk, google, 1) as [(user, phone)], desk.browser() as browser:
        await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await google.firebase.receives(1)
        assert await service.stop() == 0  # long before it would have tried again
        google.firebase.faults.clear()
        await service.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.wakes.get()


@pytest.mark.reliability("R-11")
async def test_tokens_that_are_dead_go_and_no_others(
    google: World, make_service: MakeService, make_office: MakeOffice
) -> None:
    desk = await make_office(await make_service(**UNLIMITED, **firebase_settings(google)))
    async with asleep(desk, google, 3) as people, desk.browser() as browser:
        dead, (_, kept) = people[:2], people[2]
        for kind, (_, phone) in zip((FaultKind.UNREGISTERED, FaultKind.SENDER_ID_MISMATCH), dead, strict=True):
            google.firebase.faults.add(Fault(kind=kind, token=phone.identity.push_token))
        begun = [await browser.begin(user.username, PASSWORD) for user, _ in people]
        for sign_in, delivery in zip(begun, ("failed", "failed", "delivered"), strict=True):
            await until_delivery(sign_in, delivery)
        async with asyncio.timeout(PATIENCE_SECONDS):
            for _, phone in dead:
                while (await token_of(desk, phone)) is not None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
        assert await token_of(desk, kept) == kept.identity.push_token
        # They are asked all the same: such a phone connects, with a new token, and that one is used at once.
        user, phone = dead[0]
        await phone.refresh_push_token()
        await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.wakes.get()


@pytest.mark.reliability("R-11")
async def test_many_tokens_refused_at_once_are_an_alarm_and_all_of_them_stay(
    google: World, make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(**UNLIMITED, **firebase_settings(google))
    desk = await make_office(service)
    async with asleep(desk, google, 12) as people, desk.browser() as browser:
        google.firebase.faults.add(Fault(kind=FaultKind.SENDER_ID_MISMATCH))
        for user, _ in people:
            await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "firebase.settings_suspected" not in service.log:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        ready = await browser.request("GET", "/readyz")
        assert (ready.status, ready.body["ready"], list(ready.body["degraded"])) == (200, True, ["firebase"])
        for _, phone in people:
            assert await token_of(desk, phone) == phone.identity.push_token
        google.firebase.faults.clear()
        for user, phone in people:
            await browser.begin(user.username, PASSWORD)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await phone.wakes.get()
        for _, phone in people:
            assert await token_of(desk, phone) == phone.identity.push_token


async def token_of(desk: Office, phone: Phone) -> str | None:
    """What the service has as the phone's push token."""
    device = await desk.core.store.device(DeviceId(phone.device_id))
    assert device is not None
    return device.push_token
