"""What the operator may decide otherwise: a tap, six digits, short times, other limits. A server for each policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import pytest_asyncio

from mobile_stub.errors import RefusedError
from mobile_stub.proofs import Decision
from mobile_stub.wire import Confirm, Outcome, WithdrawalReason
from push_service.model.user import UserState
from tests.conftest import MakeOffice, MakeService
from tests.scenarios.cast import Scene, scene, soon
from tests.support.people import PASSWORD
from tests.support.service import Service

HASTY = {"POLICY__SIGN_IN_SECONDS": "2", "POLICY__REGISTRATION_SECONDS": "2"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tapping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A tap is enough; who was reset has no time to register."""
    service = Service(tmp_path_factory.mktemp("tap"), POLICY__CONFIRM="tap", POLICY__RESET_GRACE_SECONDS="0")
    await service.start()
    yield service
    await service.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Little time for everything."""
    service = Service(tmp_path_factory.mktemp("hasty"), **HASTY)
    await service.start()
    yield service
    await service.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Six digits, and little patience with wrong numbers and wrong passwords."""
    service = Service(
        tmp_path_factory.mktemp("strict"),
        POLICY__NUMBER_DIGITS="6",
        POLICY__PROMPTS_UNANSWERED="50/5m",
        POLICY__WRONG_NUMBERS="2/1d",
        POLICY__WRONG_PASSWORDS="2/15m",
    )
    await service.start()
    yield service
    await service.stop()


async def test_where_a_tap_is_enough_there_is_no_number_anywhere(tapping: Service, make_office: MakeOffice) -> None:
    desk = await make_office(tapping)
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked(PASSWORD)
        assert (asked.confirm, asked.digits) == (Confirm.TAP, 0)
        assert sign_in.body["challenge"]["prompt"] == {"kind": "approve_on_device", "number": None}
        assert await soon(alice.phone.verify(asked)) is Outcome.COMPLETED
        body = await soon(sign_in.outcome())
        assert (body["state"], bool(body["result"])) == ("approved", True)


async def test_an_enforced_person_left_without_methods_for_too_long_can_not_register_by_password_alone(
    tapping: Service, make_office: MakeOffice
) -> None:
    desk = await make_office(tapping)
    async with scene(desk) as alice:
        await desk.core.administrator.reset_methods(alice.user.username)
        assert (await desk.core.administrator.user(alice.user.username)).state is UserState.ENFORCED
        sign_in = await alice.begin()
        assert (sign_in.body["state"], sign_in.body["reason"]) == ("failed", "no_method")


async def test_six_digits_are_shown_asked_for_and_nothing_shorter_is_an_answer(
    strict: Service, make_office: MakeOffice
) -> None:
    desk = await make_office(strict)
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        assert (asked.confirm, asked.digits) == (Confirm.NUMBER, 6)
        assert len(sign_in.number) == 6
        for number in (sign_in.number[:2], sign_in.number + "0", "", None, "12345x", "\u0661" * 6):
            with pytest.raises(RefusedError, match="invalid_answer"):
                await soon(alice.phone.answer_by_http(asked, Decision.VERIFY, number))
        assert await soon(alice.phone.verify(asked, number=sign_in.number)) is Outcome.COMPLETED


async def test_a_waiting_browser_and_the_phone_are_told_of_the_end_of_time(
    hasty: Service, make_office: MakeOffice
) -> None:
    desk = await make_office(hasty)
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        number = sign_in.number
        told = asyncio.create_task(sign_in.outcome())
        withdrawn = await soon(alice.phone.next_withdrawal())
        assert (withdrawn.challenge_id, withdrawn.reason) == (asked.id, WithdrawalReason.EXPIRED)
        body = await soon(told)
        assert (body["state"], body["reason"], body["challenge"]["state"]) == ("expired", None, "expired")
        # That it is too late is said before the number is looked at, written down or not.
        for typed in (None, "1", number):
            reply = await soon(alice.phone.send(asked.id, alice.phone.sign(asked, Decision.VERIFY, typed)))
            assert (reply.outcome, reply.state) == (Outcome.TOO_LATE, "expired")
        cancelled = await sign_in.cancel()
        assert (cancelled.status, cancelled.code, cancelled.body["state"]) == (409, "too_late", "expired")


async def test_events_end_with_the_expiry(hasty: Service, make_office: MakeOffice) -> None:
    desk = await make_office(hasty)
    async with scene(desk) as alice:
        sign_in = await alice.begin(None)

        async def follow() -> list[str]:
            return [data async for _, data in sign_in.events()]

        assert '"state":"expired"' in (await soon(follow()))[-1]


async def test_a_registration_runs_out_as_well(hasty: Service, make_office: MakeOffice) -> None:
    desk = await make_office(hasty)
    bob = await desk.person()
    async with desk.browser() as browser:
        sign_in = await browser.begin(bob.username, PASSWORD)
        assert sign_in.body["state"] == "registration_required"
        assert (await soon(sign_in.outcome()))["state"] == "expired"
        token = {"Authorization": f"Bearer {sign_in.body['registration']['token']}"}
        refused = await browser.request("GET", "/v1/me", headers=token)
        assert (refused.status, refused.code) == (401, "invalid_token")


async def test_sending_again_gives_more_time(strict: Service, make_office: MakeOffice) -> None:
    desk = await make_office(strict)
    async with scene(desk) as alice:
        sign_in, (former,) = await alice.asked()
        reply = await sign_in.choose(sign_in.body["challenge"]["method_id"])
        assert reply.body["expires_at"] > sign_in.body["expires_at"]
        assert reply.body["challenge"]["expires_at"] == reply.body["expires_at"]
        again = await soon(alice.phone.next_challenge())
        assert again.id != former.id
        assert again.expires_at > former.expires_at


async def test_wrong_numbers_are_counted_for_the_person_whatever_success_comes_between(
    strict: Service, make_office: MakeOffice
) -> None:
    desk = await make_office(strict)
    async with scene(desk) as alice:
        await _mistype(alice)
        await alice.approved(password=None)
        await _mistype(alice)
        assert await alice.browser.muted_for(alice.user.username, PASSWORD) > 3600


async def test_wrong_passwords_shut_out_their_own_address_and_nobody_else(
    strict: Service, make_office: MakeOffice
) -> None:
    desk = await make_office(strict)
    async with scene(desk) as alice:
        here, elsewhere = {"ip": "203.0.113.7"}, {"ip": "198.51.100.9"}
        name = alice.user.username
        for _ in range(2):
            wrong = await alice.browser.post_begin(username=name, password="a guess", client=here)
            assert wrong.code == "invalid_credentials"
        for password in ("a guess", PASSWORD):
            refused = await alice.browser.post_begin(username=name, password=password, client=here)
            assert (refused.status, refused.code) == (429, "too_many_requests")
            assert int(refused.headers["Retry-After"]) > 0
        assert (await alice.browser.post_begin(username=name, password=PASSWORD, client=elsewhere)).status == 201


async def test_expiry_needs_nobody_to_write_it_down(make_service: MakeService, make_office: MakeOffice) -> None:
    """Nothing runs while the time ends: what the service tells in its first answer afterwards is derived."""
    service = await make_service(**HASTY)
    desk = await make_office(service)
    async with scene(desk) as alice:
        sign_in = await alice.begin(None)
        before = sign_in.body["version"]
        await service.kill()
        # The passing of time is the event itself here.
        deadline = datetime.fromisoformat(sign_in.body["expires_at"]).timestamp()
        await asyncio.sleep(max(0.0, deadline - time.time()) + 0.01)
        await service.start()
        async with service.session() as session:
            sign_in.browser.session = session
            body = await sign_in.look()
            assert (body["state"], body["challenge"]["state"]) == ("expired", "expired")
            assert body["version"] > before


async def _mistype(alice: Scene) -> None:
    sign_in, (asked,) = await alice.asked()
    wrong = f"{(int(sign_in.number) + 1) % 10**6:06d}"
    assert await soon(alice.phone.verify(asked, number=wrong)) is Outcome.WRONG_NUMBER
