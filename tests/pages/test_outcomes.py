"""How a sign-in ends, as the page says it, and the way back to the application."""

import pytest
from playwright.async_api import Page, expect

from .answers import Answer, problem, soon
from .scripted import RESULT, Interface, sign_in
from .visits import RETURN_TO, begin, expect_step, sign_in_page


@pytest.mark.parametrize(
    ("state", "reason", "heading", "button"),
    [
        ("denied", "denied_on_phone", "Sign-in denied", "Sign in again"),
        ("denied", "fraud_reported", "Reported as not you", "Back to sign-in"),
        ("failed", "wrong_number", "That was a different number", "Sign in again"),
        ("failed", "too_many_tries", "Too many wrong tries", "Back to sign-in"),
        ("failed", "user_blocked", "Your account is blocked", "Back to sign-in"),
        ("failed", "no_method", "No way to verify you", "Back to sign-in"),
        ("failed", "a_reason_of_tomorrow", "Sign-in did not work", "Sign in again"),
        ("expired", None, "Time ran out", "Try again"),
        ("withdrawn", "cancelled", "Sign-in cancelled", "Sign in again"),
        ("withdrawn", "replaced", "Continued elsewhere", "Sign in here instead"),
        ("withdrawn", "registered_elsewhere", "Set up in another window", "Sign in again"),
    ],
)
async def test_each_ending_is_said_plainly_with_the_next_thing_to_do(
    page: Page, interface: Interface, state: str, reason: str | None, heading: str, button: str
) -> None:
    await begin(page, interface, sign_in())
    await interface.tell(sign_in(state, reason=reason))
    await expect_step(page, heading)
    said = await page.locator("#step .lead").text_content()
    await expect(page.locator("#live")).to_have_text(said or "a sentence")
    await page.get_by_role("button", name=button).press("Enter")
    await expect(page.get_by_label("Username")).to_be_focused()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_an_account_without_a_second_step_is_signed_in_at_once(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in("approved", result=RESULT))
    await expect_step(page, "You are signed in")
    await expect(page.get_by_text("You can close this page now.")).to_be_visible()
    assert interface.requests("GET", "/v1/sign-ins/si_1") == [], "a final state is not asked about again"


async def test_the_result_goes_to_the_application_by_itself_with_its_state(page: Page, interface: Interface) -> None:
    address = sign_in_page(redirect_uri=RETURN_TO, state="xyz & <co>")
    await begin(page, interface, sign_in(), url=address)
    await interface.tell(sign_in("approved", result=RESULT))
    await page.wait_for_url(RETURN_TO)
    assert interface.handed_over == [{"result": [RESULT], "state": ["xyz & <co>"]}]


async def test_the_back_button_does_not_hand_the_result_over_again(page: Page, interface: Interface) -> None:
    address = sign_in_page(redirect_uri=RETURN_TO, state="xyz")
    await begin(page, interface, sign_in(), url=address)
    await interface.tell(sign_in("approved", result=RESULT))
    await page.wait_for_url(RETURN_TO)
    await page.goto(address)
    await expect_step(page, "You are signed in")
    assert len(interface.handed_over) == 1
    await page.get_by_role("button", name="Continue").click()
    await page.wait_for_url(RETURN_TO)
    assert len(interface.handed_over) == 2


async def test_an_outcome_too_old_to_hand_over_asks_to_sign_in_again(page: Page, interface: Interface) -> None:
    address = sign_in_page(redirect_uri=RETURN_TO)
    await begin(page, interface, sign_in("approved", result=None), url=address)
    await expect_step(page, "That took too long")
    await page.get_by_role("button", name="Sign in again").click()
    await expect(page.get_by_label("Username")).to_be_focused()
    assert interface.handed_over == []


REMEMBER = "/v1/sign-ins/si_1/remember"


async def test_a_browser_is_remembered_when_that_was_ticked_before_the_result_is_handed_over(
    page: Page, interface: Interface
) -> None:
    interface.next("POST", REMEMBER, Answer({"expires_at": soon(86400)}, 201))
    await begin(page, interface, sign_in(remember_days=30), url=sign_in_page(redirect_uri=RETURN_TO))
    await page.get_by_label("Don't ask again on this browser for 30 days").check()
    await interface.tell(sign_in("approved", result=RESULT, remember_days=30))
    await page.wait_for_url(RETURN_TO)
    assert len(interface.requests("POST", REMEMBER)) == 1


async def test_a_browser_that_cannot_be_remembered_keeps_nobody_from_going_on(page: Page, interface: Interface) -> None:
    interface.next("POST", REMEMBER, problem(409, "not_rememberable"))
    await begin(page, interface, sign_in(remember_days=1), url=sign_in_page(redirect_uri=RETURN_TO))
    await page.get_by_label("Don't ask again on this browser for a day").check()
    await interface.tell(sign_in("approved", result=RESULT, remember_days=1))
    await page.wait_for_url(RETURN_TO)


async def test_where_it_is_not_offered_or_not_ticked_no_browser_is_remembered(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(), url=sign_in_page(redirect_uri=RETURN_TO))
    await expect(page.get_by_role("checkbox")).to_have_count(0)
    await interface.tell(sign_in("approved", result=RESULT, remember_days=30))
    await page.wait_for_url(RETURN_TO)
    assert interface.requests("POST", REMEMBER) == []
