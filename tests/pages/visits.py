"""What a person does on a page, in the words of the tests."""

import re
from urllib.parse import urlencode

from playwright.async_api import Page, expect

from .scripted import APPLICATION, ORIGIN, Interface, SignIn

RETURN_TO = f"{APPLICATION}/signed-in"

_SHOWN = """
words => [...document.querySelectorAll("h1, h2")].some(
    heading => heading.checkVisibility() && heading.innerText.includes(words))
"""


def sign_in_page(**query: str) -> str:
    """The address of the sign-in page for Contoso Mail."""
    return f"{ORIGIN}/sign-in?{urlencode({'application': 'app_1'} | query)}"


async def submit_password(page: Page, *, url: str | None = None, password: str = "correct horse") -> None:
    """Open the sign-in page and send a name and a password."""
    await page.goto(url or sign_in_page())
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def begin(page: Page, interface: Interface, begun: SignIn, *, url: str | None = None) -> None:
    """Sign in with the right password, which begins this sign-in, and arrive at its step."""
    interface.sign_in = begun
    await submit_password(page, url=url)
    await page.wait_for_function("() => !document.getElementById('step')?.hidden", polling=20)
    await expect(page.locator("#step h1")).to_be_visible()


async def add(page: Page, way: str) -> None:
    """Choose a way to verify from the list of those that can be added."""
    await page.get_by_role("button", name=re.compile(f"^{way}")).click()


async def heading_shown(page: Page, heading: str = "") -> None:
    """Wait until a heading with these words (or any) is on the screen.

    Playwright's own expectations look again after up to a second. Stories are made of such moments: this looks often.
    """
    await page.wait_for_function(_SHOWN, arg=heading, polling=20)


async def expect_step(page: Page, heading: str) -> None:
    """This step is shown: its heading is the page's only one, names the document, and has the focus."""
    await heading_shown(page, heading)
    shown = page.get_by_role("heading", level=1)
    await expect(shown).to_have_text(heading)
    await expect(shown).to_be_focused()
    await expect(page).to_have_title(heading)
