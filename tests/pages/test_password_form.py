"""The password form: what it sends, and what it says when it is refused."""

import pytest
from playwright.async_api import Browser, Page, expect

from .answers import Answer, problem
from .scripted import ORIGIN, Interface, sign_in
from .visits import expect_step, sign_in_page, submit_password


async def test_sends_application_name_password_and_nonce_as_json_and_nothing_in_the_address(
    page: Page, interface: Interface
) -> None:
    await submit_password(page, url=sign_in_page(nonce="n-1", state="s-1"))
    await expect_step(page, "Approve on your phone")
    (begun,) = interface.requests("POST", "/sign-in/begin")
    assert begun.body == {
        "application": "app_1", "username": "alice", "password": "correct horse", "nonce": "n-1",
    }  # fmt: skip
    assert begun.headers["content-type"] == "application/json"
    assert 16 <= len(begun.headers["idempotency-key"]) <= 128
    assert all("authorization" not in request.headers for request in interface.asked)
    assert page.url == sign_in_page(nonce="n-1", state="s-1")


async def test_password_managers_find_their_fields(page: Page, interface: Interface) -> None:
    await page.goto(sign_in_page())
    await expect(page.get_by_label("Username")).to_have_attribute("autocomplete", "username")
    await expect(page.get_by_label("Password")).to_have_attribute("autocomplete", "current-password")
    await expect(page.get_by_label("Username")).to_be_focused()
    assert interface.asked == []


async def test_a_wrong_password_keeps_the_name_and_asks_for_the_password_again(
    page: Page, interface: Interface
) -> None:
    interface.next("POST", "/sign-in/begin", problem(401, "invalid_credentials"))
    await submit_password(page)
    await expect(page.get_by_role("alert")).to_have_text(
        "The username or password is not right. Check both and try again."
    )
    await expect(page.get_by_label("Username")).to_have_value("alice")
    await expect(page.get_by_label("Password")).to_have_value("")
    await expect(page.get_by_label("Password")).to_be_focused()
    await page.get_by_label("Password").fill("correct horse")
    await page.keyboard.press("Enter")
    await expect_step(page, "Approve on your phone")


async def test_an_empty_field_is_named_and_nothing_is_sent(page: Page, interface: Interface) -> None:
    await page.goto(sign_in_page())
    await page.get_by_label("Username").fill("alice")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Type your password.")
    await expect(page.get_by_label("Password")).to_be_focused()
    assert interface.asked == []


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (problem(429, "too_many_tries", retry_after=90), "too many wrong tries"),
        (problem(429, "too_many_pending", retry_after=90), "Several sign-ins are already waiting"),
        (problem(429, "too_many_prompts", retry_after=90), "not answered"),
        (problem(429, "some_new_limit", retry_after=90), "too often in a short time"),
        (problem(503, "busy", retry_after=90), "The service is busy right now"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.body["code"]),
)
async def test_a_refusal_that_passes_counts_down_and_then_lets_one_try_again(
    page: Page, interface: Interface, refusal: Answer, said: str
) -> None:
    await page.clock.install()
    interface.next("POST", "/sign-in/begin", refusal)
    await submit_password(page)
    await expect(page.get_by_role("alert")).to_contain_text(said)
    button = page.locator("#password-submit")
    await expect(button).to_contain_text("Try again in 1:")
    await page.keyboard.press("Enter")
    assert len(interface.requests("POST", "/sign-in/begin")) == 1, "the button waits"
    await page.clock.fast_forward(91_000)
    await expect(button).to_have_text("Sign in")
    await button.click()
    await expect_step(page, "Approve on your phone")


async def test_an_unknown_refusal_is_said_in_the_services_own_words(page: Page, interface: Interface) -> None:
    refusal = problem(409, "verification_not_enabled", detail="Second-step verification is switched off.")
    interface.next("POST", "/sign-in/begin", refusal)
    await submit_password(page)
    await expect(page.get_by_role("alert")).to_have_text("Second-step verification is switched off.")


@pytest.mark.reliability("R-05")
async def test_a_lost_connection_is_said_and_the_same_begin_is_repeated_under_one_key(
    page: Page, interface: Interface
) -> None:
    interface.next("POST", "/sign-in/begin", None, None)
    await submit_password(page)
    await expect(page.get_by_role("alert")).to_contain_text("No connection to the service")
    await expect_step(page, "Approve on your phone")
    attempts = interface.requests("POST", "/sign-in/begin")
    assert len(attempts) == 3
    assert len({attempt.headers["idempotency-key"] for attempt in attempts}) == 1, "one prompt, however often asked"


async def test_after_an_ending_the_form_is_empty_of_the_password(page: Page, interface: Interface) -> None:
    interface.sign_in = sign_in("denied", reason="denied_on_phone")
    await submit_password(page)
    await expect_step(page, "Sign-in denied")
    await page.get_by_role("button", name="Sign in again").click()
    await expect(page.get_by_label("Username")).to_be_focused()
    await expect(page.get_by_label("Password")).to_have_value("")


async def test_without_script_no_password_can_leave_the_page(browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    interface = Interface()
    await interface.serve(context)
    page = await context.new_page()
    await page.goto(sign_in_page())
    assert "This page needs JavaScript" in (await page.locator("noscript").text_content() or "")
    await expect(page.get_by_role("button", name="Sign in")).to_be_disabled()
    await expect(page.locator("form")).to_have_attribute("method", "post")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_label("Password").press("Enter")
    assert page.url == sign_in_page()
    assert page.url.startswith(ORIGIN)
    await context.close()
