"""Mail programs, chats and shells: what opens for them by which account, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from push_service.model.account_states import TABLE, Credential, Door, Outcome, Purpose, Standing
from push_service.model.application import Clients
from push_service.model.user import User, UserState
from tests.scenarios.cast import in_settings, scene
from tests.support.browser import App, Browser, Reply
from tests.support.clients import ELSEWHERE, HERE, app_password, basic, sign_in
from tests.support.people import PASSWORD, Office

LIMIT = 10
"""Wrong passwords of a person from an address, before they are turned away."""


def told(reply: Reply) -> str:
    """`allowed`, or the code of a refusal at this door."""
    if reply.status == 200:
        assert reply.body["allowed"] is True
        return "allowed"
    assert reply.status == 403, reply
    return reply.code


@asynccontextmanager
async def account(desk: Office, standing: Standing) -> AsyncIterator[tuple[User, str | None]]:
    """Somebody whose account stands so, with an app password where there can be one."""
    registered = standing in {Standing.REGISTERED, Standing.BLOCKED, Standing.DISABLED}
    first = UserState.ENABLED if standing is Standing.ENABLED else UserState.ENFORCED
    user = await desk.person(state=first)
    if registered:
        phone = await desk.phone(user)
        await phone.aclose()
    letters = None if standing is Standing.ENABLED else await app_password(desk, user)
    if standing is Standing.BLOCKED:
        await desk.core.administrator.block(user.username)
    if standing is Standing.DISABLED:
        await desk.core.administrator.set_state(user.username, UserState.DISABLED)
    yield user, letters


@pytest.mark.security("S-23", "S-50", "S-51")
@pytest.mark.parametrize("standing", Standing, ids=[each.name.lower() for each in Standing])
async def test_every_row_of_the_table_holds_over_the_wire(desk: Office, standing: Standing) -> None:
    async with account(desk, standing) as (user, letters), desk.browser() as browser:
        for purpose in Purpose:
            reply = await sign_in(browser, user.username, PASSWORD, purpose.value)
            door = Door.PASSWORD_TO_USE if purpose is Purpose.USE else Door.PASSWORD_TO_ADMINISTER
            assert told(reply) == TABLE[standing, door].value
            if reply.status == 200:
                assert reply.body == {
                    "allowed": True,
                    "user": {"id": user.id, "username": user.username},
                    "credential": Credential.PASSWORD.value,
                }
        for purpose in Purpose:
            door = Door.APP_PASSWORD_TO_USE if purpose is Purpose.USE else Door.APP_PASSWORD_TO_ADMINISTER
            if letters is None:
                assert TABLE[standing, door] is Outcome.NONE_EXISTS
                continue
            reply = await sign_in(browser, user.username, letters, purpose.value)
            assert told(reply) == TABLE[standing, door].value
            if reply.status == 200:
                assert (reply.body["credential"], reply.body["name"]) == (Credential.APP_PASSWORD.value, "Mail")
        begun = await browser.begin(user.username, PASSWORD, client={"ip": ELSEWHERE})
        assert begun.body["state"] == TABLE[standing, Door.BROWSER].value


@pytest.mark.security("S-51")
async def test_registration_closes_the_door_to_the_ordinary_password_at_once(desk: Office) -> None:
    user = await desk.person(state=UserState.ENABLED)
    async with desk.browser() as browser:
        assert told(await sign_in(browser, user.username, PASSWORD)) == "allowed"
        phone = await desk.phone(user)
        await phone.aclose()
        assert told(await sign_in(browser, user.username, PASSWORD)) == "app_password_required"


@pytest.mark.security("S-51", "S-53")
@pytest.mark.parametrize(
    ("purpose", "code"), [("use", "app_password_required"), ("administer", "two_step_sign_in_required")]
)
async def test_where_the_ordinary_password_opens_nothing_right_and_wrong_are_one_answer(
    desk: Office, purpose: str, code: str
) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    await app_password(desk, user)
    async with desk.browser() as browser:
        shown = (PASSWORD, "not the password", "", "aaaa bbbb cccc dddd")
        replies = [await sign_in(browser, user.username, password, purpose) for password in shown]
        assert [told(each) for each in replies] == [code] * len(shown)
        assert all(each.body == replies[0].body for each in replies)


@pytest.mark.security("S-51")
@pytest.mark.parametrize("state", [UserState.DISABLED, UserState.ENABLED])
async def test_where_it_does_wrong_and_unknown_are_one_answer(desk: Office, state: UserState) -> None:
    user = await desk.person(state=state)
    async with desk.browser() as browser:
        tries = ((user.username, "not the password"), ("nobody at all", PASSWORD), ("\u202eevil", PASSWORD))
        replies = [await sign_in(browser, name, password) for name, password in tries]
        assert [told(each) for each in replies] == ["invalid_credentials"] * len(tries)
        assert all(each.body == replies[0].body for each in replies)
        assert told(await sign_in(browser, user.username, PASSWORD)) == "allowed"


# --- tries count together with the sign-in page's ---------------------------------------------------------------------


@pytest.mark.security("S-30", "S-51")
@pytest.mark.parametrize("state", UserState)
async def test_wrong_passwords_count_together_at_both_doors_and_for_all_spellings(
    desk: Office, state: UserState
) -> None:
    user = await desk.person(state=state)
    here = {"client": {"ip": HERE}}
    async with desk.browser() as browser:
        for number in range(LIMIT // 2):
            assert (await sign_in(browser, user.username.upper(), f"wrong {number}")).status == 403
            begun = await browser.post_begin(username=user.username, password=f"guess {number}", **here)
            assert begun.status == 401
        refused = await sign_in(browser, user.username, "one more")
        assert (refused.status, refused.code) == (429, "too_many_requests")
        begun = await browser.post_begin(username=user.username, password=PASSWORD, **here)
        assert (begun.status, begun.code) == (429, "too_many_requests")
        assert (await browser.post_begin(username=user.username, password=PASSWORD)).status == 201, "elsewhere is open"


async def test_a_right_password_costs_no_tries(desk: Office) -> None:
    user = await desk.person(state=UserState.ENABLED)
    async with desk.browser() as browser:
        for _ in range(LIMIT + 2):
            assert told(await sign_in(browser, user.username, PASSWORD)) == "allowed"


@pytest.mark.security("S-29", "S-51")
async def test_a_mail_program_that_kept_the_ordinary_password_does_not_keep_its_owner_out_of_the_page(
    desk: Office,
) -> None:
    async with scene(desk) as alice:
        name = alice.user.username
        replies = [await sign_in(alice.browser, name, PASSWORD) for _ in range(3 * LIMIT)]
        assert {told(each) for each in replies[: LIMIT + 1]} == {"app_password_required"}
        assert 429 in {each.status for each in replies}, "it is answered only so often"
        assert (await alice.begin(client={"ip": HERE})).body["state"] == "pending"
        letters = await app_password(desk, alice.user)
        assert told(await sign_in(alice.browser, name, letters)) == "allowed"


@pytest.mark.security("S-52")
async def test_guessed_app_passwords_are_turned_away_after_ten_and_the_right_one_still_opens(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    letters = await app_password(desk, user)
    async with desk.browser() as browser:
        guesses = [chr(ord("a") + number) * 16 for number in range(LIMIT + 1)]
        statuses = [(await sign_in(browser, user.username, guess)).status for guess in guesses]
        assert statuses == [403] * LIMIT + [429]
        assert told(await sign_in(browser, user.username, letters)) == "allowed"


# --- who may ask, and for what ----------------------------------------------------------------------------------------


@pytest.mark.security("S-50")
@pytest.mark.parametrize("purpose", ["Use", "ADMINISTER", "", None, ["use"], "use,administer"])
async def test_any_other_purpose_is_ill_formed(desk: Office, purpose: object) -> None:
    async with desk.browser() as browser:
        refused = await sign_in(browser, "anybody", PASSWORD, purpose)
        assert (refused.status, refused.code) == (400, "invalid_request")
        assert [each["pointer"] for each in refused.body["errors"]] == ["/purpose"]


@pytest.mark.security("S-50")
async def test_an_absent_purpose_is_refused(desk: Office) -> None:
    async with desk.browser() as browser:
        body = {"username": "anybody", "password": PASSWORD}
        refused = await browser.request("POST", "/v1/client-sign-ins", headers=browser.identification, json=body)
        assert (refused.status, refused.code) == (400, "invalid_request")


@pytest.mark.security("S-50")
async def test_an_application_can_be_barred_from_a_purpose(desk: Office) -> None:
    user = await desk.person(state=UserState.DISABLED)
    app = await desk.application("Admin shell", clients=Clients.ADMINISTER)
    async with desk.browser(app) as shell:
        assert told(await sign_in(shell, user.username, PASSWORD, "use")) == "purpose_not_allowed"
        assert told(await sign_in(shell, user.username, PASSWORD, "administer")) == "allowed"


async def test_only_an_application_that_shows_who_it_is_may_ask(desk: Office) -> None:
    user = await desk.person(state=UserState.DISABLED)
    origin = "https://mail.example"
    public = await desk.application("Public", public=True, origins=(origin,))
    async with desk.browser(public, origin=origin) as page:
        for headers in (page.identification, {}, basic(public.client_id, ""), {"Authorization": "Bearer x"}):
            body = {"username": user.username, "password": PASSWORD, "purpose": "use"}
            refused = await page.request("POST", "/v1/client-sign-ins", headers=headers, json=body)
            assert (refused.status, refused.code) == (401, "invalid_client")


async def test_who_has_no_password_gets_in_by_an_app_password_alone(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED, password=None)
    letters = await app_password(desk, user)
    async with desk.browser() as browser:
        assert told(await sign_in(browser, user.username, letters, ip=None)) == "allowed"
        await desk.core.administrator.set_state(user.username, UserState.DISABLED)
        assert told(await sign_in(browser, user.username, "anything", ip=None)) == "invalid_credentials"


# --- an app password opens nothing else -------------------------------------------------------------------------------


@pytest.mark.security("S-50")
@pytest.mark.parametrize("state", [UserState.DISABLED, UserState.ENFORCED])
async def test_an_app_password_is_a_wrong_password_in_the_browser(desk: Office, state: UserState) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    letters = await app_password(desk, user)
    await desk.core.administrator.set_state(user.username, state)
    async with desk.browser() as browser, desk.browser(App("settings", None), origin=desk.service.url) as page:
        for asking in (browser, page):
            refused = await asking.post_begin(username=user.username, password=letters)
            assert (refused.status, refused.code) == (401, "invalid_credentials")


@asynccontextmanager
async def administrator(desk: Office) -> AsyncIterator[tuple[User, Browser]]:
    """An administrator who is registered, and somebody's HTTP client."""
    user = await desk.person(state=UserState.ENFORCED, admin=True)
    async with desk.browser() as browser:
        yield user, browser


@pytest.mark.security("S-50")
@pytest.mark.parametrize("path", ["/v1/admin", "/v1/admin/users", "/v1/admin/nowhere/at/all"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_administration_takes_no_name_and_password(desk: Office, path: str, method: str) -> None:
    async with administrator(desk) as (user, browser):
        letters = await app_password(desk, user)

        async def call(headers: dict[str, str]) -> Reply:
            return await browser.request(method, path, headers=headers)

        by_app_password = await call(basic(user.username, letters))
        assert (by_app_password.status, by_app_password.code) == (403, "app_password_not_for_administration")
        others = (
            basic(user.username, PASSWORD),
            basic(user.username, "not the password"),
            basic("nobody at all", PASSWORD),
            browser.identification,
            {"Authorization": "Basic %%%"},
        )
        replies = [await call(each) for each in others]
        assert {(each.status, each.code) for each in replies} == {(403, "two_step_sign_in_required")}
        assert all(each.body == replies[0].body for each in replies)
        for headers in ({}, {"Authorization": "Bearer bt_x.y"}, {"Authorization": "Digest x"}):
            refused = await call(headers)
            assert (refused.status, refused.code) == (401, "invalid_token")


@pytest.mark.security("S-50", "S-51")
async def test_guesses_at_the_door_of_administration_count_with_the_others(desk: Office) -> None:
    async with administrator(desk) as (user, browser):
        for number in range(LIMIT):
            assert (await browser.request("GET", "/v1/admin", headers=basic(user.username, f"{number}"))).status == 403
        refused = await browser.request("GET", "/v1/admin", headers=basic(user.username, "one more"))
        assert (refused.status, refused.code) == (429, "too_many_requests")
        begun = await browser.post_begin(username=user.username, password=PASSWORD, client={"ip": "127.0.0.1"})
        assert begun.status == 429


async def test_administration_opens_to_a_fresh_two_step_sign_in_of_an_administrator_begun_for_it(desk: Office) -> None:
    admin, other = await desk.person(admin=True), await desk.person()
    app = App("administration", None)
    async with (
        scene(desk, app=app, origin=desk.service.url, user=admin) as alice,
        scene(desk, app=app, origin=desk.service.url, user=other) as bob,
        in_settings(desk) as (carol, _),
    ):
        opened = await alice.browser.request("GET", "/v1/admin/nowhere", headers=(await alice.approved()).bearer)
        assert (opened.status, opened.code) == (404, "not_found")
        refused = await bob.browser.request("GET", "/v1/admin/nowhere", headers=(await bob.approved()).bearer)
        assert (refused.status, refused.code) == (403, "forbidden")
        pending = await carol.begin()
        for path in ("/v1/admin", "/v1/admin/nowhere"):
            refused = await carol.browser.request("GET", path, headers=pending.bearer)
            assert (refused.status, refused.code) == (403, "fresh_sign_in_required")
        refused = await carol.browser.request("GET", "/v1/admin", headers={"Authorization": "Bearer bt_x"})
        assert (refused.status, refused.code) == (401, "invalid_token")


@pytest.mark.security("S-51")
async def test_many_guesses_at_once_get_no_more_answers_than_one_after_another(desk: Office) -> None:
    user = await desk.person(state=UserState.DISABLED)
    async with desk.browser() as browser:
        guesses = (sign_in(browser, user.username, f"guess {number}") for number in range(3 * LIMIT))
        statuses = [each.status for each in await asyncio.gather(*guesses)]
        assert statuses.count(403) <= LIMIT
        assert set(statuses) <= {403, 429, 503}
