"""Beginning and what follows from it: prompts that wear people down, guesses, shortcuts, and accounts that change."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import secrets
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from mobile_stub.errors import RefusedError
from mobile_stub.phone import Phone
from mobile_stub.surroundings import Reach, Setup
from push_service.model.errors import ServiceError
from push_service.model.ids import ApplicationId
from push_service.model.user import User, UserState
from tests.conftest import MakeOffice, MakeService
from tests.support.browser import App, Reply, SignIn
from tests.support.people import PASSWORD, Office
from tests.support.service import Service

SETTINGS = App("settings", None)
POLLING = Setup(reach=Reach.POLL)
SOON = 20.0
_addresses = (f"203.0.{third}.{fourth}" for third, fourth in itertools.product(range(256), range(1, 255)))


def elsewhere() -> dict[str, Any]:
    """A browser at an address that nobody has asked from yet."""
    return {"client": {"ip": next(_addresses)}}


async def approve(phone: Phone, sign_in: SignIn) -> dict[str, Any]:
    """The person types the number; what the browser is told."""
    async with asyncio.timeout(SOON):
        challenge = await phone.next_challenge()
        await phone.verify(challenge, number=sign_in.number)
        return await sign_in.outcome()


async def asked(phone: Phone) -> set[str]:
    """The challenges that the phone is shown now."""
    return {challenge.id for challenge in (await phone.poll()).challenges}


def told(reply: Reply) -> tuple[int, str, dict[str, Any], set[str]]:
    """All that a stranger can tell replies apart by, but for the time they took."""
    return reply.status, reply.code, reply.body, set(reply.headers)


# --- S-15: prompts that wear people down ----------------------------------------------------------------------------


@pytest.mark.security("S-15")
async def test_ignored_denied_and_cancelled_prompts_all_count_whoever_asks(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    seen: set[str] = set()
    other = await desk.application("Fabrikam")
    async with await desk.phone(user) as phone, desk.browser() as one, desk.browser(other) as two:
        async with asyncio.timeout(SOON):
            denied = await one.begin(user.username, **elsewhere())
            await phone.deny(await phone.next_challenge())
            assert (await denied.outcome())["state"] == "denied"
        assert await asked(phone) == set(), "something was sent again after a denial"
        cancelled = await two.begin(user.username, **elsewhere())
        assert (await cancelled.cancel()).status == 200
        replaced = await one.begin(user.username, **elsewhere())
        ignored = await one.begin(user.username, replaces=replaced.token, **elsewhere())
        other_ignored = await two.begin(user.username, PASSWORD, **elsewhere())
        for sign_in in (denied, cancelled, replaced, ignored, other_ignored):
            seen.add(sign_in.body["challenge"]["id"])
        for browser, password in ((one, None), (two, None), (one, PASSWORD), (two, PASSWORD)):
            assert await browser.muted_for(user.username, password, **elsewhere()) > 200
        assert await asked(phone) <= seen
        again = await ignored.choose(ignored.body["challenge"]["method_id"])
        assert (again.status, again.code) == (429, "too_many_prompts")
        assert len(seen) == 5
        async with asyncio.timeout(SOON):
            challenge = next(
                each for each in (await phone.poll()).challenges if each.id == ignored.body["challenge"]["id"]
            )
            await phone.verify(challenge, number=ignored.number)
        assert (await one.post_begin(username=user.username, **elsewhere())).status == 201, (
            "success forgets the prompts"
        )


@pytest.mark.security("S-15")
async def test_prompts_that_expired_count_too_and_a_restart_forgets_none(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(POLICY__SIGN_IN_SECONDS="1", POLICY__PROMPTS_UNANSWERED="3/1h,100/1d")
    office = await make_office(service)
    user = await office.person(state=UserState.ENFORCED)
    async with await office.phone(user), office.browser() as browser:
        sign_ins = [await browser.begin(user.username, **elsewhere()) for _ in range(3)]
        async with asyncio.timeout(SOON):
            states = {(await each.outcome())["state"] for each in sign_ins}
        assert states == {"expired"}
        assert await browser.muted_for(user.username) > 3000
        await service.stop()
        await service.start()
        assert await browser.muted_for(user.username) > 3000


@pytest.mark.security("S-15")
async def test_the_limit_of_a_day_holds_whatever_the_pace(make_service: MakeService, make_office: MakeOffice) -> None:
    office = await make_office(await make_service(POLICY__PROMPTS_UNANSWERED="100/5m,10/1d"))
    user = await office.person(state=UserState.ENFORCED)
    async with await office.phone(user), office.browser() as browser:
        for _ in range(10):
            await (await browser.begin(user.username, **elsewhere())).cancel()
        assert await browser.muted_for(user.username) > 80_000


# --- S-17: vouching -------------------------------------------------------------------------------------------------


@pytest.mark.security("S-17")
async def test_only_an_application_with_the_right_may_leave_out_the_password(service: Service, desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED, admin=True)
    plain = await desk.application(may_vouch=False)
    public = await desk.application(public=True, origins=("https://shop.example",))
    async with await desk.phone(user, setup=POLLING) as phone:
        async with desk.browser(plain) as browser:
            refused = await browser.post_begin(username=user.username)
            assert (refused.status, refused.code) == (400, "invalid_request")
        async with desk.browser(public, origin="https://shop.example") as browser:
            refused = await browser.post_begin(username=user.username)
            assert (refused.status, refused.code) == (400, "invalid_request")
        for built_in in ("settings", "administration"):
            async with desk.browser(App(built_in, None), origin=service.url) as browser:
                refused = await browser.post_begin(username=user.username)
                assert (refused.status, refused.code) == (400, "invalid_request")
        assert await asked(phone) == set()


@pytest.mark.security("S-17", "S-58")
async def test_a_vouched_sign_in_claims_no_password_and_no_two_factors(service: Service, desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    app = await desk.application("Voucher & Sons")
    async with await desk.phone(user) as phone, desk.browser(app) as browser:
        sign_in = await browser.begin(user.username)
        async with asyncio.timeout(SOON):
            challenge = await phone.next_challenge()
            assert challenge.application == "Voucher & Sons"
            await phone.verify(challenge, number=sign_in.number)
            body = await sign_in.outcome()
    assert jwt.decode(body["result"], options={"verify_signature": False})["amr"] == ["swk"]
    begun = next(
        json.loads(line) for line in service.log.splitlines() if sign_in.id in line and "sign_in.begun" in line
    )
    assert (begun["data_vouched"], begun["data_application"]) == ("true", app.client_id)


@pytest.mark.security("S-17")
async def test_vouching_lets_in_nobody_who_has_no_second_factor(desk: Office) -> None:
    disabled, enabled = await desk.person(state=UserState.DISABLED), await desk.person(state=UserState.ENABLED)
    async with desk.browser() as browser:
        refused = await browser.post_begin(username=disabled.username)
        assert (refused.status, refused.code) == (409, "verification_not_enabled")
        refused = await browser.post_begin(username=enabled.username)
        assert (refused.status, refused.code) == (409, "registration_needs_password")
        refused = await browser.post_begin(username="nobody-at-all")
        assert (refused.status, refused.code) == (401, "invalid_credentials")


# --- S-20: Idempotency-Key ------------------------------------------------------------------------------------------


def key() -> dict[str, str]:
    """An Idempotency-Key as a header."""
    return {"Idempotency-Key": secrets.token_urlsafe(24)}


@pytest.mark.security("S-20")
async def test_a_key_that_was_seen_opens_nothing_to_another_caller(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    other = await desk.application("Fabrikam")
    same = key()
    async with await desk.phone(user, setup=POLLING), desk.browser() as one, desk.browser(other) as two:
        first = await one.post_begin(headers=same, username=user.username)
        stranger = await two.post_begin(headers=same, username=user.username)
        again = await one.post_begin(headers=same, username=user.username)
    assert (first.status, stranger.status, again.status) == (201, 201, 201)
    assert again.body == first.body
    assert stranger.body["id"] != first.body["id"]
    assert stranger.body["browser_token"] != first.body["browser_token"]


@pytest.mark.security("S-20")
async def test_pages_of_a_public_application_share_no_keys_across_origins(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    app = await desk.application(public=True, origins=("https://a.example", "https://b.example"))
    same = key()
    async with await desk.phone(user, setup=POLLING), desk.browser(app) as browser:
        bodies = [
            (
                await browser.post_begin(headers=same | {"Origin": origin}, username=user.username, password=PASSWORD)
            ).body
            for origin in ("https://a.example", "https://b.example")
        ]
    assert bodies[0]["id"] != bodies[1]["id"]


@pytest.mark.security("S-20")
async def test_another_body_under_the_same_key_is_refused(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    same = key()
    async with await desk.phone(user, setup=POLLING) as phone, desk.browser() as browser:
        first = await browser.post_begin(headers=same, username=user.username)
        for change in ({"nonce": "another"}, {"password": PASSWORD}, {"password": "wrong password"}):
            refused = await browser.post_begin(headers=same, username=user.username, **change)
            assert (refused.status, refused.code) == (422, "idempotency_key_reused")
        assert await asked(phone) == {first.body["challenge"]["id"]}


@pytest.mark.security("S-20")
async def test_twenty_at_once_under_one_key_are_one_sign_in_and_one_prompt(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    same = key()
    async with await desk.phone(user, setup=POLLING) as phone, desk.browser() as browser:
        posts = (browser.post_begin(headers=same, username=user.username) for _ in range(20))
        replies = await asyncio.gather(*posts)
        assert {reply.status for reply in replies} == {201}
        assert len({reply.body["browser_token"] for reply in replies}) == 1
        assert await asked(phone) == {replies[0].body["challenge"]["id"]}


@pytest.mark.security("S-20", "S-29")
async def test_wrong_passwords_count_under_a_key_as_without_one(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    same, here = key(), elsewhere()
    async with desk.browser() as browser:
        statuses = [
            (await browser.post_begin(headers=same, username=user.username, password="wrong password", **here)).status
            for _ in range(11)
        ]
        assert statuses == [401] * 10 + [429]


@pytest.mark.security("S-20", "S-68")
async def test_what_is_kept_for_a_key_can_be_read_from_no_file(desk: Office, service: Service) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    same = key()
    async with await desk.phone(user, setup=POLLING), desk.browser() as browser:
        begun = await browser.post_begin(headers=same, username=user.username, password=PASSWORD)
    stored = b"".join(path.read_bytes() for path in (service.folder / "data").glob("push-service.db*"))
    for secret in (begun.body["browser_token"], same["Idempotency-Key"], PASSWORD):
        assert secret.encode() not in stored


@pytest.mark.security("S-20")
@pytest.mark.parametrize("ill_formed", ["short", "a" * 129, "with a space in it", "nötascii-but-long-enough", ""])
async def test_an_ill_formed_key_is_refused(desk: Office, ill_formed: str) -> None:
    async with desk.browser() as browser:
        refused = await browser.post_begin(headers={"Idempotency-Key": ill_formed}, username="nobody")
    assert (refused.status, refused.code) == (400, "invalid_request")


# --- S-27: expiry ---------------------------------------------------------------------------------------------------


@pytest.mark.security("S-27")
async def test_everything_that_expires_does_so_at_its_moment_whoever_sweeps(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(
        POLICY__SIGN_IN_SECONDS="1", POLICY__REGISTRATION_SECONDS="1", POLICY__ACTIVATION_SECONDS="1"
    )
    office = await make_office(service)
    asker, newcomer = await office.person(state=UserState.ENFORCED), await office.person(state=UserState.ENABLED)
    async with await office.phone(asker) as phone, office.browser() as browser:
        uri = await office.activation(newcomer)
        registering = await browser.begin(newcomer.username, PASSWORD, **elsewhere())
        sign_in = await browser.begin(asker.username)
        number = sign_in.number
        async with asyncio.timeout(SOON):
            challenge = await phone.next_challenge()
            deadline = datetime.fromisoformat(sign_in.body["expires_at"])
            states: list[str] = []
            while not states or states[-1] == "pending":
                before = datetime.now(UTC)
                states.append((await sign_in.look())["state"])
                # Milliseconds are told, microseconds decide.
                late = states[-1] == "pending" and (before - deadline).total_seconds() > 0.001
                early = states[-1] == "expired" and datetime.now(UTC) < deadline
                assert not late
                assert not early
            assert states[-1] == "expired"
            assert (await phone.verify(challenge, number=number)).value == "too_late"
            assert (await sign_in.cancel()).body["state"] == "expired"
            method = sign_in.body["challenge"]["method_id"]
            assert (await sign_in.choose(method)).body["state"] == "expired"
            assert (await registering.outcome())["state"] == "expired"
        token = {"Authorization": f"Bearer {registering.body['registration']['token']}"}
        assert (await browser.request("GET", "/v1/me", headers=token)).code == "invalid_token"
        assert (await browser.request("POST", "/v1/me/devices", headers=token)).code == "invalid_token"
    with pytest.raises(RefusedError, match="invalid_activation_code"):
        await Phone.activate(uri, setup=POLLING)


# --- S-29, S-30: guesses and names ----------------------------------------------------------------------------------


@pytest.mark.security("S-29")
async def test_fifty_wrong_passwords_from_one_address_stop_nobody_at_another(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    there = elsewhere()
    async with await desk.phone(user) as phone, desk.browser() as browser:
        wrong = [
            await browser.post_begin(username=user.username, password="wrong password", **there) for _ in range(50)
        ]
        statuses = [reply.status for reply in wrong]
        assert statuses == [401] * 10 + [429] * 40
        assert (await browser.post_begin(username=user.username, password=PASSWORD, **there)).status == 429
        sign_in = await browser.begin(user.username, PASSWORD, **elsewhere())
        body = await approve(phone, sign_in)
    assert body["state"] == "approved"


@pytest.mark.security("S-29")
async def test_wrong_passwords_use_up_no_prompts_and_no_numbers(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user, setup=POLLING), desk.browser() as browser:
        before = (await desk.core.administrator.user(user.username)).guard
        for _ in range(12):
            refused = await browser.post_begin(username=user.username, password="wrong password", **elsewhere())
            assert refused.status == 401
        after = (await desk.core.administrator.user(user.username)).guard
    assert after == before


ALIASES: dict[str, Callable[[str], str]] = {
    "as registered": str,
    "capitals": str.upper,
    "title": str.title,
    "full width": lambda name: "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in name),
    "decomposed": lambda name: name.replace("ü", "u\u0308"),
    "SS": lambda name: name.replace("ß", "SS"),
    "sharp capital": lambda name: name.replace("ß", "ẞ"),
    "ligature": lambda name: name.replace("fi", "ﬁ"),
}
LOOK_ALIKES: dict[str, Callable[[str], str]] = {
    "trailing space": lambda name: name + " ",
    "leading space": lambda name: " " + name,
    "no-break space": lambda name: name + "\u00a0",
    "zero width": lambda name: name[0] + "\u200b" + name[1:],
    "joiner": lambda name: name[0] + "\u200d" + name[1:],
    "bidi": lambda name: "\u202e" + name,
    "soft hyphen": lambda name: name[0] + "\u00ad" + name[1:],
    "Cyrillic": lambda name: name.replace("a", "\u0430"),
    "dotted capital I": lambda name: name.replace("i", "İ"),
    "tab": lambda name: name + "\t",
    "domain": lambda name: name + "@localhost",
}


def _name() -> str:
    return f"fina-müß-{secrets.token_hex(3)}"


@pytest.mark.security("S-30")
async def test_spellings_of_one_name_share_one_counter(desk: Office) -> None:
    user, here = await desk.person(_name(), state=UserState.DISABLED), elsewhere()
    spellings = itertools.cycle(ALIASES.values())
    async with desk.browser() as browser:
        statuses = [
            (
                await browser.post_begin(username=next(spellings)(user.username), password="wrong password", **here)
            ).status
            for _ in range(12)
        ]
    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.security("S-30")
@pytest.mark.parametrize("spelling", ALIASES.values(), ids=ALIASES.keys())
async def test_every_spelling_of_a_name_is_the_same_person(desk: Office, spelling: Callable[[str], str]) -> None:
    user = await desk.person(_name(), state=UserState.DISABLED)
    async with desk.browser() as browser:
        assert (await browser.begin(spelling(user.username), PASSWORD)).body["state"] == "approved"
    with pytest.raises(ServiceError):
        await desk.person(spelling(user.username))


@pytest.mark.security("S-30")
async def test_names_that_only_look_alike_are_nobody(desk: Office) -> None:
    user = await desk.person(_name(), state=UserState.DISABLED)
    async with desk.browser() as browser:
        for name, spelling in LOOK_ALIKES.items():
            refused = await browser.post_begin(username=spelling(user.username), password=PASSWORD, **elsewhere())
            assert (refused.status, refused.code) == (401, "invalid_credentials"), name
        refused = await browser.post_begin(username=user.username + "\0", password=PASSWORD)
        assert (refused.status, refused.code) == (400, "invalid_request")


@pytest.mark.security("S-30")
@pytest.mark.parametrize("name", ["Cyrillic", "zero width", "joiner", "bidi", "soft hyphen", "trailing space", "tab"])
async def test_a_look_alike_cannot_be_registered_beside_the_original(desk: Office, name: str) -> None:
    original = _name()
    await desk.person(original, state=UserState.DISABLED)
    with pytest.raises(ServiceError):
        await desk.person(LOOK_ALIKES[name](original))


# --- S-34, S-36: each token for one purpose -------------------------------------------------------------------------


@pytest.mark.security("S-34")
async def test_a_begin_without_its_members_begins_nothing(desk: Office) -> None:
    async with desk.browser() as browser:
        for body in ({}, {"password": PASSWORD}, {"username": ""}, {"username": None}, {"username": ["alice"]}):
            reply = await browser.request("POST", "/v1/sign-ins", headers=browser.identification, json=body)
            assert (reply.status, reply.code) == (400, "invalid_request")
        empty = await browser.request("POST", "/v1/sign-ins", headers=browser.identification)
        assert empty.status == 415


@pytest.mark.security("S-34")
async def test_no_result_before_the_approval_and_none_after_another_outcome(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user) as phone, desk.browser() as browser:
        sign_in = await browser.begin(user.username)
        assert "result" not in sign_in.body
        assert "result" not in await sign_in.look()
        async with asyncio.timeout(SOON):
            await phone.deny(await phone.next_challenge())
            assert "result" not in await sign_in.outcome()
        cancelled = await browser.begin(user.username)
        assert "result" not in (await cancelled.cancel()).body


@pytest.mark.security("S-34", "S-58")
async def test_each_token_opens_its_own_door_only(desk: Office, service: Service) -> None:
    registered, newcomer = await desk.person(state=UserState.ENFORCED), await desk.person(state=UserState.ENABLED)
    async with await desk.phone(registered, setup=POLLING) as phone, desk.browser(SETTINGS, origin=service.url) as page:
        pending = await page.begin(registered.username, PASSWORD)
        registering = await page.begin(newcomer.username, PASSWORD)
        registration = registering.body["registration"]["token"]
        proof = phone.api.proof("GET", "/v1/me")

        async def opens(method: str, path: str, scheme: str, token: str) -> tuple[int, str]:
            reply = await page.request(method, path, headers={"Authorization": f"{scheme} {token}"})
            return reply.status, reply.body.get("code", "")

        # A sign-in that is not over opens no settings, with or without something to register.
        for token in (pending.token, registering.token):
            for method, path in (("GET", "/v1/me"), ("POST", "/v1/me/devices"), ("DELETE", "/v1/me/methods/mth_x")):
                assert await opens(method, path, "Bearer", token) == (403, "fresh_sign_in_required")
        # A registration token is no browser token, and opens registration only.
        assert await opens("GET", f"/v1/sign-ins/{registering.id}", "Bearer", registration) == (401, "invalid_token")
        assert await opens("DELETE", f"/v1/sign-ins/{registering.id}", "Bearer", registration) == (401, "invalid_token")
        assert await opens("DELETE", "/v1/me/methods/mth_x", "Bearer", registration) == (403, "fresh_sign_in_required")
        assert (await opens("GET", "/v1/me", "Bearer", registration))[0] == 200
        # Proofs, tokens and secrets are no substitute for one another.
        assert await opens("GET", "/v1/me", "Bearer", proof) == (401, "invalid_token")
        assert await opens("GET", "/v1/me", "Proof", proof) == (401, "invalid_token")
        assert await opens("GET", "/v1/device", "Proof", pending.token) == (401, "invalid_proof")
        assert await opens("GET", "/v1/device", "Bearer", proof) == (401, "invalid_proof")
        assert await opens("GET", f"/v1/sign-ins/{pending.id}", "Basic", pending.token) == (401, "invalid_token")
        assert (await registering.look())["state"] == "registration_required"


@pytest.mark.security("S-36")
async def test_a_result_is_a_statement_and_no_credential(desk: Office, service: Service) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    other = await desk.application("Fabrikam")
    async with await desk.phone(user) as phone, desk.browser() as browser:
        first = (await approve(phone, await browser.begin(user.username, PASSWORD)))["result"]
        for scheme, path in (
            ("Bearer", "/v1/me"),
            ("Bearer", f"/v1/sign-ins/{jwt.decode(first, options={'verify_signature': False})['sid']}"),
            ("Proof", "/v1/device"),
        ):
            reply = await browser.request("GET", path, headers={"Authorization": f"{scheme} {first}"})
            assert reply.status == 401
        replaced = await browser.post_begin(username=user.username, replaces=first[:256])
        assert replaced.status == 201
        with pytest.raises(RefusedError, match="invalid_answer"):
            await phone.api.answer(replaced.body["challenge"]["id"], first)
        keys = jwt.PyJWKSet.from_dict((await browser.request("GET", "/.well-known/jwks.json")).body)

    def accept(result: str, audience: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(result)
        if header["typ"] != "sign-in-result+jwt":
            raise jwt.InvalidTokenError
        found: dict[str, Any] = jwt.decode(
            result, keys[header["kid"]], algorithms=["ES256"], audience=audience, issuer=service.url,
            options={"require": ["exp", "iat", "jti", "sid", "sub", "auth_time", "amr"]},
        )  # fmt: skip
        return found

    claims = accept(first, browser.app.client_id)
    assert claims["amr"] == ["pwd", "swk", "mfa"]
    assert claims["exp"] - claims["iat"] == 120
    with pytest.raises(jwt.InvalidAudienceError):
        accept(first, other.client_id)
    head, _, signature = first.split(".")
    altered = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "usr_other"}).encode()).rstrip(b"=").decode()
    with pytest.raises(jwt.InvalidSignatureError):
        accept(f"{head}.{altered}.{signature}", browser.app.client_id)


# --- S-35, S-54: the account changes ---------------------------------------------------------------------------------

Change = Callable[[Office, User], Awaitable[object]]
CHANGES: dict[str, Change] = {
    "blocked": lambda desk, user: desk.core.administrator.block(user.username),
    "password changed": lambda desk, user: desk.core.administrator.set_password(user.username, "a new password"),
    "disabled": lambda desk, user: desk.core.administrator.set_state(user.username, UserState.DISABLED),
    "methods reset": lambda desk, user: desk.core.administrator.reset_methods(user.username),
}


@pytest.mark.security("S-35")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_what_changed_since_the_approval_takes_the_result_back(desk: Office, change: Change) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user) as phone, desk.browser() as browser:
        sign_in = await browser.begin(user.username, PASSWORD)
        assert (await approve(phone, sign_in))["result"]
        await change(desk, user)
        body = await sign_in.look()
    assert (body["state"], body["result"]) == ("approved", None)


@pytest.mark.security("S-35")
async def test_a_removed_application_is_handed_no_result(desk: Office) -> None:
    user, app = await desk.person(state=UserState.ENFORCED), await desk.application("Gone tomorrow")
    async with await desk.phone(user) as phone, desk.browser(app) as browser:
        sign_in = await browser.begin(user.username, PASSWORD)
        assert (await approve(phone, sign_in))["result"]
        await desk.core.administrator.remove_application(ApplicationId(app.client_id))
        async with asyncio.timeout(SOON):
            while (await browser.post_begin(username="nobody")).code != "invalid_client":
                pass
        body = await sign_in.look()
    assert (body["state"], body["result"]) == ("approved", None)


@pytest.mark.security("S-35")
async def test_a_device_removed_since_the_approval_takes_its_results_along(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with (
        await desk.phone(user) as phone,
        await desk.phone(user, "Spare", setup=POLLING),
        desk.browser() as browser,
    ):
        sign_in = await browser.begin(user.username, PASSWORD)
        assert (await approve(phone, sign_in))["result"]
        await phone.remove()
        body = await sign_in.look()
    assert (body["state"], body["result"]) == ("approved", None)


@pytest.mark.security("S-54")
@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        (UserState.ENFORCED, UserState.DISABLED, ("withdrawn", "account_changed")),
        (UserState.ENFORCED, UserState.ENABLED, ("pending", None)),
        (UserState.ENABLED, UserState.ENFORCED, ("pending", None)),
    ],
)
async def test_a_pending_sign_in_is_judged_anew_when_the_account_changes(
    desk: Office, before: UserState, after: UserState, outcome: tuple[str, str | None]
) -> None:
    user = await desk.person(state=before)
    async with await desk.phone(user) as phone, desk.browser() as browser:
        sign_in = await browser.begin(user.username, PASSWORD)
        number = sign_in.number
        async with asyncio.timeout(SOON):
            challenge = await phone.next_challenge()
        change = await desk.core.administrator.set_state(user.username, after)
        assert change.after is (UserState.DISABLED if after is UserState.DISABLED else UserState.ENFORCED)
        body = await sign_in.look()
        assert (body["state"], body["reason"]) == outcome
        answered = await phone.verify(challenge, number=number)
        assert answered.value == ("completed" if outcome[0] == "pending" else "too_late")


@pytest.mark.security("S-54")
async def test_a_password_only_account_gets_a_password_only_result_and_nothing_of_its_past(desk: Office) -> None:
    user = await desk.person(state=UserState.DISABLED)
    async with desk.browser() as browser, desk.browser(SETTINGS, origin=desk.service.url) as page:
        sign_in = await browser.begin(user.username, PASSWORD)
        assert jwt.decode(sign_in.body["result"], options={"verify_signature": False})["amr"] == ["pwd"]
        session = await page.begin(user.username, PASSWORD)
        await desk.core.administrator.set_state(user.username, UserState.ENFORCED)
        assert (await sign_in.look())["result"] is None
        assert (await page.request("GET", "/v1/me", headers=session.bearer)).code == "fresh_sign_in_required"
        assert (await browser.begin(user.username, PASSWORD)).body["state"] == "registration_required"


# --- S-53: who exists -----------------------------------------------------------------------------------------------


@pytest.mark.security("S-53")
async def test_a_wrong_password_says_nothing_about_the_account(desk: Office) -> None:
    people = {state.value: await desk.person(state=state) for state in UserState}
    registered, blocked = await desk.person(state=UserState.ENFORCED), await desk.person(state=UserState.ENFORCED)
    unhashed = await desk.person(state=UserState.ENFORCED, password=None)
    await desk.core.administrator.block(blocked.username)
    names = {state: user.username for state, user in people.items()} | {
        "registered": registered.username,
        "blocked": blocked.username,
        "without a password": unhashed.username,
        "unknown": "nobody-of-this-name",
        "no name at all": "\u200b",
    }
    seconds: dict[str, list[float]] = {name: [] for name in names}
    replies = []
    async with await desk.phone(registered, setup=POLLING), desk.browser() as browser:
        for _ in range(9):
            for name, username in names.items():
                before = time.perf_counter()
                replies.append(await browser.post_begin(username=username, password="wrong password", **elsewhere()))
                seconds[name].append(time.perf_counter() - before)
    assert all(told(reply) == told(replies[0]) for reply in replies)
    assert told(replies[0])[:2] == (401, "invalid_credentials")
    medians = [statistics.median(each) for each in seconds.values()]
    # A hash takes twenty times as long as everything else: one that was left out would show by far.
    assert max(medians) < 3 * min(medians), seconds


@pytest.mark.security("S-53")
async def test_what_is_registered_is_told_masked_and_only_after_the_right_password(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user, "Her Own Phone", setup=POLLING), desk.browser() as browser:
        refused = await browser.post_begin(username=user.username, password="wrong password", **elsewhere())
        assert "Phone" not in json.dumps(refused.body)
        assert (await browser.begin(user.username, PASSWORD)).body["challenge"]["target"] == "Her Own Phone"


# --- S-55: the first registration -----------------------------------------------------------------------------------


@pytest.mark.security("S-55")
async def test_a_registration_token_is_its_sign_ins_alone_and_dies_with_it(desk: Office) -> None:
    user, other = await desk.person(state=UserState.ENABLED), await desk.person(state=UserState.ENABLED)
    async with desk.browser() as browser:
        one, two = await browser.begin(user.username, PASSWORD), await browser.begin(other.username, PASSWORD)
        token, others = one.body["registration"]["token"], two.body["registration"]["token"]
        name, _, secret = token.partition(".")
        forged = [
            f"{name}.{others.partition('.')[2]}",
            f"{name}.{secret[::-1]}",
            name,
            f"{name}.",
            token + "a",
            token[:-1],
        ]
        for text in forged:
            reply = await browser.request("POST", "/v1/me/devices", headers={"Authorization": f"Bearer {text}"})
            assert (reply.status, reply.code) == (401, "invalid_token")
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await browser.request("GET", "/v1/me", headers=bearer)).body["username"] == user.username
        code = (await browser.request("POST", "/v1/me/devices", headers=bearer)).body["uri"]
        assert (await one.cancel()).status == 200
        assert (await browser.request("POST", "/v1/me/devices", headers=bearer)).code == "invalid_token"
    with pytest.raises(RefusedError, match="invalid_activation_code"):
        await Phone.activate(code, setup=POLLING)


@pytest.mark.security("S-55")
async def test_of_two_browsers_that_register_at_once_one_finishes(desk: Office) -> None:
    user = await desk.person(state=UserState.ENABLED)
    async with desk.browser() as browser:
        sign_ins = [await browser.begin(user.username, PASSWORD, **elsewhere()) for _ in range(2)]
        codes = []
        for sign_in in sign_ins:
            bearer = {"Authorization": f"Bearer {sign_in.body['registration']['token']}"}
            codes.append((await browser.request("POST", "/v1/me/devices", headers=bearer)).body["uri"])
        done = await asyncio.gather(
            *(Phone.activate(code, setup=POLLING).__aenter__() for code in codes), return_exceptions=True
        )
        # The newer code has voided the older one, whoever asked for it.
        assert isinstance(done[0], RefusedError)
        assert isinstance(done[1], Phone)
        async with done[1] as phone:
            assert await asked(phone) == {(await sign_ins[1].look())["challenge"]["id"]}
            first = await sign_ins[0].look()
            assert (first["state"], first["reason"]) == ("withdrawn", "registered_elsewhere")
        for sign_in in sign_ins:
            bearer = {"Authorization": f"Bearer {sign_in.body['registration']['token']}"}
            assert (await browser.request("POST", "/v1/me/devices", headers=bearer)).code == "invalid_token"
    assert (await desk.core.administrator.user(user.username)).state is UserState.ENFORCED


@pytest.mark.security("S-55", "S-58")
async def test_whoever_has_the_password_alone_registers_nothing_once_something_was_registered(desk: Office) -> None:
    user = await desk.person(state=UserState.ENABLED)
    async with await desk.phone(user), desk.browser() as browser:
        sign_in = await browser.begin(user.username, PASSWORD)
        assert sign_in.body["state"] == "pending"
        assert "registration" not in sign_in.body


# --- S-58, S-59: settings and administration ------------------------------------------------------------------------


@pytest.mark.security("S-58")
async def test_settings_open_to_a_fresh_two_step_sign_in_of_their_own_only(desk: Office, service: Service) -> None:
    user, lone = await desk.person(state=UserState.ENFORCED), await desk.person(state=UserState.DISABLED)
    async with (
        await desk.phone(user) as phone,
        desk.browser() as browser,
        desk.browser(SETTINGS, origin=service.url) as page,
        desk.browser(App("administration", None), origin=service.url) as administration,
    ):
        others = [await browser.begin(user.username, PASSWORD), await administration.begin(user.username, PASSWORD)]
        for sign_in in others:
            await approve(phone, sign_in)
        for sign_in in (*others, await page.begin(lone.username, PASSWORD)):
            assert (await sign_in.look())["state"] == "approved"
            for method, path in (("GET", "/v1/me"), ("POST", "/v1/me/devices"), ("DELETE", "/v1/me/methods/mth_x")):
                reply = await page.request(method, path, headers=sign_in.bearer)
                assert (reply.status, reply.code) == (403, "fresh_sign_in_required")
        own = await page.begin(user.username, PASSWORD)
        await approve(phone, own)
        me = (await page.request("GET", "/v1/me", headers=own.bearer)).body
        method_id = me["methods"][0]["id"]

        async def statuses() -> list[int]:
            change = await page.request(
                "PUT", "/v1/me/primary-method", headers=own.bearer, json={"method_id": method_id}
            )
            return [(await page.request("GET", "/v1/me", headers=own.bearer)).status, change.status]

        assert await statuses() == [200, 200]
        _decided_earlier(service, own.id, minutes=11)
        assert await statuses() == [200, 403]
        _decided_earlier(service, own.id, minutes=50)
        assert await statuses() == [403, 403]


def _decided_earlier(service: Service, sign_in_id: str, minutes: int) -> None:
    """Let time pass for one sign-in, where no clock can be turned."""
    with sqlite3.connect(service.folder / "data" / "push-service.db", timeout=10) as database:
        database.execute(
            "UPDATE sign_ins SET decided_at = decided_at - ? WHERE id = ?", (minutes * 60_000_000, sign_in_id)
        )
    database.close()


@pytest.mark.security("S-58", "S-59")
async def test_nobody_touches_what_is_another_persons(desk: Office, service: Service) -> None:
    user, other = await desk.person(state=UserState.ENFORCED), await desk.person(state=UserState.ENFORCED)
    async with (
        await desk.phone(user) as phone,
        await desk.phone(other, setup=POLLING),
        desk.browser(SETTINGS, origin=service.url) as page,
    ):
        own = await page.begin(user.username, PASSWORD)
        await approve(phone, own)
        theirs = (await desk.core.administrator.user(other.username)).guard.methods[0].id
        reply = await page.request("DELETE", f"/v1/me/methods/{theirs}", headers=own.bearer)
        assert (reply.status, reply.code) == (404, "unknown_method")
        body = {"method_id": theirs}
        reply = await page.request("PUT", "/v1/me/primary-method", headers=own.bearer, json=body)
        assert (reply.status, reply.code) == (404, "unknown_method")
        last = (await page.request("GET", "/v1/me", headers=own.bearer)).body["methods"][0]["id"]
        reply = await page.request("DELETE", f"/v1/me/methods/{last}", headers=own.bearer)
        assert (reply.status, reply.code) == (409, "last_method")
    assert (await desk.core.administrator.user(other.username)).guard.methods


@pytest.mark.security("S-59")
async def test_no_member_of_a_body_makes_anyone_more_than_they_are(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    extras: dict[str, Any] = {
        "admin": True,
        "state": "disabled",
        "amr": ["mfa"],
        "user_id": user.id,
        "proven": ["pwd"],
        "id": "si_chosen",
    }
    async with await desk.phone(user, setup=POLLING) as phone, desk.browser() as browser:
        for member, value in extras.items():
            reply = await browser.post_begin(username=user.username, **{member: value})
            assert (reply.status, reply.code) == (400, "invalid_request")
        assert await asked(phone) == set()
        proof = {"Authorization": f"Proof {phone.api.proof('PATCH', '/v1/device')}"}
        reply = await browser.request("PATCH", "/v1/device", headers=proof, json={"name": "Mine", "user_id": "usr_x"})
        assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.security("S-59")
async def test_administration_has_no_door_for_ordinary_people(desk: Office) -> None:
    user = await desk.person(state=UserState.DISABLED, admin=True)
    basic = base64.b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
    async with desk.browser() as browser:
        sign_in = await browser.begin(user.username, PASSWORD)
        for authorization, refusal in (
            (f"Basic {basic}", (403, "two_step_sign_in_required")),
            (f"Bearer {sign_in.token}", (403, "fresh_sign_in_required")),
            (f"Bearer {sign_in.body['result']}", (401, "invalid_token")),
        ):
            for method, path in (("GET", "/v1/admin/users"), ("POST", "/v1/admin/users"), ("GET", "/v1/admin")):
                reply = await browser.request(method, path, headers={"Authorization": authorization})
                assert (reply.status, reply.code) == refusal
