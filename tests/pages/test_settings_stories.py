"""Whole stories of one's own settings: a real server, its pages in a tab, the stub's phones, an app of another make."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.async_api import BrowserContext, Page, expect

from mobile_stub.totp import TotpSettings, totp
from mobile_stub.world import World
from push_service.model.instant import MICROSECONDS
from push_service.model.user import User, UserState
from tests.support.clients import sign_in
from tests.support.people import PASSWORD, Office

from .tabs import PROOF_UP, SIGNED_IN, Person, SignInTab, person, sign_in_tab
from .visits import add, expect_step

SETTINGS = "Additional security verification"


async def in_settings(context: BrowserContext, desk: Office, world: World) -> Person:
    """Somebody with a phone, who has come to their settings by way of the sign-in page."""
    alice = await person(context, desk, world)
    await enter(alice, "/security")
    await alice.tab.says(SETTINGS)
    return alice


async def enter(alice: Person, path: str) -> None:
    """Open a page of the settings without being signed in, and sign in on the way."""
    await alice.tab.page.goto(alice.tab.url + path)
    await alice.tab.submit(alice.user)
    await alice.phone.verify(await alice.tab.number())
    await alice.tab.page.wait_for_url(alice.tab.url + path)
    await alice.tab.page.bring_to_front()


class Authenticator:
    """An authenticator app of any make, which knows the time of the server."""

    def __init__(self, desk: Office, secret: str) -> None:
        """Take the secret as a person types it."""
        self._desk, self._settings = desk, TotpSettings(secret.replace(" ", ""))

    async def code(self, ahead: timedelta = timedelta(0)) -> str:
        """The code that it shows now, or in a while: what was used once is not taken again."""
        now = await self._desk.core.store.now() / MICROSECONDS
        return totp(self._settings, now + ahead.total_seconds())


async def authenticator_scanned(page: Page, desk: Office) -> Authenticator:
    """Choose to add an authenticator app, and copy its secret by hand."""
    await add(page, "Another authenticator app")
    await page.get_by_text("Can't scan it?").click()
    return Authenticator(desk, await page.locator(".code").inner_text())


async def type_code(page: Page, label: str, code: str) -> None:
    """Type a code where it is asked for."""
    await page.get_by_label(label, exact=True).fill(code)
    await page.keyboard.press("Enter")


async def newcomer_at_proof_up(context: BrowserContext, desk: Office) -> tuple[User, SignInTab]:
    """Somebody with nothing registered, who has given the right password."""
    user = await desk.person(state=UserState.ENABLED)
    tab = await sign_in_tab(context, desk)
    await tab.open()
    await tab.submit(user)
    await tab.says(PROOF_UP)
    return user, tab


async def test_a_first_sign_in_is_set_up_with_an_authenticator_app_and_goes_on(
    context: BrowserContext, desk: Office
) -> None:
    _, tab = await newcomer_at_proof_up(context, desk)
    await tab.page.get_by_text("No app? Set up another way").click()
    app = await authenticator_scanned(tab.page, desk)
    await type_code(tab.page, "Code from the app", await app.code())
    await expect(tab.page.get_by_label("Code", exact=True)).to_be_focused()
    await type_code(tab.page, "Code", await app.code(timedelta(seconds=30)))
    await tab.says(SIGNED_IN)


async def test_what_is_registered_is_seen_after_a_sign_in_that_leads_back(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await in_settings(context, desk, world)
    await expect(alice.tab.page.locator("#step .lead")).to_contain_text(alice.user.username)
    await expect(alice.tab.page.locator(".row").first).to_contain_text("Notification from my app")
    await expect(alice.tab.page.locator(".row").first).to_contain_text("Asked first")


async def test_an_authenticator_app_is_added_asked_first_used_and_removed(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await in_settings(context, desk, world)
    page = alice.tab.page
    app = await authenticator_scanned(page, desk)
    await type_code(page, "Code from the app", await app.code())
    await alice.tab.says(SETTINGS)
    added = page.get_by_role("button", name=re.compile("^Ask this first: Code from my app")).last
    await added.click()
    await expect(page.locator(".notice-good")).to_contain_text("is asked first from now on.")

    await alice.tab.open()
    await alice.tab.submit(alice.user)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Type the code from your app")
    await type_code(page, "Code", await app.code(timedelta(seconds=30)))
    await alice.tab.says(SIGNED_IN)

    await page.get_by_role("link", name="Security settings").click()
    await alice.tab.says(SETTINGS)
    rows = await page.locator(".row").count()
    await page.get_by_role("button", name=re.compile("^Remove: Code from my app")).last.click()
    await page.get_by_role("button", name="Remove it").click()
    await expect(page.locator(".notice-good")).to_contain_text("was removed.")
    await expect(page.locator(".row")).to_have_count(rows - 1)


async def test_a_wrong_code_of_a_new_app_is_counted_and_the_right_one_still_adds_it(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await in_settings(context, desk, world)
    app = await authenticator_scanned(alice.tab.page, desk)
    right = await app.code()
    near = {await app.code(timedelta(seconds=30 * away)) for away in range(-3, 4)}
    wrong = next(code for code in map("{:06}".format, range(20)) if code not in near)
    await type_code(alice.tab.page, "Code from the app", wrong)
    await expect(alice.tab.page.get_by_role("alert")).to_contain_text("You have 9 more tries.")
    await type_code(alice.tab.page, "Code from the app", right)
    await alice.tab.says(SETTINGS)


async def test_a_second_phone_is_added_and_the_page_sees_that_by_itself(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await in_settings(context, desk, world)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await add(alice.tab.page, "The app on my phone")
    await alice.tab.page.get_by_text("Can't scan it?").click()
    await alice.tab.press("Copy as a link")
    link = await alice.tab.page.evaluate("navigator.clipboard.readText()")
    await world.shelf.activate(link, "Tablet", "stub")
    await alice.tab.says(SETTINGS)
    await expect(alice.tab.page.locator(".notice-good")).to_contain_text("That was added.")
    await expect(alice.tab.page.locator(".row", has_text="Tablet").first).to_be_visible()


async def test_the_last_way_to_verify_is_not_removed(context: BrowserContext, desk: Office, world: World) -> None:
    alice = await in_settings(context, desk, world)
    await alice.tab.page.get_by_role("button", name=re.compile("^Remove: Notification from my app")).click()
    await alice.tab.press("Remove it")
    await expect(alice.tab.page.locator(".notice-bad")).to_contain_text("This is the last way to verify")
    await expect(alice.tab.page.locator(".row").first).to_be_visible()


async def test_an_app_password_opens_the_door_of_a_client_until_it_is_deleted(
    context: BrowserContext, desk: Office, world: World
) -> None:
    alice = await person(context, desk, world)
    page = alice.tab.page
    await enter(alice, "/app-passwords")
    await page.get_by_label("Name").fill("Mail on my laptop")
    await page.get_by_role("button", name="Create").click()
    await alice.tab.says("Your new app password")
    shown = await page.locator(".code").inner_text()
    assert re.fullmatch("[a-z]{4}( [a-z]{4}){3}", shown)
    await alice.tab.press("Done")
    await expect(page.locator(".row")).to_contain_text("Mail on my laptop")

    async with desk.browser() as mail:
        assert (await sign_in(mail, alice.user.username, shown)).status == 200
    await page.get_by_role("button", name="Delete: Mail on my laptop").click()
    await alice.tab.press("Delete it")
    await expect(page.locator(".notice-good")).to_have_text("Mail on my laptop was deleted.")
    async with desk.browser() as mail:
        assert (await sign_in(mail, alice.user.username, shown)).status == 403


async def test_an_account_with_a_password_only_reads_why_it_has_no_settings(
    context: BrowserContext, desk: Office
) -> None:
    user = await desk.person(state=UserState.DISABLED)
    tab = await sign_in_tab(context, desk)
    await tab.page.goto(f"{tab.url}/security")
    await tab.submit(user)
    await expect_step(tab.page, "Sign in once more")
    await expect(tab.page.get_by_text("If your account takes a password only")).to_be_visible()


@pytest.mark.security("S-58")
async def test_a_sign_in_for_another_application_does_not_open_the_settings(
    context: BrowserContext, desk: Office, world: World
) -> None:
    app = await desk.application(redirect_uris=("http://127.0.0.1:9/signed-in",))
    alice = await person(context, desk, world)
    number = await alice.begin(application=app.client_id)
    await alice.phone.verify(number)
    await alice.tab.says(SIGNED_IN)
    await alice.tab.page.goto(f"{alice.tab.url}/security")
    await alice.tab.says("Sign in once more")
    assert PASSWORD not in await alice.tab.page.content()
