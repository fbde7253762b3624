"""Who may begin, and what a right password leads to: account states, vouching, and what an application may say."""

from __future__ import annotations

from typing import Any

import pytest

from push_service.model.user import UserState
from tests.scenarios.cast import scene, soon
from tests.support.browser import App
from tests.support.people import PASSWORD, Office


async def test_a_disabled_account_is_signed_in_by_its_password_at_once(desk: Office) -> None:
    user = await desk.person(state=UserState.DISABLED)
    async with desk.browser() as browser:
        sign_in = await browser.begin(user.username, PASSWORD)
        assert (sign_in.body["state"], sign_in.body["challenge"], sign_in.body["methods"]) == ("approved", None, [])
        assert sign_in.body["result"]


async def test_a_blocked_person_is_told_so_after_the_right_password_only(desk: Office) -> None:
    async with scene(desk) as alice:
        pending, _ = await alice.asked()
        await desk.core.administrator.block(alice.user.username)
        ended = await soon(pending.outcome())
        assert (ended["state"], ended["reason"]) == ("failed", "user_blocked")
        refused = await alice.begin()
        assert (refused.body["state"], refused.body["reason"]) == ("failed", "user_blocked")
        assert "result" not in refused.body
        wrong = await alice.browser.post_begin(username=alice.user.username, password="not the password")
        assert (wrong.status, wrong.code) == (401, "invalid_credentials")
        await desk.core.administrator.unblock(alice.user.username)
        assert (await alice.begin()).body["state"] == "pending"


async def test_blocking_takes_back_a_result_that_was_not_fetched_yet(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.approved()
        await desk.core.administrator.block(alice.user.username)
        assert (await sign_in.look())["result"] is None


async def test_wrong_and_unknown_are_one_answer(desk: Office) -> None:
    user = await desk.person()
    async with desk.browser() as browser:
        bodies = [
            (await browser.post_begin(username=name, password=password))
            for name, password in (
                (user.username, "not the password"),
                ("nobody at all", PASSWORD),
                (user.username, ""),
                ("\u202eevil", PASSWORD),
            )
        ]
        assert {each.status for each in bodies} == {401}
        assert all(each.body == bodies[0].body for each in bodies)
        assert bodies[0].code == "invalid_credentials"


async def test_names_are_compared_without_regard_to_case_and_form(desk: Office) -> None:
    async with scene(desk, user=await desk.person("Zo\u00eb Stra\u00dfe")) as zoe:
        sign_in = await zoe.browser.begin("zoe\u0308 STRASSE", PASSWORD)
        assert sign_in.body["state"] == "pending"


async def test_an_application_that_vouches_gets_no_lone_second_factor_of_who_has_none(desk: Office) -> None:
    disabled, unregistered = await desk.person(state=UserState.DISABLED), await desk.person()
    async with desk.browser() as browser:
        refused = await browser.post_begin(username=disabled.username)
        assert (refused.status, refused.code) == (409, "verification_not_enabled")
        refused = await browser.post_begin(username=unregistered.username)
        assert (refused.status, refused.code) == (409, "registration_needs_password")
        unknown = await browser.post_begin(username="nobody at all")
        assert (unknown.status, unknown.code) == (401, "invalid_credentials")


async def test_who_has_no_password_can_be_vouched_for_only(desk: Office) -> None:
    async with scene(desk, user=await desk.person(password=None)) as alice:
        refused = await alice.browser.post_begin(username=alice.user.username, password="anything at all")
        assert (refused.status, refused.code) == (401, "invalid_credentials")
        assert (await alice.approved(password=None)).body["state"] == "approved"


async def test_an_application_that_may_not_vouch_must_send_the_password(desk: Office) -> None:
    app = await desk.application("Plain", may_vouch=False)
    async with scene(desk, app=app) as alice:
        refused = await alice.browser.post_begin(username=alice.user.username)
        assert (refused.status, refused.code) == (400, "invalid_request")
        assert (await alice.begin()).body["state"] == "pending"


async def test_an_application_shows_who_it_is_or_is_refused(desk: Office) -> None:
    async with scene(desk) as alice:
        real = alice.browser.app
        for app in (App(real.client_id, "wrong"), App("app_unknown", real.client_secret)):
            async with desk.browser(app) as stranger:
                refused = await stranger.post_begin(username=alice.user.username, password=PASSWORD)
                assert (refused.status, refused.code) == (401, "invalid_client")
        async with desk.browser(App(real.client_id, None)) as without_secret:
            refused = await without_secret.post_begin(username=alice.user.username, password=PASSWORD)
            assert (refused.status, refused.code) == (401, "invalid_client")
        named = await alice.browser.post_begin(
            application=real.client_id, username=alice.user.username, password=PASSWORD
        )
        assert named.status == 201


async def test_a_public_application_is_known_by_the_origin_of_its_page_and_describes_no_browser(desk: Office) -> None:
    origin = "https://mail.example"
    app = await desk.application("Public mail", public=True, origins=(origin,))
    async with scene(desk, app=app, origin=origin) as alice:
        agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
        begun = await alice.browser.post_begin(agent, username=alice.user.username, password=PASSWORD)
        assert begun.status == 201
        assert begun.headers["Access-Control-Allow-Origin"] == origin
        asked = await soon(alice.phone.next_challenge())
        assert (asked.application, asked.ip, asked.browser) == ("Public mail", "127.0.0.1", "Firefox on Linux")
        described = await alice.browser.post_begin(
            username=alice.user.username, password=PASSWORD, client={"ip": "203.0.113.7"}
        )
        assert (described.status, described.code) == (400, "invalid_request")
        async with desk.browser(app, origin="https://evil.example") as stranger:
            assert (await stranger.post_begin(username=alice.user.username, password=PASSWORD)).status in {401, 403}


async def test_the_prompt_shows_the_browser_that_an_authenticated_application_describes_or_no_place(
    desk: Office,
) -> None:
    async with scene(desk) as alice:
        agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36"
        await alice.begin(None, client={"ip": "2001:DB8::0:7", "user_agent": agent})
        asked = await soon(alice.phone.next_challenge())
        assert (asked.username, asked.ip, asked.location) == (alice.user.username, "2001:db8::7", None)
        assert asked.browser == "Chrome on Windows"
        await alice.begin(None)
        asked = await soon(alice.phone.next_challenge())
        assert (asked.ip, asked.browser) == (None, None)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"password": PASSWORD}, "/username"),
        ({"username": 7}, "/username"),
        ({"username": "x", "surprise": 1}, "/surprise"),
        ({"username": "x", "client": {"ip": "not an address"}}, "/client/ip"),
        ({"username": "x", "client": {"mac": "00:00"}}, "/client/mac"),
    ],
)
async def test_a_body_of_another_shape_is_refused_with_a_pointer(
    desk: Office, body: dict[str, Any], pointer: str
) -> None:
    async with desk.browser() as browser:
        refused = await browser.post_begin(**body)
        assert (refused.status, refused.code) == (400, "invalid_request")
        assert pointer in [each["pointer"] for each in refused.body["errors"]]


async def test_every_answer_has_a_request_id_and_a_refusal_is_a_problem_document(desk: Office) -> None:
    async with desk.browser() as browser:
        refused = await browser.post_begin(username="nobody", password=PASSWORD)
        assert refused.headers["Content-Type"].startswith("application/problem+json")
        assert {"type", "title", "status", "code"} <= refused.body.keys()
        fine = await browser.request("GET", "/.well-known/jwks.json")
        ids = {each.headers["X-Request-Id"] for each in (refused, fine)}
        assert len(ids) == 2
