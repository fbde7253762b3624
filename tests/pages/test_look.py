"""Every step, in both colour schemes: accessible, no wider than the narrowest screen, usable by keyboard alone."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

import pytest
from playwright.async_api import Page, expect

from .scripted import ORIGIN, TEXT_MOBILE, Interface, challenge, problem, registration_required, sign_in
from .visits import RETURN_TO, begin, sign_in_page, submit_password

AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text()
"""Evaluated by the debugger, not loaded by the page: the page's policy stays in force while it is looked at."""

Visit = Callable[[Page, Interface], Awaitable[None]]
SIX_DIGITS: Final = {"kind": "approve_on_device", "number": "604218"}


def begun(*args: object, **changes: object) -> Visit:
    async def visit(page: Page, interface: Interface) -> None:
        state = str(args[0]) if args else "pending"
        url = sign_in_page(redirect_uri=RETURN_TO) if "result" in changes else None
        await begin(page, interface, sign_in(state, **changes), url=url)

    return visit


def opened(path: str, shown: str, **variables: str) -> Visit:
    async def visit(page: Page, interface: Interface) -> None:
        interface.variables |= variables
        await page.goto(ORIGIN + path)
        await expect(page.locator(shown)).to_be_visible()

    return visit


async def refused(page: Page, interface: Interface) -> None:
    interface.next("POST", "/sign-in/begin", problem(401, "invalid_credentials"))
    await submit_password(page)
    await expect(page.get_by_role("alert")).not_to_be_empty()


async def held_off(page: Page, interface: Interface) -> None:
    interface.next("POST", "/sign-in/begin", problem(429, "too_many_tries", retry_after=90))
    await submit_password(page)
    await expect(page.get_by_role("alert")).not_to_be_empty()


async def other_options(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(methods=[TEXT_MOBILE]))
    await page.get_by_text("Other verification options").click()


async def offline(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in())
    await interface.lose_connection()
    await expect(page.locator("#connection")).not_to_be_empty()


async def proof_up(page: Page, interface: Interface) -> None:
    await begin(page, interface, registration_required())
    await page.get_by_text("Can't scan it?").click()


STEPS: Final[dict[str, Visit]] = {
    "password": opened("/sign-in?application=app_1", "#password-form"),
    "refused": refused,
    "held off": held_off,
    "waiting": begun(methods=[TEXT_MOBILE]),
    "six digits": begun(challenge=challenge(prompt=SIX_DIGITS)),
    "not delivered": begun(challenge=challenge(delivery="failed")),
    "other options": other_options,
    "offline": offline,
    "prompt limit": begun(challenge=None, notice="prompt_limit", methods=[TEXT_MOBILE]),
    "approved": begun("approved"),
    "approved long ago": begun("approved", result=None),
    "denied": begun("denied", reason="denied_on_phone"),
    "expired": begun("expired"),
    "cancelled": begun("withdrawn", reason="cancelled"),
    "proof-up": proof_up,
    "registration": opened("/registration#token=rt_1", ".qr"),
    "activate": opened("/activate#code=act_7Q2M9XKDW4JH", ".code"),
    "error": opened("/error", "h1", title="This link does not work", detail="Go back and try again."),
}


@pytest.mark.parametrize("visit", STEPS.values(), ids=STEPS.keys())
async def test_each_step_is_accessible_and_fits(page: Page, interface: Interface, visit: Visit) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    await visit(page, interface)
    too_wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert too_wide <= 0, "no sideways scrolling at 320 px, which is 1280 px at 400 %"
    await page.evaluate(AXE)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        found = await page.evaluate("axe.run()")
        findings = [(finding["id"], [node["html"] for node in finding["nodes"]]) for finding in found["violations"]]
        assert findings == [], scheme


async def test_the_whole_sign_in_works_by_keyboard_alone(page: Page, interface: Interface) -> None:
    interface.sign_in = sign_in(methods=[TEXT_MOBILE])
    await page.goto(sign_in_page())
    await expect(page.get_by_label("Username")).to_be_focused()
    await page.keyboard.type("alice")
    await page.keyboard.press("Tab")
    await page.keyboard.type("correct horse")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("77", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign-in cancelled")
