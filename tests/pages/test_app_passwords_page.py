"""App passwords: the list, making one that is shown once, and deleting one."""

import pytest
from playwright.async_api import BrowserContext, Page, expect

from .answers import problem
from .scripted import ORIGIN, Interface
from .scripted_account import APP_PASSWORD, app_password
from .visits import expect_step

PAGE = f"{ORIGIN}/app-passwords"
PATH = "/v1/me/app-passwords"


async def test_a_new_one_is_shown_once_in_groups_of_four_and_copied(
    page: Page, context: BrowserContext, interface: Interface
) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=ORIGIN)
    await page.goto(PAGE)
    await expect_step(page, "App passwords")
    await expect(page.get_by_text("You have no app passwords.")).to_be_visible()
    await page.get_by_label("Name").fill(" Mail on my laptop ")
    await page.get_by_role("button", name="Create").click()
    await expect_step(page, "Your new app password")
    await expect(page.locator(".code")).to_have_text("qmzr wtkp bhsd vcxj")
    await page.get_by_role("button", name="Copy it").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == APP_PASSWORD
    await page.get_by_role("button", name="Done").click()
    await expect_step(page, "App passwords")
    await expect(page.locator(".row")).to_contain_text("Never used")
    assert "qmzr" not in await page.content()
    (made,) = interface.requests("POST", PATH)
    assert made.body == {"name": "Mail on my laptop"}
    assert 16 <= len(made.headers["idempotency-key"]) <= 128


async def test_each_says_when_it_was_made_and_where_it_was_last_used(page: Page, interface: Interface) -> None:
    interface.account.app_passwords = [app_password("Mail", used="198.51.100.7"), app_password("Chat")]
    await page.goto(PAGE)
    used, unused = page.locator(".row").first, page.locator(".row").last
    await expect(used).to_contain_text("Created ")
    await expect(used).to_contain_text("from 198.51.100.7")
    await expect(unused).to_contain_text("Never used")


async def test_deleting_asks_first_and_says_that_it_is_done(page: Page, interface: Interface) -> None:
    interface.account.app_passwords = [app_password("Mail"), app_password("Chat")]
    await page.goto(PAGE)
    await page.get_by_role("button", name="Delete: Mail").click()
    await expect_step(page, "Delete this app password?")
    await page.get_by_role("button", name="Keep it").click()
    await page.get_by_role("button", name="Delete: Mail").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect_step(page, "App passwords")
    await expect(page.locator(".notice-good")).to_have_text("Mail was deleted.")
    await expect(page.locator(".row")).to_have_count(1)


async def test_a_name_is_needed(page: Page, interface: Interface) -> None:
    await page.goto(PAGE)
    await page.get_by_label("Name").fill("  ")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Type a name.")
    assert interface.requests("POST", PATH) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [("too_many_app_passwords", "Delete some"), ("registration_incomplete", "Set up a way to verify first")],
)
async def test_where_none_can_be_made_the_page_says_why(page: Page, interface: Interface, code: str, said: str) -> None:
    interface.next("POST", PATH, problem(409, code))
    await page.goto(PAGE)
    await page.get_by_label("Name").fill("Mail")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text(said)
    await expect(page.get_by_label("Name")).to_have_value("Mail")
