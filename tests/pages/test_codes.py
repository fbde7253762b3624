"""Codes that are typed in the page: by text, from an app, from a list; wrong ones, and sending again."""

import re

import pytest
from playwright.async_api import Page, expect

from .answers import problem
from .scripted import CALL_MOBILE, PHONE, Interface, call, challenge, code_by_text, sign_in
from .visits import begin, expect_step

CODE = "/v1/sign-ins/si_1/code"
CHALLENGES = "/v1/sign-ins/si_1/challenges"


async def test_a_code_by_text_is_typed_where_the_cursor_is_already(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(challenge=code_by_text()))
    field = page.get_by_label("Code", exact=True)
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("autocomplete", "one-time-code")
    await expect(field).to_have_attribute("inputmode", "numeric")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Type the code from the text")
    await expect(page.locator("#live")).to_have_text("We are sending a text with a code to +XX XXXXXXX89.")
    await page.keyboard.type("492 039")
    await page.keyboard.press("Enter")
    await expect_step(page, "You are signed in")
    (typed,) = interface.requests("POST", CODE)
    assert typed.body == {"code": "492039"}


@pytest.mark.parametrize(
    ("method", "heading"),
    [
        ("app_code", "Type the code from your app"),
        ("recovery_code", "Type a recovery code"),
        ("bypass", "Type the code from your administrator"),
        ("a_method_of_tomorrow", "Type your code"),
    ],
)
async def test_each_kind_of_code_says_where_it_stands_and_none_of_them_travels(
    page: Page, interface: Interface, method: str, heading: str
) -> None:
    await begin(page, interface, sign_in(challenge=code_by_text(method=method, target=PHONE)))
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    await expect(page.locator(".doing")).to_have_count(0)
    await expect(page.get_by_role("button", name="Send again")).to_have_count(0)


async def test_a_recovery_code_may_have_letters_and_is_sent_without_its_spaces(
    page: Page, interface: Interface
) -> None:
    listed = code_by_text(method="recovery_code", prompt={"kind": "enter_code", "digits": 0})
    await begin(page, interface, sign_in(challenge=listed))
    await expect(page.get_by_label("Code", exact=True)).to_have_attribute("inputmode", "text")
    await page.keyboard.type("abcd-efgh 2345")
    await page.keyboard.press("Enter")
    await expect_step(page, "You are signed in")
    (typed,) = interface.requests("POST", CODE)
    assert typed.body == {"code": "abcdefgh2345"}


@pytest.mark.parametrize(
    ("typed", "said"), [("", "Type the code."), ("12345", "Type the 6 digits"), ("12345a", "Type")]
)
async def test_a_slip_costs_no_try(page: Page, interface: Interface, typed: str, said: str) -> None:
    await begin(page, interface, sign_in(challenge=code_by_text()))
    await page.keyboard.type(typed)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text(said)
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()
    await expect(page.get_by_label("Code", exact=True)).to_have_attribute("aria-invalid", "true")
    assert interface.requests("POST", CODE) == []


async def test_wrong_codes_say_how_many_tries_are_left_until_there_are_none(page: Page, interface: Interface) -> None:
    interface.next("POST", CODE, *(problem(403, "wrong_code", tries_left=left) for left in (2, 1, 0)))
    await begin(page, interface, sign_in(challenge=code_by_text()))
    field = page.get_by_label("Code", exact=True)
    for said in ("You have 2 more tries.", "You have one more try."):
        await field.fill("000000")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text(f"That code is not right. {said}")
        await expect(field).to_be_focused()
        await expect(field).to_have_attribute("aria-invalid", "true")
    await field.fill("000001")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("That code is not right.")
    await interface.tell(sign_in("failed", reason="too_many_tries"))
    await expect_step(page, "Too many wrong tries")


async def test_what_is_being_typed_survives_news_of_the_delivery(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(challenge=code_by_text(delivery="queued")))
    await page.keyboard.type("49")
    await interface.tell(sign_in(challenge=code_by_text(delivery="delivered")))
    await expect(page.get_by_text("The text has arrived.")).to_be_visible()
    await expect(page.get_by_label("Code", exact=True)).to_have_value("49")
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()


@pytest.mark.reliability("R-10")
async def test_where_nobody_knows_whether_a_text_went_out_it_is_offered_to_be_sent_again(
    page: Page, interface: Interface
) -> None:
    await begin(page, interface, sign_in(challenge=code_by_text(delivery="unknown")))
    await expect(page.get_by_text("We can't tell whether the text went out.")).to_be_visible()
    await page.get_by_role("button", name="Send again").click()
    await expect_step(page, "Approve on your phone")
    (again,) = interface.requests("POST", CHALLENGES)
    assert again.body == {"method_id": "mth_text", "instead_of": "ch_1"}


async def test_sending_again_too_soon_is_refused_and_the_button_counts_down(page: Page, interface: Interface) -> None:
    await page.clock.install()
    interface.next("POST", CHALLENGES, problem(429, "too_many_prompts", retry_after=15))
    await begin(page, interface, sign_in(challenge=code_by_text(), methods=[CALL_MOBILE]))
    await page.get_by_label("Code", exact=True).fill("49")
    await page.get_by_role("button", name="Send again").click()
    await expect(page.locator("#step > [role=alert]")).to_contain_text("That was asked for a moment ago")
    waiting = page.get_by_role("button", name=re.compile(r"^Send again in 0:1\d$"))
    await expect(waiting).to_be_focused()
    await page.keyboard.press("Enter")
    assert len(interface.requests("POST", CHALLENGES)) == 1, "the button waits"
    await expect(page.get_by_label("Code", exact=True)).to_have_value("49")
    await page.clock.fast_forward(16_000)
    await page.get_by_role("button", name="Send again", exact=True).click()
    await expect_step(page, "Approve on your phone")


async def test_a_call_says_which_phone_rings_and_what_to_press(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(challenge=call(delivery="queued")))
    await expect_step(page, "Answer your phone")
    await expect(page.locator("#step .lead")).to_have_text("We are calling +XX XXXXXXX89. Answer, listen, and press #.")
    await expect(page.get_by_text("Placing the call…")).to_be_visible()
    await expect(page.locator(".number")).to_have_count(0)
    await interface.tell(sign_in(challenge=call(delivery="delivered")))
    await expect(page.get_by_text("The call was answered.")).to_be_visible()
    await interface.tell(sign_in("approved"))
    await expect_step(page, "You are signed in")


async def test_a_number_to_key_in_is_shown_large_and_read_digit_by_digit(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(challenge=call(prompt={"kind": "answer_call", "number": "48"})))
    await expect(page.get_by_text("48", exact=True)).to_be_visible()
    await expect(page.locator("#live")).to_have_text(re.compile("key in 4 8, then the hash key"))


@pytest.mark.reliability("R-09")
@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("no_answer", "Nobody answered the call."),
        ("busy", "The line was busy."),
        ("delivery_failed", "The request could not be delivered."),
    ],
)
async def test_a_call_that_came_to_nothing_says_why_and_offers_every_way(
    page: Page, interface: Interface, reason: str, said: str
) -> None:
    await begin(page, interface, sign_in(challenge=call()))
    over = call(state="failed", reason=reason, code="some_code", delivery="failed")
    await interface.tell(sign_in(challenge=over, methods=[CALL_MOBILE]))
    await expect_step(page, "Choose another way to verify")
    await expect(page.locator("#step .notice")).to_contain_text(said)
    await page.get_by_role("button", name="Call my mobile phone").click()
    await expect_step(page, "Approve on your phone")
    (again,) = interface.requests("POST", CHALLENGES)
    assert again.body == {"method_id": "mth_call"}, "there is nothing that it would replace"


async def test_a_code_for_a_sign_in_that_went_on_elsewhere_shows_what_really_is(
    page: Page, interface: Interface
) -> None:
    interface.next("POST", CODE, problem(409, "no_code_due"))
    await begin(page, interface, sign_in(challenge=code_by_text()))
    interface.sign_in = sign_in(version=7, challenge=challenge(id="ch_2"))
    await page.keyboard.type("123456")
    await page.keyboard.press("Enter")
    await expect_step(page, "Approve on your phone")


async def test_a_code_over_a_broken_connection_keeps_what_was_typed(page: Page, interface: Interface) -> None:
    interface.next("POST", CODE, None)
    await begin(page, interface, sign_in(challenge=code_by_text()))
    await page.keyboard.type("123456")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("No connection to the service. Please try again.")
    await page.get_by_role("button", name="Verify").click()
    await expect_step(page, "You are signed in")
