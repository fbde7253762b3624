"""Every step, in both colour schemes: accessible, no wider than the narrowest screen, usable by keyboard alone."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

import pytest
from playwright.async_api import Page, expect

from .answers import problem
from .scripted import (
    CALL_MOBILE,
    ORIGIN,
    PHONE,
    TEXT_MOBILE,
    Interface,
    call,
    challenge,
    code_by_text,
    registration_required,
    sign_in,
)
from .scripted_account import MASKED, app_password, browser
from .visits import RETURN_TO, add, begin, sign_in_page, submit_password

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


async def wrong_code(page: Page, interface: Interface) -> None:
    interface.next("POST", "/v1/sign-ins/si_1/code", problem(403, "wrong_code", tries_left=4))
    await begin(page, interface, sign_in(challenge=code_by_text(delivery="delivered")))
    await page.get_by_label("Code", exact=True).fill("000000")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).not_to_be_empty()


async def sent_too_soon(page: Page, interface: Interface) -> None:
    interface.next("POST", "/v1/sign-ins/si_1/challenges", problem(429, "too_many_prompts", retry_after=15))
    await begin(page, interface, sign_in(challenge=code_by_text(), methods=[CALL_MOBILE]))
    await page.get_by_role("button", name="Send again").click()
    await expect(page.get_by_role("alert").first).not_to_be_empty()


async def other_proof_up(page: Page, interface: Interface) -> None:
    await begin(page, interface, registration_required())
    await page.get_by_text("No app? Set up another way").click()


def proof_up_by(way: str, label: str) -> Visit:
    async def visit(page: Page, interface: Interface) -> None:
        await other_proof_up(page, interface)
        await add(page, way)
        await expect(page.get_by_label(label)).to_be_visible()

    return visit


def adding(way: str, shown: str) -> Visit:
    async def visit(page: Page, interface: Interface) -> None:
        del interface
        await page.goto(f"{ORIGIN}/security")
        await add(page, way)
        await expect(page.locator(shown)).to_be_visible()

    return visit


async def on_file(page: Page, interface: Interface) -> None:
    interface.account.suggested["mobile"] = MASKED
    await page.goto(f"{ORIGIN}/security")
    await add(page, "My mobile phone")
    await expect(page.get_by_role("radio").first).to_be_visible()


def adding_phone(by: str, shown: str) -> Visit:
    async def visit(page: Page, interface: Interface) -> None:
        interface.usually("POST", "/v1/me/phones/enr_1/confirm", problem(409, "not_confirmed"))
        await adding("My mobile phone", "#number")(page, interface)
        await page.get_by_label("Phone number").fill("+12065550100")
        await page.get_by_label(by).check()
        await page.keyboard.press("Enter")
        await expect(page.locator(shown)).to_be_visible()

    return visit


async def nothing_registered(page: Page, interface: Interface) -> None:
    interface.account.methods = []
    await opened("/security", ".choices >> nth=0")(page, interface)


async def remembered_browsers(page: Page, interface: Interface) -> None:
    interface.account.browsers = [browser(), browser("Safari on Mac OS X")]
    await opened("/security", "text=Firefox on Windows")(page, interface)


async def closed(page: Page, interface: Interface) -> None:
    interface.next("GET", "/v1/me", problem(403, "fresh_sign_in_required"))
    await opened("/security", "main a")(page, interface)


async def changed(page: Page, interface: Interface) -> None:
    del interface
    await page.goto(f"{ORIGIN}/security")
    await page.get_by_role("button", name="Ask this first: Call my mobile phone").click()
    await expect(page.locator(".notice-good")).to_be_visible()


async def removal(page: Page, interface: Interface) -> None:
    del interface
    await page.goto(f"{ORIGIN}/security")
    await page.get_by_role("button", name="Remove: Text code to my mobile phone").click()
    await expect(page.get_by_role("button", name="Keep it")).to_be_visible()


async def app_passwords(page: Page, interface: Interface) -> None:
    interface.account.app_passwords = [
        app_password("Mail on my laptop", used="198.51.100.7"),
        app_password("Thunderbird"),
    ]
    await opened("/app-passwords", ".rows")(page, interface)


async def new_app_password(page: Page, interface: Interface) -> None:
    del interface
    await page.goto(f"{ORIGIN}/app-passwords")
    await page.get_by_label("Name").fill("Mail on my laptop")
    await page.keyboard.press("Enter")
    await expect(page.locator(".code")).to_be_visible()


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
    "code by text": begun(challenge=code_by_text(), methods=[CALL_MOBILE]),
    "text stuck": begun(challenge=code_by_text(delivery="unknown")),
    "code of the app": begun(challenge=code_by_text(method="app_code", target=PHONE)),
    "recovery code": begun(challenge=code_by_text(method="recovery_code", target="", prompt={"kind": "enter_code"})),
    "wrong code": wrong_code,
    "sent too soon": sent_too_soon,
    "call": begun(challenge=call(), methods=[TEXT_MOBILE]),
    "call with a number": begun(challenge=call(prompt={"kind": "answer_call", "number": "48"})),
    "nobody answered": begun(challenge=call(state="failed", reason="no_answer"), methods=[TEXT_MOBILE, CALL_MOBILE]),
    "proof-up by other ways": other_proof_up,
    "proof-up by phone": proof_up_by("My mobile phone", "Phone number"),
    "proof-up by office phone": proof_up_by("My office phone", "Extension"),
    "proof-up by authenticator": proof_up_by("Another authenticator app", "Code from the app"),
    "security": opened("/security", ".rows"),
    "security, nothing registered": nothing_registered,
    "security, closed": closed,
    "security, browsers": remembered_browsers,
    "to be remembered": begun(remember_days=30, methods=[TEXT_MOBILE]),
    "security, changed": changed,
    "removal": removal,
    "adding the app": adding("The app on my phone", ".qr"),
    "adding a phone": adding("My mobile phone", "#number"),
    "a number on file": on_file,
    "a phone's code": adding_phone("Text me a code", "#code"),
    "a phone's call": adding_phone("Call me", ".doing"),
    "adding an authenticator": adding("Another authenticator app", "#code"),
    "app passwords": app_passwords,
    "no app passwords": opened("/app-passwords", "#name"),
    "a new app password": new_app_password,
    "registration": opened("/registration#token=rt_1", ".qr"),
    "activate": opened("/activate#code=act_7Q2M9XKDW4JH", ".code"),
    "error": opened("/error", "h1", what="unknown_application"),
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
