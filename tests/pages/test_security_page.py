"""Additional security verification: what one has, what is asked first, removing, and how the page is let in."""

import re

import pytest
from playwright.async_api import Page, expect

from .answers import Answer, problem
from .scripted import ORIGIN, Interface
from .scripted_account import MASKED, browser
from .visits import expect_step

TITLE = "Additional security verification"
PAGE = f"{ORIGIN}/security"


async def test_every_way_is_listed_with_its_masked_target_and_which_is_asked_first(
    page: Page, interface: Interface
) -> None:
    await page.goto(PAGE)
    await expect_step(page, TITLE)
    await expect(page.locator("#step .lead")).to_have_text("You are signed in as alice.")
    rows = page.locator(".row")
    await expect(rows).to_have_count(4)
    await expect(rows.first).to_contain_text("Asked first")
    await expect(rows.nth(2)).to_contain_text(MASKED.replace(" ", "\u00a0"))
    await expect(page.get_by_text("Asked first")).to_have_count(1)
    assert all("authorization" not in request.headers for request in interface.asked), "the cookie alone"


async def test_another_way_is_asked_first_from_now_on(page: Page, interface: Interface) -> None:
    await page.goto(PAGE)
    await page.get_by_role("button", name=f"Ask this first: Text code to my mobile phone, {MASKED}").click()
    said = f"Text code to my mobile phone, {MASKED} is asked first from now on."
    await expect(page.locator(".notice-good")).to_have_text(said)
    await expect(page.locator("#live")).to_have_text(said)
    await expect_step(page, TITLE)
    await expect(page.locator(".row").nth(2)).to_contain_text("Asked first")
    (put,) = interface.requests("PUT", "/v1/me/primary-method")
    assert put.body == {"method_id": "mth_text_mobile"}
    assert put.headers["content-type"] == "application/json"


async def test_removing_asks_first_and_keeping_changes_nothing(page: Page, interface: Interface) -> None:
    await page.goto(PAGE)
    await page.get_by_role("button", name="Remove: Notification from my app").click()
    await expect_step(page, "Remove this way to verify?")
    await expect(page.locator("#step .lead")).to_contain_text("neither its notifications nor its codes")
    await page.get_by_role("button", name="Keep it").click()
    await expect_step(page, TITLE)
    assert [request for request in interface.asked if request.method == "DELETE"] == []


async def test_a_removed_way_is_gone_and_it_is_said(page: Page, interface: Interface) -> None:
    await page.goto(PAGE)
    await page.get_by_role("button", name="Remove: Code from my app").click()
    await page.get_by_role("button", name="Remove it").click()
    await expect_step(page, TITLE)
    await expect(page.locator(".notice-good")).to_contain_text("Code from my app, Alice's phone was removed.")
    await expect(page.locator(".row")).to_have_count(3)
    assert len(interface.requests("DELETE", "/v1/me/methods/mth_app_code")) == 1


async def test_the_last_way_stays_and_the_page_says_what_to_do(page: Page, interface: Interface) -> None:
    interface.next("DELETE", "/v1/me/methods/mth_app_code", problem(409, "last_method"))
    await page.goto(PAGE)
    await page.get_by_role("button", name="Remove: Code from my app").click()
    await page.get_by_role("button", name="Remove it").click()
    await expect(page.locator(".notice-bad")).to_contain_text("Add another first, then remove this.")
    await expect(page.locator(".row")).to_have_count(4)


async def test_whoever_is_not_signed_in_is_led_to_the_sign_in_page_and_back(page: Page, interface: Interface) -> None:
    interface.next("GET", "/v1/me", problem(401, "invalid_token"))
    await page.goto(PAGE)
    await page.wait_for_url(f"{ORIGIN}/sign-in?then=security")
    await expect(page.get_by_label("Username")).to_be_visible()


@pytest.mark.parametrize("path", ["/security", "/app-passwords"])
async def test_a_sign_in_that_does_not_do_is_explained_before_the_next(
    page: Page, interface: Interface, path: str
) -> None:
    refusal = problem(403, "fresh_sign_in_required")
    interface.next("GET", "/v1/me" if path == "/security" else "/v1/me/app-passwords", refusal)
    await page.goto(ORIGIN + path)
    await expect_step(page, "Sign in once more")
    await expect(page.get_by_text("If your account takes a password only")).to_be_visible()
    await page.get_by_role("link", name="Sign in").click()
    await page.wait_for_url(f"{ORIGIN}/sign-in?then={path.strip('/')}")


async def test_a_change_that_comes_too_long_after_the_sign_in_asks_for_another(
    page: Page, interface: Interface
) -> None:
    interface.next("PUT", "/v1/me/primary-method", problem(403, "fresh_sign_in_required"))
    await page.goto(PAGE)
    await page.get_by_role("button", name="Ask this first: Code from my app").click()
    await expect_step(page, "Sign in once more")


async def test_a_sign_in_that_the_settings_asked_for_goes_back_there_once(page: Page, interface: Interface) -> None:
    interface.variables |= {"opens": "/security", "at_once": "yes"}
    interface.next("GET", "/v1/sign-ins/si_1", Answer(interface.sign_in | {"state": "approved", "version": 2}))
    await page.goto(f"{ORIGIN}/sign-in?then=security")
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password").fill("correct horse")
    await page.keyboard.press("Enter")
    await page.wait_for_url(PAGE)
    await expect_step(page, TITLE)
    assert await page.evaluate("sessionStorage.length") == 0, "the next sign-in begins afresh"


async def test_a_finished_sign_in_for_the_settings_shows_the_way_there(page: Page, interface: Interface) -> None:
    interface.variables["opens"] = "/security"
    interface.sign_in |= {"state": "approved"}
    await page.goto(f"{ORIGIN}/sign-in")
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password").fill("correct horse")
    await page.keyboard.press("Enter")
    await expect_step(page, "You are signed in")
    await page.get_by_role("link", name="Security settings").click()
    await expect_step(page, TITLE)


@pytest.mark.security("S-43")
async def test_names_in_the_settings_are_text_whatever_they_contain(page: Page, interface: Interface) -> None:
    evil = '<img src=x onerror="document.title=1"><script>alert(1)</script>\u202e'
    for method in interface.account.methods:
        method["target"] = method["label"] = evil
    await page.goto(PAGE)
    await expect(page.locator(".row").first).to_contain_text(evil)
    await expect(page.locator("#step img, #step script")).to_have_count(0)
    await page.get_by_role("button", name=re.compile("^Remove: ")).first.click()
    await expect(page.locator("#step strong bdi")).to_have_text(evil)


@pytest.mark.reliability("R-05")
async def test_a_change_over_a_broken_connection_says_so_and_shows_how_things_are(
    page: Page, interface: Interface
) -> None:
    interface.next("DELETE", "/v1/me/methods/mth_app_code", None)
    await page.goto(PAGE)
    await page.get_by_role("button", name="Remove: Code from my app").click()
    await page.get_by_role("button", name="Remove it").click()
    await expect(page.locator(".notice-bad")).to_have_text("No connection to the service. Please try again.")
    await expect(page.locator(".row")).to_have_count(4)


async def test_remembered_browsers_are_listed_and_all_forgotten_at_once(page: Page, interface: Interface) -> None:
    interface.account.browsers = [browser(), browser("Safari on Mac OS X")]
    await page.goto(PAGE)
    await expect(page.get_by_text("Firefox on Windows")).to_be_visible()
    await page.get_by_role("button", name="Ask in every browser again").click()
    await expect_step(page, "Ask in every browser again?")
    await page.get_by_role("button", name="Ask again").click()
    await expect_step(page, TITLE)
    await expect(page.locator(".notice-good")).to_have_text("You will be asked in every browser again.")
    await expect(page.get_by_text("Browsers that are remembered")).to_have_count(0)


async def test_only_what_the_service_offers_can_be_added(page: Page, interface: Interface) -> None:
    interface.variables["ways"] = "app authenticator"
    await page.goto(PAGE)
    await expect(page.get_by_role("button", name="Another authenticator app")).to_be_visible()
    await expect(page.get_by_role("button", name=re.compile("^My (mobile|office) phone"))).to_have_count(0)
