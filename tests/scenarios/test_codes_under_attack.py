"""Codes in the hands of somebody who has the password: guessed, mixed up, used twice, and typed fifty times at once."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from mobile_stub.phone import Phone
from push_service.model.challenge import MethodKind
from tests.scenarios.cast import Scene, scene
from tests.support.at_once import at_once
from tests.support.browser import Json, Reply, SignIn
from tests.support.people import Office
from tests.support.telephony import give_phone

MOBILE = "+441632960777"
AT_ONCE, GUESSES = 50, 200
STEP = 30


def _path(sign_in: SignIn) -> str:
    return f"/v1/sign-ins/{sign_in.id}/code"


async def _type(sign_in: SignIn, code: str, **headers: str) -> Reply:
    return await sign_in.browser.request("POST", _path(sign_in), headers=sign_in.bearer | headers, json={"code": code})


async def _text(desk: Office, sign_in: SignIn) -> str:
    """The code that the sign-in's text says."""
    found = await desk.core.store.challenge(sign_in.body["challenge"]["id"])
    assert found
    assert found.challenge
    assert found.challenge.secret
    return found.challenge.secret


def _other(code: str, by: int = 1) -> str:
    return f"{(int(code) + by) % 10**6:06d}"


async def _by(alice: Scene, method: str) -> SignIn:
    """A sign-in that asks by this method."""
    sign_in = await alice.begin()
    if sign_in.body["challenge"]["method"] != method:
        chosen = next(each["id"] for each in sign_in.body["methods"] if each["method"] == method)
        assert (await sign_in.choose(chosen)).status == 201
    await sign_in.look()
    return sign_in


def _code_of(phone: Phone, ahead: int = 0) -> str:
    return phone.code(time.time() + ahead * STEP)


async def _posted(desk: Office, sign_ins: list[SignIn], codes: list[str]) -> list[tuple[int, Json]]:
    """The codes typed at once, dealt out to the sign-ins in turn."""
    calls = [
        ("POST", _path(sign_ins[n % len(sign_ins)]), sign_ins[n % len(sign_ins)].bearer, {"code": code})
        for n, code in enumerate(codes)
    ]
    return [(answer.status, json.loads(answer.body)) for answer in await at_once(desk.service, calls)]


def _winners(answers: list[tuple[int, Json]]) -> list[Json]:
    """Those that approved; the others were refused."""
    won = [body for status, body in answers if status == 200]
    assert {status for status, _ in answers} <= {200, 403, 409}, Counter(status for status, _ in answers)
    assert all(body["state"] == "approved" and body["result"] for body in won)
    return won


@pytest.mark.security("S-24")
async def test_of_fifty_right_codes_at_once_from_a_text_one_approves(calling: Office) -> None:
    async with scene(calling) as alice:
        await give_phone(calling, alice.user, MethodKind.TEXT_MOBILE, MOBILE)
        sign_in = await _by(alice, "text_mobile")
        answers = await _posted(calling, [sign_in], [await _text(calling, sign_in)] * AT_ONCE)
        assert len(_winners(answers)) == 1
        assert (await sign_in.look())["state"] == "approved"


@pytest.mark.security("S-24")
async def test_of_fifty_right_codes_at_once_from_an_app_one_approves_in_whichever_sign_in(calling: Office) -> None:
    async with scene(calling) as alice:
        sign_ins = [await _by(alice, "app_code") for _ in range(2)]
        answers = await _posted(calling, sign_ins, [_code_of(alice.phone)] * AT_ONCE)
        assert len(_winners(answers)) == 1
        states = Counter([(await each.look())["state"] for each in sign_ins])
        assert states["approved"] == 1, states


@pytest.mark.security("S-21")
async def test_of_two_hundred_guesses_at_once_no_more_are_judged_than_allowed(calling: Office) -> None:
    async with scene(calling) as alice:
        await give_phone(calling, alice.user, MethodKind.TEXT_MOBILE, MOBILE)
        sign_in = await _by(alice, "text_mobile")
        code = await _text(calling, sign_in)
        answers = await _posted(calling, [sign_in], [_other(code, 1 + n) for n in range(GUESSES)])
        judged = [body["tries_left"] for status, body in answers if status == 403]
        assert sorted(judged, reverse=True) == list(range(9, -1, -1)), "each falls by exactly one"
        assert {body["code"] for status, body in answers if status != 403} <= {"too_late", "no_code_due"}
        late = await _type(sign_in, code)
        assert (late.status, late.code, late.body["state"]) == (409, "too_late", "failed")
        assert (await sign_in.look())["reason"] == "too_many_tries"


@pytest.mark.security("S-22", "S-23", "S-29")
async def test_the_count_goes_on_whatever_is_changed_around_it_and_the_other_methods_still_work(
    calling: Office,
) -> None:
    other = await calling.application("Fabrikam")
    async with scene(calling) as alice, scene(calling, app=other, user=alice.user) as elsewhere:
        method = await give_phone(calling, alice.user, MethodKind.TEXT_MOBILE, MOBILE)
        left = 10

        async def guess(sign_in: SignIn, **headers: str) -> None:
            nonlocal left
            left -= 1
            refused = await _type(sign_in, _other(await _text(calling, sign_in)), **headers)
            assert (refused.status, refused.code, refused.body["tries_left"]) == (403, "wrong_code", left)

        first = await _by(alice, "text_mobile")
        await guess(first)
        assert (await first.choose(method.id)).status == 201  # again
        await guess(first, **{"X-Forwarded-For": "203.0.113.99", "User-Agent": "another"})
        notification = next(each for each in first.body["methods"] if each["method"] == "app_notification")
        assert (await first.choose(notification["id"])).status == 201
        assert (await first.choose(method.id)).status == 201  # and back
        await guess(first)
        assert (await first.cancel()).status == 200
        for _ in range(3):  # a wrong password is no try of a code
            wrong = await alice.browser.post_begin(username=alice.user.username, password="a wrong password")
            assert wrong.code == "invalid_credentials"
        second = await _by(elsewhere, "text_mobile")
        while left:
            await guess(second)
        assert (await second.look())["reason"] == "too_many_tries"

        # Used up at every door: nothing is sent, nothing is judged. The phone is another matter.
        third = await alice.begin()
        assert (third.body["notice"], third.body["challenge"]) == ("prompt_limit", None)
        refused = await third.choose(method.id)
        assert (refused.status, refused.code) == (429, "too_many_prompts")
        assert int(refused.headers["Retry-After"]) > 3000
        code = next(each for each in third.body["methods"] if each["method"] == "app_code")
        assert (await third.choose(code["id"])).status == 201
        assert (await _type(third, _code_of(alice.phone))).body["state"] == "approved"


@pytest.mark.security("S-28")
async def test_a_code_is_good_for_its_own_challenge_alone(calling: Office) -> None:
    async with scene(calling) as alice:
        method = await give_phone(calling, alice.user, MethodKind.TEXT_MOBILE, MOBILE)
        one, two = await _by(alice, "text_mobile"), await _by(alice, "text_mobile")
        of_one, of_two = await _text(calling, one), await _text(calling, two)
        assert of_one != of_two
        assert (await _type(two, of_one)).code == "wrong_code"
        assert (await one.choose(method.id)).status == 201
        assert (await _type(one, of_one)).code == "wrong_code", "a newer code was sent"
        assert (await _type(one, _code_of(alice.phone))).code == "wrong_code"
        app = next(each for each in one.body["methods"] if each["method"] == "app_code")
        newest = await _text(calling, one)
        assert (await one.choose(app["id"])).status == 201
        assert (await _type(one, newest)).code == "wrong_code"
        assert (await _type(two, of_two)).body["state"] == "approved"
        assert (await one.look())["state"] == "pending"


@pytest.mark.security("S-25", "S-26")
async def test_a_step_of_the_app_is_used_once_and_none_before_it_afterwards(calling: Office) -> None:
    async with scene(calling) as alice:
        step = int(time.time()) // STEP
        now, before, ahead = (alice.phone.code((step + n) * STEP) for n in (0, -1, 1))
        far = [alice.phone.code((step + n) * STEP) for n in (-4, 4)]
        first = await _by(alice, "app_code")
        for each in far:
            assert (await _type(first, each)).code == "wrong_code"
        for ill_formed in (now[:5], f"{now}0", f" {now}", "１２３４５６", f"-{now[:5]}"):  # noqa: RUF001 - other digits
            refused = await _type(first, ill_formed)
            assert (refused.status, refused.code) == (400, "invalid_request")
        assert (await _type(first, ahead)).body["state"] == "approved"
        second = await _by(alice, "app_code")
        # Ill-formed ones were no tries: two before the success, three since.
        for spent, left in ((ahead, 7), (now, 6), (before, 5)):
            refused = await _type(second, spent)
            assert (refused.status, refused.code, refused.body["tries_left"]) == (403, "wrong_code", left)
