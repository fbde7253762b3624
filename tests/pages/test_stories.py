"""Whole stories: a real server, the hosted page in one tab, the stub phone in another, a person between them."""

from __future__ import annotations

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from playwright.async_api import BrowserContext, Page, Route, expect

from mobile_stub.world import World
from push_service.model.user import UserState
from tests.support.people import PASSWORD, Office

from .conftest import MakeDesk
from .tabs import ASKED, PROOF_UP, SIGNED_IN, Overheard, PhoneTab, person, receiver, sign_in_tab

COOKIE = "__Host-sign-in"


async def test_the_number_read_in_one_tab_is_typed_in_the_other_and_the_first_is_signed_in(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await person(context, desk, world)
    number = await alice.begin()
    await expect(alice.tab.page.get_by_text("The request is on Pixel.")).to_be_visible()
    await alice.phone.says("Are you trying to sign in?")
    await expect(alice.phone.page.locator(".facts")).to_contain_text(alice.user.username)
    await alice.phone.verify(number)
    await alice.tab.says(SIGNED_IN)
    await expect(alice.tab.page.get_by_text("You can close this page now.")).to_be_visible()


@pytest.mark.parametrize(
    ("pressed", "on_the_phone", "in_the_browser"),
    [
        ("Deny", "You denied this sign-in", "Sign-in denied"),
        ("This wasn't me", "Thank you for reporting this", "Reported as not you"),
    ],
)
async def test_who_says_no_on_the_phone_is_understood_in_the_browser(
    context: BrowserContext, desk: Office, world: World, pressed: str, on_the_phone: str, in_the_browser: str
) -> None:
    alice = await person(context, desk, world)
    await alice.begin()
    await alice.phone.press(pressed)
    await alice.phone.says(on_the_phone)
    await alice.phone.close()
    await alice.tab.says(in_the_browser)


async def test_a_wrong_number_ends_the_sign_in_and_the_next_one_has_another_chance(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await person(context, desk, world)
    number = await alice.begin()
    await alice.phone.type(f"{(int(number) + 1) % 100:02}")
    await alice.phone.press("Verify")
    await alice.phone.says("That wasn't the number in the browser")
    await alice.phone.close()
    await alice.tab.says("That was a different number")
    await alice.tab.press("Sign in again")
    await alice.tab.submit(alice.user)
    await alice.phone.verify(await alice.tab.number())
    await alice.tab.says(SIGNED_IN)


async def test_a_sign_in_that_nobody_answers_runs_out_in_both_tabs(
    context: BrowserContext, make_desk: MakeDesk, world: World
) -> None:
    alice = await person(context, await make_desk(POLICY__SIGN_IN_SECONDS="4"), world)
    await alice.tab.open()
    await alice.tab.submit(alice.user)
    await alice.tab.says("Time ran out")
    await alice.phone.says("This sign-in has expired")


async def test_cancelling_in_the_browser_takes_the_question_off_the_phone(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await person(context, desk, world)
    await alice.begin()
    await alice.phone.says("Are you trying to sign in?")
    await alice.tab.press("Cancel")
    await alice.tab.says("Sign-in cancelled")
    await alice.phone.says("This sign-in was withdrawn")
    await expect(alice.phone.page.get_by_text("It was cancelled in the browser.")).to_be_visible()


async def test_a_second_tab_takes_over_and_the_first_says_where_it_went_on(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await person(context, desk, world)
    await alice.begin()
    await alice.phone.says("Are you trying to sign in?")
    second = await sign_in_tab(context, desk)
    await second.open()
    await second.submit(alice.user)
    number = await second.number()
    await alice.tab.says("Continued elsewhere")
    await alice.phone.says("This sign-in was withdrawn")
    await alice.phone.press("Close")
    await alice.phone.verify(number)
    await second.says(SIGNED_IN)
    await alice.tab.page.reload()
    await expect(alice.tab.page.get_by_label("Username")).to_be_focused()


@pytest.mark.reliability("R-05")
async def test_a_begin_whose_answer_was_lost_is_repeated_and_asks_the_phone_once(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await person(context, desk, world)
    keys: list[str] = []

    async def lose_the_first_answer(route: Route) -> None:
        keys.append((await route.request.all_headers())["idempotency-key"])
        if len(keys) > 1:
            await route.continue_()
            return
        assert (await route.fetch()).status == 201
        await context.clear_cookies()
        await route.abort("connectionreset")

    await context.route("**/sign-in/begin", lose_the_first_answer)
    number = await alice.begin()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    (shown,) = world.shelf.view().phones
    assert len(shown.prompts) == 1
    await alice.phone.verify(number)
    await alice.tab.says(SIGNED_IN)


@pytest.mark.reliability("R-05", "R-07")
async def test_a_reloaded_tab_and_a_restarted_server_go_on_with_the_same_number(
    context: BrowserContext, make_desk: MakeDesk, world: World
) -> None:
    desk = await make_desk()
    alice = await person(context, desk, world)
    number = await alice.begin()
    await alice.tab.page.reload()
    assert await alice.tab.number() == number
    await desk.service.kill()
    notice = alice.tab.page.locator("#connection")
    await expect(notice).to_contain_text("This page keeps trying")
    assert await alice.tab.number() == number, "what is known stays readable"
    await desk.service.start()
    await expect(notice).to_be_empty()
    await alice.tab.page.reload()
    assert await alice.tab.number() == number
    await expect(alice.phone.page.get_by_text("Connected", exact=True)).to_be_visible()
    await alice.phone.verify(number)
    await alice.tab.says(SIGNED_IN)


async def test_a_first_sign_in_shows_the_code_and_goes_on_by_itself_once_the_phone_is_added(
    context: BrowserContext, desk: Office, world: World
) -> None:
    newcomer = await desk.person(state=UserState.ENABLED)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab, screen = await sign_in_tab(context, desk), await context.new_page()
    await tab.open()
    await tab.submit(newcomer)
    await tab.says(PROOF_UP)
    await tab.page.reload()
    await tab.says(PROOF_UP)
    picture = tab.page.get_by_role("img", name="QR code")
    assert await picture.evaluate("async image => { await image.decode(); return image.naturalWidth > 0 }")
    await tab.page.get_by_text("Can't scan it?").click()
    await tab.press("Copy as a link")
    await expect(tab.page.get_by_role("button", name="Copied")).to_be_visible()
    await screen.goto(world.url)
    await screen.get_by_label("Activation address").focus()
    await screen.keyboard.press("Control+V")
    await screen.get_by_role("button", name="Activate").click()
    number = await tab.number()
    await PhoneTab(screen).verify(number)
    await tab.says(SIGNED_IN)


async def test_a_link_to_register_adds_the_phone_and_the_sign_in_that_gave_it_goes_on(
    context: BrowserContext, page: Page, desk: Office, world: World
) -> None:
    newcomer = await desk.person(state=UserState.ENABLED)
    overheard = Overheard().listen_to(context)
    async with desk.browser() as application:
        sign_in = await application.begin(newcomer.username, PASSWORD)
        assert sign_in.body["state"] == "registration_required"
        registration = sign_in.body["registration"]
        await page.goto(f"{registration['url']}#token={registration['token']}")
        await expect(page.get_by_role("heading", level=1)).to_have_text(PROOF_UP)
        assert page.url == registration["url"], "the token has left the address bar"
        await page.get_by_text("Can't scan it?").click()
        code = await page.locator(".code").text_content()
        await world.shelf.activate(f"{desk.service.url}/activate#code={code}", "Pixel", "stub")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Go back to your sign-in")
        body = await sign_in.look()
        assert (body["state"], body["challenge"]["method"]) == ("pending", "app_notification")
    asked = [url for url in overheard.urls if registration["token"] in url.partition("#")[0]]
    assert asked == [], "a fragment is all that ever held it"


@pytest.mark.security("S-39", "S-40")
async def test_the_result_arrives_at_the_application_and_verifies_with_the_published_keys(
    context: BrowserContext, desk: Office, world: World
) -> None:
    async with receiver() as application, desk.service.session() as session:
        app = await desk.application(redirect_uris=(application.url,))
        alice = await person(context, desk, world)
        number = await alice.begin(
            application=app.client_id, redirect_uri=application.url, state="a state & <more>", nonce="n-1"
        )
        await alice.phone.verify(number)
        await alice.tab.page.wait_for_url(application.url)
        await expect(alice.tab.page.get_by_role("heading", name="Welcome")).to_be_visible()
        async with session.get("/.well-known/jwks.json") as response:
            keys = KeySet.import_key_set(await response.json())
    (post,), (request,) = application.posts, application.requests
    assert post.keys() == {"result", "state"}
    assert post["state"] == "a state & <more>"
    token = jwt.decode(post["result"], keys, algorithms=["ES256"])
    assert token.header["typ"] == "sign-in-result+jwt"
    claims = token.claims
    assert (claims["iss"], claims["aud"], claims["sub"]) == (desk.service.url, app.client_id, alice.user.id)
    assert (claims["nonce"], sorted(claims["amr"])) == ("n-1", ["mfa", "pwd", "swk"])
    assert request.query_string == ""
    assert "Cookie" not in request.headers
    assert "Referer" not in request.headers


async def test_an_account_with_a_password_only_is_signed_in_at_once(context: BrowserContext, desk: Office) -> None:
    user = await desk.person(state=UserState.DISABLED)
    tab = await sign_in_tab(context, desk)
    await tab.open()
    await tab.submit(user)
    await tab.says(SIGNED_IN)


async def test_a_blocked_account_is_told_so_after_the_right_password_only(
    context: BrowserContext, desk: Office
) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    await desk.core.administrator.block(user.username)
    tab = await sign_in_tab(context, desk)
    await tab.open()
    await tab.submit(user, "not the password")
    await expect(tab.page.get_by_role("alert")).to_contain_text("The username or password is not right.")
    await tab.submit(user)
    await tab.says("Your account is blocked")


async def test_where_a_tap_is_enough_no_number_is_shown_or_asked_for(
    context: BrowserContext, make_desk: MakeDesk, world: World
) -> None:
    alice = await person(context, await make_desk(POLICY__CONFIRM="tap"), world)
    await alice.tab.open()
    await alice.tab.submit(alice.user)
    await alice.tab.says(ASKED)
    await expect(alice.tab.page.locator("#step")).to_contain_text("press Verify")
    await expect(alice.tab.page.locator(".number")).to_have_count(0)
    await alice.phone.says("Are you trying to sign in?")
    await expect(alice.phone.page.get_by_label("Number in the browser")).to_be_hidden()
    await alice.phone.press("Verify")
    await alice.phone.says("You have successfully completed the sign in")
    await alice.tab.says(SIGNED_IN)


async def test_hands_on_the_keyboard_all_the_way(context: BrowserContext, desk: Office, world: World) -> None:
    alice = await person(context, desk, world)
    keys, phone_keys = alice.tab.page.keyboard, alice.phone.page.keyboard
    await alice.tab.open()
    await expect(alice.tab.page.get_by_label("Username")).to_be_focused()
    await keys.type(alice.user.username)
    await keys.press("Tab")
    await keys.type(PASSWORD)
    await keys.press("Enter")
    number = await alice.tab.number()
    await expect(alice.phone.page.get_by_label("Number in the browser")).to_be_focused()
    await phone_keys.type(number)
    await phone_keys.press("Enter")
    await alice.phone.says("You have successfully completed the sign in")
    await phone_keys.press("Tab")
    await phone_keys.press("Enter")
    await alice.phone.says("No sign-in is waiting")
    await alice.tab.says(SIGNED_IN)


@pytest.mark.security("S-39")
async def test_the_token_is_in_a_cookie_that_no_script_reads_and_nowhere_else(
    context: BrowserContext, desk: Office, world: World
) -> None:
    overheard = Overheard().listen_to(context)
    alice = await person(context, desk, world)
    number = await alice.begin()
    (cookie,) = [each for each in await context.cookies(desk.service.url) if each["name"] == COOKIE]
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Strict", "/")
    assert (cookie["domain"], cookie["expires"]) == ("localhost", -1), "this host alone, until the browser is closed"
    await alice.phone.verify(number)
    await alice.tab.says(SIGNED_IN)
    token, page = cookie["value"], alice.tab.page
    within_reach = await page.evaluate(
        "JSON.stringify([document.cookie, {...sessionStorage}, {...localStorage}, document.documentElement.outerHTML])"
    )
    assert token not in within_reach
    assert await page.evaluate("document.cookie") == ""
    assert await page.evaluate("[sessionStorage.length, localStorage.length]") == [1, 0]
    assert any(f"{desk.service.url}/v1/sign-ins/" in url for url in overheard.urls)
    assert not [url for url in overheard.urls if token in url or PASSWORD.partition(" ")[2] in url]


@pytest.mark.security("S-43")
async def test_the_policy_is_in_force_and_a_violation_would_not_go_unnoticed(
    context: BrowserContext, desk: Office, complaints: list[str]
) -> None:
    tab = await sign_in_tab(context, desk)
    await tab.open()
    await tab.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken over'";
            document.body.append(script);
        }"""
    )
    await expect(tab.page).to_have_title("Sign in to Additional security verification")
    assert [each for each in complaints if "Content Security Policy" in each]
    complaints.clear()
