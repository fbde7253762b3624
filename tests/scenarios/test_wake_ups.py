"""A phone whose app is closed is woken by Firebase, shows what is asked, and signs its person in."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mobile_stub.backoff import Backoff
from mobile_stub.firebase_faults import Fault, FaultKind
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import Reach, Setup
from mobile_stub.wire import Challenge, Outcome
from mobile_stub.world import World, world
from tests.support.browser import SignIn
from tests.support.people import PASSWORD, Office, office
from tests.support.service import Service
from tests.support.waking import firebase_settings, until_delivery

PATIENCE_SECONDS = 30.0


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_the_world() -> AsyncIterator[World]:
    async with world() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(all_the_world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """The operator beside a server that wakes phones."""
    service = Service(tmp_path_factory.mktemp("waking"), **firebase_settings(all_the_world))
    await service.start()
    async with office(service) as opened:
        yield opened
    assert await service.stop() == 0


@pytest.fixture
def google(all_the_world: World) -> World:
    """The world, with nothing received yet and nothing wrong."""
    all_the_world.firebase.received.clear()
    all_the_world.firebase.faults.clear()
    return all_the_world


def pushed(google: World, reach: Reach = Reach.SOCKET) -> Setup:
    return Setup(reach=reach, firebase=google.firebase, backoff=lambda: Backoff(base=0.05, cap=0.2))


async def told(sign_in: SignIn, state: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (body := await sign_in.look(wait=20, after=sign_in.body["version"]))["state"] == "pending":
            pass
    assert body["state"] == state


async def test_a_phone_without_a_socket_is_woken_and_signs_its_person_in(google: World, desk: Office) -> None:
    user = await desk.person()
    async with await desk.phone(user, setup=pushed(google)) as phone, desk.browser() as browser:
        await phone.disconnect()
        sign_in = await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.wakes.get()
            challenge = await phone.next_challenge()
        await until_delivery(sign_in, "delivered")
        assert await phone.verify(challenge, sign_in.number) is Outcome.COMPLETED
        await told(sign_in, "approved")
    [received] = google.firebase.received
    assert set(received.message.data) == {"v", "wake"}
    for secret in (sign_in.id, sign_in.body["challenge"]["id"], user.id, user.username, phone.device_id):
        assert secret not in str(received.message)


async def test_a_phone_that_asks_by_http_is_woken_too(google: World, desk: Office) -> None:
    user = await desk.person()
    async with await desk.phone(user, setup=pushed(google, Reach.POLL)) as phone, desk.browser() as browser:
        sign_in = await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            challenge = await phone.next_challenge()
        await until_delivery(sign_in, "sent")
        assert await phone.answer_by_http(challenge, Decision.VERIFY, sign_in.number) is Outcome.COMPLETED
        await told(sign_in, "approved")


async def test_a_phone_that_shows_it_is_not_woken_and_one_in_both_places_shows_one_prompt(
    google: World, desk: Office
) -> None:
    user = await desk.person()
    async with (
        await desk.phone(user, name="awake", setup=pushed(google)) as awake,
        await desk.phone(user, name="asleep", setup=pushed(google)) as asleep,
        desk.browser() as browser,
    ):
        await asleep.disconnect()
        sign_in = await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await awake.next_challenge()).id == sign_in.body["challenge"]["id"]
            await asleep.wakes.get()
            challenge = await asleep.next_challenge()
        assert [each.message.to for each in google.firebase.received] == [asleep.identity.push_token]
        await awake.woken({})  # as if a push had come as well
        await asleep.woken({})
        await awake.device()
        assert (len(awake.prompts.unread), len(asleep.prompts.unread)) == (0, 0)
        assert await asleep.verify(challenge, sign_in.number) is Outcome.COMPLETED
        await told(sign_in, "approved")


async def test_a_socket_on_which_nothing_is_acknowledged_is_backed_up_by_a_push(
    google: World, desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def overlooked(_: Challenge) -> bool:
        return False

    user = await desk.person()
    async with await desk.phone(user, setup=pushed(google)) as phone, desk.browser() as browser:
        monkeypatch.setattr(phone.prompts, "on_challenge", overlooked)
        await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.wakes.get()


async def test_a_renewed_token_is_used_from_then_on(google: World, desk: Office) -> None:
    user = await desk.person()
    async with await desk.phone(user, setup=pushed(google)) as phone, desk.browser() as browser:
        token = await phone.refresh_push_token()
        await phone.disconnect()
        await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.wakes.get()
        assert [each.message.to for each in google.firebase.received] == [token]


async def test_a_token_that_another_persons_phone_registers_wakes_that_one_alone(google: World, desk: Office) -> None:
    alice, bob = await desk.person(), await desk.person()
    async with await desk.phone(alice, setup=pushed(google)) as phone:
        token = phone.identity.push_token
    handed_on = Setup(push_token=token)
    async with await desk.phone(bob, setup=handed_on), desk.browser() as browser:
        sign_in = await browser.begin(alice.username, PASSWORD)
        await until_delivery(sign_in, "failed")
    assert list(google.firebase.received) == []


async def test_the_browser_hears_that_no_phone_can_be_reached(google: World, desk: Office) -> None:
    user = await desk.person()
    async with await desk.phone(user, setup=pushed(google)) as phone, desk.browser() as browser:
        await phone.disconnect()
        assert phone.identity.push_token is not None
        google.firebase.retire(phone.identity.push_token)  # the app was removed from the phone
        sign_in = await browser.begin(user.username, PASSWORD)
        await until_delivery(sign_in, "failed")
        await phone.connect()  # and yet there it is
        await until_delivery(sign_in, "delivered")


async def test_what_is_refused_for_now_is_sent_again_as_late_as_firebase_asks(google: World, desk: Office) -> None:
    google.firebase.faults.add(Fault(kind=FaultKind.UNAVAILABLE, times=1, retry_after=1))
    google.firebase.faults.add(Fault(kind=FaultKind.INTERNAL, times=1))
    user = await desk.person()
    async with await desk.phone(user, setup=pushed(google)) as phone, desk.browser() as browser:
        await phone.disconnect()
        sign_in = await browser.begin(user.username, PASSWORD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.wakes.get()
        await until_delivery(sign_in, "delivered")
    answers = [each.answer for each in google.firebase.received]
    assert answers == ["UNAVAILABLE", "INTERNAL", "sent"]
    times = [each.at for each in google.firebase.received]
    assert all((later - earlier).total_seconds() >= 1 for earlier, later in itertools.pairwise(times[:2]))
    assert len({each.message.data["wake"] for each in google.firebase.received}) == 1


async def test_without_credentials_nobody_is_woken(google: World, tmp_path: Path) -> None:
    service = Service(tmp_path)
    await service.start()
    try:
        async with office(service) as desk, desk.browser() as browser:
            user = await desk.person()
            async with await desk.phone(user, setup=pushed(google)) as phone:
                await phone.disconnect()
                sign_in = await browser.begin(user.username, PASSWORD)
                # For longer than a wake-up takes, nothing changes.
                seen = await sign_in.look(wait=2, after=sign_in.body["version"])
                assert seen["challenge"]["delivery"] == "queued"
    finally:
        await service.kill()
    assert list(google.firebase.received) == []


async def test_credentials_that_are_none_are_told_at_the_start(tmp_path: Path) -> None:
    missing, wrong = tmp_path / "missing.json", tmp_path / "wrong.json"
    wrong.write_text('{"type": "authorized_user"}')
    wrong.chmod(0o600)
    for path in (missing, wrong):
        with pytest.raises(AssertionError, match="PUSH_SERVICE_FIREBASE__CREDENTIALS"):
            await Service(tmp_path, FIREBASE__CREDENTIALS=str(path)).start()
