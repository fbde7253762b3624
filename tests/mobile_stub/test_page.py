"""The phone in a browser tab, as people meet it: in a real Chromium, at the width of a phone and of a desk."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, ViewportSize, expect

from mobile_stub.backoff import Backoff
from mobile_stub.surroundings import Setup
from mobile_stub.world import World, world
from tests.mobile_stub.fake_service import FakeService, fake_service
from tests.support.chromium import chromium

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the loop that the browser belongs to

QUICK = Setup(backoff=lambda: Backoff(base=0.01, cap=0.05, restart_spread=0.01))
PHONE, DESK = ViewportSize(width=390, height=844), ViewportSize(width=1280, height=800)

expect.set_options(timeout=15_000)


@dataclass
class Tab:
    """A browser tab on a world with one activated phone."""

    page: Page
    service: FakeService
    world: World
    phone: str

    async def open(self) -> None:
        await self.page.goto(self.world.page_of(self.phone))
        await expect(self.page.get_by_text("No sign-in is waiting")).to_be_visible()

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name).click()

    async def reads(self, heading: str) -> None:
        await expect(self.page.get_by_role("heading", name=heading)).to_be_visible()

    async def close(self) -> None:
        await self.press("Close")
        await self.reads("No sign-in is waiting")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    faults: list[str] = []
    async with (
        fake_service() as service,
        world(setup=QUICK) as running,
        await browser.new_context(viewport=PHONE) as context,
    ):
        page = await context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        held = await running.shelf.activate(service.activation_uri(), "Alice's phone", "stub")
        yield Tab(page, service, running, held.phone.device_id)
    assert [fault for fault in faults if "Failed to load resource" not in fault] == []


async def test_a_person_reads_the_prompt_types_the_number_verifies_and_closes(tab: Tab) -> None:
    await tab.open()
    await tab.service.ask("42")
    await tab.reads("Are you trying to sign in?")
    for fact in ("Contoso Mail", "Utrecht, Netherlands · 198.51.100.7", "Firefox on Linux", "Expires in"):
        await expect(tab.page.get_by_text(fact)).to_be_visible()
    field = tab.page.get_by_label("Number in the browser (2 digits)")
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("inputmode", "numeric")
    await tab.page.keyboard.type("42")
    await tab.page.keyboard.press("Enter")
    await tab.reads("You have successfully completed the sign in")
    await expect(tab.page.get_by_role("heading", name="You have successfully")).to_be_focused()
    await tab.close()


async def test_the_app_is_closed_on_the_page_and_a_push_message_opens_it(tab: Tab) -> None:
    await tab.open()
    await tab.page.get_by_text("About this phone").click()
    await tab.press("Close the app: only a push message wakes it")
    await expect(tab.page.get_by_text("Asleep")).to_be_visible()
    await tab.service.ask("42")
    await expect(tab.page.get_by_text("No sign-in is waiting")).to_be_visible()
    held = tab.world.shelf.phone(tab.phone)
    await held.woken({"v": "1", "wake": "opaque"})
    await tab.reads("Are you trying to sign in?")
    await expect(tab.page.get_by_text("Connected")).to_be_visible()


async def test_too_few_digits_are_pointed_out_before_anything_is_sent(tab: Tab) -> None:
    await tab.open()
    await tab.service.ask("421")
    await tab.page.get_by_label("Number").fill("4")
    await tab.press("Verify")
    await expect(tab.page.get_by_role("alert")).to_have_text("Type the 3 digits from the browser.")
    assert tab.service.happenings.all("answer") == []


async def test_denied_reported_wrong_and_withdrawn_are_each_said_plainly(tab: Tab) -> None:
    await tab.open()
    await tab.service.ask()
    await tab.press("Deny")
    await tab.reads("You denied this sign-in")
    await tab.close()
    await tab.service.ask()
    await tab.press("This wasn't me")
    await tab.reads("Thank you for reporting this")
    await tab.close()
    await tab.service.ask("42")
    await tab.page.get_by_label("Number").fill("43")
    await tab.press("Verify")
    await tab.reads("That wasn't the number in the browser")
    await tab.close()
    for reason, sentence in (
        ("answered_elsewhere", "It was answered on another phone."),
        ("other_method", "Another way to verify was chosen in the browser."),
        ("cancelled", "It was cancelled in the browser."),
        ("replaced", "A newer sign-in from the same browser took its place."),
    ):
        asked = await tab.service.ask()
        await tab.reads("Are you trying to sign in?")
        await tab.service.withdraw(asked, reason)
        await tab.reads("This sign-in was withdrawn")
        await expect(tab.page.get_by_text(sentence)).to_be_visible()
        await tab.close()


async def test_an_unanswered_prompt_expires_on_the_screen(tab: Tab) -> None:
    await tab.open()
    await tab.service.ask(seconds=1.0)
    await tab.reads("This sign-in has expired")
    await tab.close()


async def test_a_tap_prompt_has_no_field(tab: Tab) -> None:
    await tab.open()
    await tab.service.ask(None)
    await tab.reads("Are you trying to sign in?")
    await expect(tab.page.get_by_role("textbox")).to_have_count(0)
    await tab.press("Verify")
    await tab.reads("You have successfully completed the sign in")


async def test_a_second_prompt_waits_its_turn_and_does_not_disturb_typing(tab: Tab) -> None:
    await tab.open()
    await tab.service.ask("421")
    await tab.page.get_by_label("Number").fill("42")
    await tab.service.ask("17", application="Fabrikam")
    await expect(tab.page.get_by_text("One more is waiting after this")).to_be_visible()
    await expect(tab.page.get_by_label("Number")).to_have_value("42")
    await tab.page.get_by_label("Number").fill("421")
    await tab.press("Verify")
    await tab.press("Close")
    await expect(tab.page.get_by_text("Fabrikam")).to_be_visible()


async def test_what_is_not_known_about_the_asking_browser_is_left_out(tab: Tab) -> None:
    await tab.open()
    await tab.service.ask(ip=None, location=None, browser=None)
    await tab.reads("Are you trying to sign in?")
    assert await tab.page.get_by_role("term").all_text_contents() == ["Account", "Time"]


@pytest.mark.security("S-43")
async def test_script_and_hidden_characters_in_a_prompt_are_shown_and_do_nothing(tab: Tab) -> None:
    await tab.open()
    hostile = "<img src=x onerror=\"document.title='owned'\">"
    await tab.service.ask(application=hostile, browser="safe\u202eexe.fdp")
    await expect(tab.page.get_by_text(hostile)).to_be_visible()
    await expect(tab.page.get_by_text("safe\ufffdexe.fdp")).to_be_visible()
    assert await tab.page.title() == "(1) Alice's phone"


async def test_a_phone_is_activated_by_pasting_its_address_and_removed_again(tab: Tab) -> None:
    await tab.page.goto(tab.world.url)
    await expect(tab.page.get_by_role("link", name="Alice's phone")).to_be_visible()
    await tab.page.get_by_label("Activation address").fill("not an address")
    await tab.press("Activate")
    await expect(tab.page.get_by_role("alert")).to_contain_text("an activation address looks like")
    await tab.page.get_by_label("Activation address").fill(tab.service.activation_uri())
    await tab.page.get_by_label("Name of the phone").fill("Second phone")
    await tab.press("Activate")
    await tab.reads("Second phone")
    await tab.page.get_by_text("About this phone").click()
    await tab.press("Remove this phone from the account")
    await tab.reads("Stub phones")
    await expect(tab.page.get_by_role("link", name="Second phone")).to_have_count(0)
    assert list(tab.service.devices) == [tab.phone]


async def test_a_phone_has_an_address_of_its_own_and_unknown_ones_say_so(tab: Tab) -> None:
    await tab.page.goto(f"{tab.world.url}/phones/{tab.phone}")
    await tab.reads("Alice's phone")
    await tab.page.get_by_role("link", name="All phones").click()
    await tab.reads("Stub phones")
    await tab.page.goto(f"{tab.world.url}/#dev_unknown")
    await tab.reads("No such phone")


async def test_the_list_says_which_phone_is_being_asked(tab: Tab) -> None:
    await tab.page.goto(tab.world.url)
    await tab.service.ask()
    await tab.page.get_by_role("link", name=re.compile("1 waiting")).click()
    await tab.reads("Are you trying to sign in?")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_every_screen_passes_the_accessibility_rules_and_fits_its_width(
    tab: Tab, scheme: str, size: ViewportSize
) -> None:
    await tab.page.set_viewport_size(size)
    await tab.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

    async def check(screen: str) -> None:
        results = await Axe().run(tab.page)
        assert results.violations_count == 0, f"{screen}: {results.generate_report()}"
        overflow = await tab.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"{screen} scrolls sideways"

    await tab.page.goto(tab.world.url)
    await expect(tab.page.get_by_role("link", name="Alice's phone")).to_be_visible()
    await check("list")
    await tab.open()
    await check("quiet")
    await tab.service.ask("42")
    await tab.reads("Are you trying to sign in?")
    await tab.press("Verify")
    await check("prompt")
    await tab.page.get_by_label("Number").fill("42")
    await tab.press("Verify")
    await tab.reads("You have successfully completed the sign in")
    await check("completed")
    await tab.close()
    await tab.service.ask()
    await tab.press("Deny")
    await tab.reads("You denied this sign-in")
    await check("denied")
