"""Phones and authenticator apps, registered by using them once: in the settings, and within a first sign-in."""

from __future__ import annotations

import time

import pyotp
import pytest

from push_service.model.challenge import Challenge
from push_service.model.ids import MethodId
from push_service.model.method import KeyPress, Verdict
from push_service.model.policy import SETTINGS_CHANGE_SECONDS
from push_service.model.user import User, UserState
from tests.scenarios.cast import SETTINGS, Door, in_settings, registration, scene, soon, stored
from tests.support.browser import Json, SignIn
from tests.support.people import PASSWORD, Office

MOBILE = {"kind": "mobile", "number": "+49 170 1234589"}
OFFICE = {"kind": "office", "number": "+4930123456", "extension": "407"}
URI = "otpauth://totp/Contoso:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Contoso"


async def _asked(desk: Office, user: User, enrolment_id: str) -> Challenge:
    """What an enrolment is confirmed by: what its text says, or its call hears."""
    guard = (await stored(desk, user)).guard
    opened = next(each for each in guard.enrolments if each.id == enrolment_id)
    found = await desk.core.store.challenge(opened.challenge_id)
    assert found
    assert found.challenge
    return found.challenge


async def _code(desk: Office, user: User, enrolment_id: str) -> str:
    secret = (await _asked(desk, user, enrolment_id)).secret
    assert secret
    return secret


async def _begun(door: Door, path: str, body: object) -> Json:
    reply = await door.send("POST", path, body)
    assert reply.status == 201, reply
    return reply.body


async def _type(sign_in: SignIn, code: str) -> Json:
    path = f"/v1/sign-ins/{sign_in.id}/code"
    reply = await sign_in.browser.request("POST", path, headers=sign_in.bearer, json={"code": code})
    assert reply.status == 200, reply
    return reply.body


def _codes(app: pyotp.TOTP) -> tuple[str, str]:
    """The app's code of now, and the one after it, which is accepted already: nobody waits for it."""
    step = int(time.time()) // app.interval
    return app.generate_otp(step), app.generate_otp(step + 1)


async def _by_app(door: Door) -> str:
    """Have an authenticator app confirmed by its code; the next one is returned."""
    begun = await _begun(door, "/authenticator-apps", {})
    app = pyotp.TOTP(begun["secret"])
    code, after = _codes(app)
    confirmed = await door.send("POST", f"/authenticator-apps/{begun['id']}/confirm", {"code": code})
    assert confirmed.status == 200, confirmed
    return after


def _kinds(me: Json) -> list[str]:
    return [each["method"] for each in me["methods"]]


# --- phones -----------------------------------------------------------------------------------------------------------


async def test_a_mobile_phone_is_confirmed_by_its_code_and_takes_texts_and_calls_then(calling: Office) -> None:
    async with in_settings(calling) as (alice, door):
        begun = await _begun(door, "/phones", MOBILE)
        assert begun | {"id": "", "expires_at": ""} == {
            "id": "",
            "method": "text_mobile",
            "target": "+XX XXXXXXXX89",
            "prompt": {"kind": "enter_code", "number": None, "digits": 6},
            "expires_at": "",
        }
        before = _kinds(await door.me())
        code = await _code(calling, alice.user, begun["id"])
        wrong = await door.send("POST", f"/phones/{begun['id']}/confirm", {"code": f"{(int(code) + 1) % 10**6:06d}"})
        assert (wrong.status, wrong.code, wrong.body["tries_left"]) == (403, "wrong_code", 9)
        confirmed = await door.send("POST", f"/phones/{begun['id']}/confirm", {"code": code})
        assert confirmed.status == 200
        assert _kinds(confirmed.body) == [*before, "text_mobile", "call_mobile"]
        again = await door.send("POST", f"/phones/{begun['id']}/confirm", {"code": code})
        assert (again.status, again.body) == (200, confirmed.body)


async def test_the_operators_number_is_enrolled_without_being_typed_and_confirmed_in_its_call(calling: Office) -> None:
    known = await calling.person(mobile="+491701234589", office="+4930123456", extension="407")
    async with (
        scene(calling, app=SETTINGS, origin=calling.service.url, user=known) as alice,
    ):
        door = Door(alice.browser, (await alice.approved()).token)
        assert (await door.me())["suggested"] == {"mobile": "+XX XXXXXXXX89", "office": "+XX XXXXXX56 ext. XX7"}
        begun = await _begun(door, "/phones", {"kind": "office"})
        assert (begun["method"], begun["prompt"]["kind"]) == ("call_office", "answer_call")
        early = await door.send("POST", f"/phones/{begun['id']}/confirm", {})
        assert (early.status, early.code) == (409, "not_confirmed")
        challenge = await _asked(calling, alice.user, begun["id"])
        assert await calling.core.enroller.pressed(challenge, KeyPress("#")) is Verdict.RIGHT
        late = await door.send("POST", f"/phones/{begun['id']}/confirm", {})
        assert late.status == 200
        assert _kinds(late.body)[-1] == "call_office"
        assert await calling.core.store.method_secret(MethodId(begun["id"])) == "+4930123456;ext=407"


@pytest.mark.security("S-19")
@pytest.mark.parametrize(
    "body",
    [
        {"kind": "mobile", "number": "+19005550123"},
        {"kind": "mobile", "number": "+8816123456789"},
        {"kind": "mobile", "number": "+4930123456"},
        {"kind": "mobile", "number": "01701234589"},
        {"kind": "mobile", "number": "+491701234589", "extension": "1"},
        {"kind": "office", "number": "+4930123456", "extension": "1,,2#"},
        {"kind": "office", "number": "+4930123456", "by": "text"},
        {"kind": "mobile"},
        {"kind": "pager", "number": "+491701234589"},
        {"kind": "mobile", "number": "+491701234589", "confirmed": True},
    ],
)
async def test_numbers_that_cost_or_reach_nobody_are_refused_before_anything_is_sent(
    calling: Office, body: Json
) -> None:
    async with in_settings(calling) as (alice, door):
        refused = await door.send("POST", "/phones", body)
        assert (refused.status, refused.code) == (400, "invalid_request")
        assert (await stored(calling, alice.user)).guard.sent == {}


@pytest.mark.security("S-19")
async def test_a_phone_added_twice_with_one_key_gets_one_text(calling: Office) -> None:
    async with in_settings(calling) as (alice, door):
        headers = {"Authorization": f"Bearer {door.token}", "Idempotency-Key": "0123456789abcdef"}
        replies = [await door.browser.request("POST", "/v1/me/phones", headers=headers, json=MOBILE) for _ in range(2)]
        assert [each.status for each in replies] == [201, 201]
        assert replies[0].body == replies[1].body
        assert [len(each) for each in (await stored(calling, alice.user)).guard.sent.values()] == [1]


@pytest.mark.security("S-21", "S-23")
async def test_where_the_tries_are_used_up_no_door_hears_another(calling: Office) -> None:
    async with in_settings(calling) as (alice, door):
        begun = await _begun(door, "/phones", MOBILE)
        code = await _code(calling, alice.user, begun["id"])
        wrong = {"code": f"{(int(code) + 1) % 10**6:06d}"}
        for left in range(9, -1, -1):
            refused = await door.send("POST", f"/phones/{begun['id']}/confirm", wrong)
            assert (refused.code, refused.body["tries_left"]) == ("wrong_code", left)
        right = await door.send("POST", f"/phones/{begun['id']}/confirm", {"code": code})
        assert (right.status, right.code) == (429, "too_many_requests")
        assert int(right.headers["Retry-After"]) > 0
        anew = await door.send("POST", "/phones", MOBILE)
        assert (anew.status, anew.code) == (429, "too_many_prompts")
        assert "text_mobile" not in _kinds(await door.me())


async def test_where_no_provider_is_set_up_no_phone_is_enrolled(desk: Office) -> None:
    async with in_settings(desk) as (_, door):
        refused = await door.send("POST", "/phones", MOBILE)
        assert (refused.status, refused.code) == (404, "unknown_method")


@pytest.mark.security("S-58")
async def test_a_removed_phone_goes_as_a_whole_and_closes_what_it_opened(calling: Office) -> None:
    async with in_settings(calling) as (alice, door):
        begun = await _begun(door, "/phones", MOBILE)
        code = {"code": await _code(calling, alice.user, begun["id"])}
        await door.send("POST", f"/phones/{begun['id']}/confirm", code)
        by_text = await alice.begin()
        await by_text.choose(begun["id"])
        await by_text.look()
        asked = await calling.core.store.challenge(by_text.body["challenge"]["id"])
        assert asked
        assert asked.challenge
        assert asked.challenge.secret
        assert (await _type(by_text, asked.challenge.secret))["state"] == "approved"
        theirs = Door(alice.browser, by_text.token)
        assert (await theirs.send("GET", "")).status == 200
        call = next(each["id"] for each in (await door.me())["methods"] if each["method"] == "call_mobile")
        assert (await door.send("DELETE", f"/methods/{call}")).status == 204
        assert _kinds(await door.me()) == ["app_notification", "app_code"]
        assert await calling.core.store.method_secret(MethodId(begun["id"])) is None
        assert (await theirs.send("GET", "")).code == "fresh_sign_in_required"


# --- authenticator apps -----------------------------------------------------------------------------------------------


async def test_an_authenticator_app_is_set_up_by_picture_or_text_and_answers_sign_ins_then(desk: Office) -> None:
    async with in_settings(desk) as (alice, door):
        begun = await _begun(door, "/authenticator-apps", {})
        assert begun["qr_svg"].startswith("<svg")
        app = pyotp.parse_uri(begun["uri"])
        assert isinstance(app, pyotp.TOTP)
        assert (app.secret, app.name) == (begun["secret"], alice.user.username)
        path = f"/authenticator-apps/{begun['id']}/confirm"
        for ill_formed in ({"code": "12345"}, {"code": "１２３４５６"}, {}):  # noqa: RUF001 - digits of another script
            assert (await door.send("POST", path, ill_formed)).code == "invalid_request"
        code, after = _codes(app)
        assert (await door.send("POST", path, {"code": code})).status == 200
        sign_in = await alice.begin()
        chosen = await sign_in.choose(begun["id"])
        assert chosen.body["challenge"]["prompt"] == {"kind": "enter_code", "number": None, "digits": 6}
        body = await _type(sign_in, after)
        assert (body["state"], bool(body["result"])) == ("approved", True)


@pytest.mark.security("S-24", "S-25")
async def test_the_code_that_confirmed_an_app_opens_nothing_else(desk: Office) -> None:
    async with in_settings(desk) as (alice, door):
        begun = await _begun(door, "/authenticator-apps", {})
        used = pyotp.TOTP(begun["secret"]).now()
        assert (await door.send("POST", f"/authenticator-apps/{begun['id']}/confirm", {"code": used})).status == 200
        sign_in = await alice.begin()
        await sign_in.choose(begun["id"])
        path = f"/v1/sign-ins/{sign_in.id}/code"
        refused = await alice.browser.request("POST", path, headers=sign_in.bearer, json={"code": used})
        assert (refused.status, refused.code) == (403, "wrong_code")


async def test_a_key_that_the_person_brings_is_taken_unless_it_weakens_the_codes(desk: Office) -> None:
    async with in_settings(desk) as (_, door):
        begun = await _begun(door, "/authenticator-apps", {"uri": URI})
        assert begun["secret"] == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        code = pyotp.TOTP(begun["secret"]).now()
        me = await door.send("POST", f"/authenticator-apps/{begun['id']}/confirm", {"code": code})
        assert me.body["methods"][-1]["target"] == "Contoso: alice"
        for weak in (f"{URI}&digits=8", f"{URI}&period=300", URI.replace("totp", "hotp"), URI[:60]):
            refused = await door.send("POST", "/authenticator-apps", {"uri": weak})
            assert (refused.status, refused.code) == (400, "invalid_request")
            assert "GEZDGNBV" not in str(refused.body)


# --- whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.security("S-58")
async def test_nothing_is_enrolled_or_confirmed_but_in_a_fresh_session_of_ones_own(calling: Office) -> None:
    async with in_settings(calling) as (alice, door), scene(calling, app=SETTINGS, origin=calling.service.url) as eve:
        begun = await _begun(door, "/phones", MOBILE)
        code = {"code": await _code(calling, alice.user, begun["id"])}
        path = f"/phones/{begun['id']}/confirm"
        elsewhere = Door(alice.browser, (await alice.approved()).token)
        theirs = Door(eve.browser, (await eve.approved()).token)
        for other in (elsewhere, theirs):
            assert (await other.send("POST", path, code)).code == "unknown_enrolment"
        assert (await door.send("POST", f"/authenticator-apps/{begun['id']}/confirm", code)).code == "unknown_enrolment"
        pending = Door(alice.browser, (await alice.begin()).token)
        for method, target, body in (
            ("POST", "/phones", MOBILE),
            ("POST", path, code),
            ("POST", "/authenticator-apps", {}),
            ("POST", "/authenticator-apps/mth_x/confirm", code),
        ):
            refused = await pending.send(method, target, body)
            assert (refused.status, refused.code) == (403, "fresh_sign_in_required")
        assert SETTINGS_CHANGE_SECONDS == 600
        assert (await door.send("POST", path, code)).status == 200


@pytest.mark.security("S-55")
async def test_a_first_sign_in_registers_a_phone_and_goes_on_with_its_text(calling: Office) -> None:
    bob = await calling.person()
    async with calling.browser() as browser:
        sign_in, other = await browser.begin(bob.username, PASSWORD), await browser.begin(bob.username, PASSWORD)
        door, second = registration(sign_in), registration(other)
        theirs = await _begun(second, "/phones", OFFICE)
        late = await _asked(calling, bob, theirs["id"])
        begun = await _begun(door, "/phones", MOBILE)
        code = {"code": await _code(calling, bob, begun["id"])}
        assert (await second.send("POST", f"/phones/{begun['id']}/confirm", code)).code == "unknown_enrolment"
        confirmed = await door.send("POST", f"/phones/{begun['id']}/confirm", code)
        assert (confirmed.status, confirmed.body["state"]) == (200, "enforced")
        told = await sign_in.look()
        assert (told["state"], told["challenge"]["method_id"]) == ("pending", begun["id"])
        assert "registration" not in told
        assert (await soon(other.outcome()))["reason"] == "registered_elsewhere"
        assert await calling.core.enroller.pressed(late, KeyPress("#")) is None
        for shut in (door, second):
            assert (await shut.send("POST", "/phones", MOBILE)).code == "invalid_token"
        asked = await calling.core.store.challenge(told["challenge"]["id"])
        assert asked
        assert asked.challenge
        assert asked.challenge.secret
        assert (await _type(sign_in, asked.challenge.secret))["state"] == "approved"


@pytest.mark.security("S-55")
async def test_a_first_sign_in_registers_an_authenticator_app_and_goes_on_with_its_next_code(desk: Office) -> None:
    bob = await desk.person()
    async with desk.browser() as browser:
        sign_in = await browser.begin(bob.username, PASSWORD)
        code = await _by_app(registration(sign_in))
        told = await sign_in.look()
        assert (told["state"], told["challenge"]["prompt"]["kind"]) == ("pending", "enter_code")
        body = await _type(sign_in, code)
        assert (body["state"], bool(body["result"])) == ("approved", True)
        assert (await stored(desk, bob)).state is UserState.ENFORCED


@pytest.mark.security("S-55")
async def test_what_is_being_enrolled_dies_with_the_sign_in_that_it_serves(calling: Office) -> None:
    bob = await calling.person()
    async with calling.browser() as browser:
        sign_in = await browser.begin(bob.username, PASSWORD)
        begun = await _begun(registration(sign_in), "/phones", OFFICE)
        call = await _asked(calling, bob, begun["id"])
        await sign_in.cancel()
        assert await calling.core.enroller.pressed(call, KeyPress("#")) is None
        assert (await stored(calling, bob)).guard.methods == ()
