"""Adding ways to verify: phones by text and by call, authenticator apps, the app; in the settings and in a sign-in."""

import re

import pytest
from playwright.async_api import Page, expect

from .answers import Answer, problem
from .scripted import ORIGIN, Interface, registration_required, sign_in
from .scripted_account import MASKED, SECRET, authenticator
from .visits import add, begin, expect_step

TITLE = "Additional security verification"
PHONES = "/v1/me/phones"
CONFIRM = "/v1/me/phones/enr_1/confirm"
NOT_YET = problem(409, "not_confirmed")


async def number_given(page: Page, way: str = "My mobile phone", by: str | None = "Text me a code") -> None:
    """In the settings, begin to add a phone."""
    await page.goto(f"{ORIGIN}/security")
    await add(page, way)
    await page.get_by_label("Phone number").fill("+1 206 555 0100")
    if by:
        await page.get_by_label(by).check()
    await page.keyboard.press("Enter")


async def test_a_mobile_phone_is_added_by_the_code_that_it_gets(page: Page, interface: Interface) -> None:
    await number_given(page)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Type the code from the text")
    await expect(page.locator("#live")).to_have_text(f"We have sent a text with a code to {MASKED}.")
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()
    await page.keyboard.type("123456")
    await page.keyboard.press("Enter")
    await expect_step(page, TITLE)
    await expect(page.locator(".notice-good")).to_contain_text("That was added.")
    (asked,), (confirmed,) = interface.requests("POST", PHONES), interface.requests("POST", CONFIRM)
    assert asked.body == {"kind": "mobile", "number": "+1 206 555 0100", "by": "text"}
    assert 16 <= len(asked.headers["idempotency-key"]) <= 128
    assert confirmed.body == {"code": "123456"}


async def test_a_wrong_code_leaves_the_phone_to_be_confirmed(page: Page, interface: Interface) -> None:
    interface.next("POST", CONFIRM, problem(403, "wrong_code", tries_left=9))
    await number_given(page)
    await page.get_by_label("Code", exact=True).fill("000000")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert").first).to_have_text("That code is not right. You have 9 more tries.")
    await page.get_by_label("Code", exact=True).fill("123456")
    await page.keyboard.press("Enter")
    await expect_step(page, TITLE)


async def test_a_phone_that_is_called_is_added_when_the_key_was_heard(page: Page, interface: Interface) -> None:
    await page.clock.install()
    interface.usually("POST", CONFIRM, NOT_YET)
    await number_given(page, by="Call me")
    await expect_step(page, "Answer your phone")
    await expect(page.locator("#step .lead")).to_contain_text(f"We are calling {MASKED.replace(' ', chr(0xA0))}")
    await page.clock.run_for(2_500)
    await expect(page.get_by_text("Waiting for the key…")).to_be_visible()
    interface.usually("POST", CONFIRM, None)
    await page.clock.run_for(2_500)
    await expect_step(page, TITLE)
    assert [request.body for request in interface.requests("POST", PHONES)] == [
        {"kind": "mobile", "number": "+1 206 555 0100", "by": "call"}
    ]


async def test_an_office_phone_is_called_at_its_extension(page: Page, interface: Interface) -> None:
    interface.usually("POST", CONFIRM, NOT_YET)
    await page.goto(f"{ORIGIN}/security")
    await add(page, "My office phone")
    await page.get_by_label("Phone number").fill("+12065550100")
    await page.get_by_label("Extension").fill("4711")
    await page.get_by_role("button", name="Call now").click()
    await expect_step(page, "Answer your phone")
    (asked,) = interface.requests("POST", PHONES)
    assert asked.body == {"kind": "office", "number": "+12065550100", "extension": "4711"}
    await page.get_by_role("button", name="Back").click()
    await expect_step(page, TITLE)


async def test_the_number_on_file_is_used_without_typing_it(page: Page, interface: Interface) -> None:
    interface.account.suggested["mobile"] = MASKED
    await page.goto(f"{ORIGIN}/security")
    await add(page, "My mobile phone")
    await expect(page.get_by_label(re.compile("which is on file for you"))).to_be_checked()
    await expect(page.get_by_label("Phone number", exact=True).locator("visible=true")).to_have_count(0)
    await page.get_by_role("button", name="Check the number").click()
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()
    (asked,) = interface.requests("POST", PHONES)
    assert asked.body == {"kind": "mobile", "by": "text"}


async def test_another_number_than_the_one_on_file_can_be_typed(page: Page, interface: Interface) -> None:
    interface.account.suggested["mobile"] = MASKED
    await page.goto(f"{ORIGIN}/security")
    await add(page, "My mobile phone")
    await page.get_by_label("Use another number").check()
    await page.locator("#number").fill("+12065550100")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()
    (asked,) = interface.requests("POST", PHONES)
    assert asked.body == {"kind": "mobile", "number": "+12065550100", "by": "text"}


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (problem(400, "invalid_request"), "This number can't be used."),
        (problem(409, "too_many_methods"), "Remove one first."),
        (problem(429, "too_many_prompts", retry_after=30), "Try again when the time is up."),
    ],
)
async def test_a_refused_number_stays_in_its_field(
    page: Page, interface: Interface, refusal: Answer, said: str
) -> None:
    interface.next("POST", PHONES, refusal)
    await number_given(page)
    await expect(page.get_by_role("alert").first).to_contain_text(said)
    await expect(page.get_by_label("Phone number")).to_have_value("+1 206 555 0100")


async def test_a_missing_number_is_asked_for_and_nothing_is_sent(page: Page, interface: Interface) -> None:
    await page.goto(f"{ORIGIN}/security")
    await add(page, "My mobile phone")
    await page.get_by_role("button", name="Check the number").click()
    await expect(page.get_by_role("alert").first).to_have_text("Type a phone number.")
    await expect(page.get_by_label("Phone number")).to_be_focused()
    assert interface.requests("POST", PHONES) == []


async def test_the_text_is_sent_again_after_the_pause_that_the_service_wants(page: Page, interface: Interface) -> None:
    await number_given(page)
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()
    interface.next("POST", PHONES, problem(429, "too_many_prompts", retry_after=1))
    await page.get_by_role("button", name="Send again").click()
    await expect(page.get_by_role("alert").last).to_contain_text("That was asked for a moment ago")
    await page.get_by_role("button", name="Send again", exact=True).click()
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()  # the step is drawn anew for the new text
    await page.get_by_label("Code", exact=True).fill("123456")
    await page.keyboard.press("Enter")
    await expect_step(page, TITLE)
    assert [len(interface.requests("POST", f"/v1/me/phones/enr_{which}/confirm")) for which in (1, 2)] == [0, 1]


async def test_a_call_that_did_not_get_through_says_so_beside_the_number(page: Page, interface: Interface) -> None:
    interface.usually("POST", CONFIRM, problem(409, "not_delivered"))
    await number_given(page, by="Call me")
    await expect(page.get_by_role("alert").first).to_contain_text("did not reach this number")
    await expect(page.get_by_label("Phone number")).to_have_value("+1 206 555 0100")
    await expect(page.get_by_label("Call me")).to_be_checked()


async def test_a_number_that_was_mistyped_is_changed(page: Page, interface: Interface) -> None:
    await number_given(page)
    await page.get_by_role("button", name="Change number").click()
    await expect(page.get_by_label("Phone number")).to_have_value("+1 206 555 0100")
    await page.get_by_label("Phone number").fill("+1 206 555 0199")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()
    assert interface.requests("POST", PHONES)[-1].body["number"] == "+1 206 555 0199"


async def test_an_authenticator_app_is_added_by_one_of_its_codes(page: Page, interface: Interface) -> None:
    await page.goto(f"{ORIGIN}/security")
    await add(page, "Another authenticator app")
    picture = page.get_by_role("img", name="QR code")
    assert await picture.evaluate("async image => { await image.decode(); return image.naturalWidth > 0 }")
    await page.get_by_text("Can't scan it?").click()
    await expect(page.locator(".code")).to_have_text(" ".join(re.findall("....", SECRET)))
    await page.get_by_label("Code from the app").fill("123 456")
    await page.keyboard.press("Enter")
    await expect_step(page, TITLE)
    (confirmed,) = interface.requests("POST", "/v1/me/authenticator-apps/enr_1/confirm")
    assert confirmed.body == {"code": "123456"}


async def test_a_secret_that_ran_out_is_replaced_on_request(page: Page, interface: Interface) -> None:
    interface.next("POST", "/v1/me/authenticator-apps", Answer(authenticator(seconds=1), 201))
    await page.goto(f"{ORIGIN}/security")
    await add(page, "Another authenticator app")
    await expect(page.get_by_role("alert")).to_have_text("This secret has run out. Start again.")
    await page.get_by_role("button", name="Start again").click()
    await expect(page.get_by_label("Code from the app")).to_be_visible()


async def test_the_app_is_added_in_the_settings_when_the_account_has_a_phone_more(
    page: Page, interface: Interface
) -> None:
    await page.clock.install()
    await page.goto(f"{ORIGIN}/security")
    await add(page, "The app on my phone")
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    await page.clock.run_for(3_500)
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    interface.account.devices.append({"id": "dev_2", "name": "Tablet"})
    await page.clock.run_for(3_500)
    await expect_step(page, TITLE)
    await expect(page.locator(".notice-good")).to_contain_text("That was added.")


async def test_whoever_goes_back_is_not_taken_away_again_by_what_comes_late(page: Page, interface: Interface) -> None:
    await page.clock.install()
    interface.usually("POST", CONFIRM, NOT_YET)
    await number_given(page, by="Call me")
    await expect_step(page, "Answer your phone")
    await page.get_by_role("button", name="Back").click()
    await expect_step(page, TITLE)
    asked = len(interface.requests("POST", CONFIRM))
    await page.clock.run_for(10_000)
    assert len(interface.requests("POST", CONFIRM)) == asked
    await expect(page.locator(".notice-good")).to_have_count(0)


@pytest.mark.parametrize("way", ["phone", "authenticator"])
async def test_a_first_sign_in_registers_another_way_and_goes_on(page: Page, interface: Interface, way: str) -> None:
    await begin(page, interface, registration_required())
    await page.get_by_text("No app? Set up another way").click()
    if way == "phone":
        await add(page, "My mobile phone")
        await page.get_by_label("Phone number").fill("+12065550100")
        await page.keyboard.press("Enter")
        await page.get_by_label("Code", exact=True).fill("123456")
    else:
        await add(page, "Another authenticator app")
        await page.get_by_label("Code from the app").fill("123456")
    await page.keyboard.press("Enter")
    await expect_step(page, "That is set up")
    await interface.tell(sign_in())
    await expect_step(page, "Approve on your phone")
    mine = [request for request in interface.asked if request.path.startswith("/v1/me")]
    assert {request.headers["authorization"] for request in mine} == {"Bearer rt_1"}


async def test_in_a_first_sign_in_one_can_go_back_to_the_app(page: Page, interface: Interface) -> None:
    await begin(page, interface, registration_required())
    await page.get_by_text("No app? Set up another way").click()
    await add(page, "My office phone")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Add your office phone")
    await page.get_by_role("button", name="Back").click()
    await expect_step(page, TITLE)
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()


async def test_a_link_to_register_offers_the_other_ways_too(page: Page, interface: Interface) -> None:
    await page.goto(f"{ORIGIN}/registration#token=rt_1")
    await page.get_by_text("No app? Set up another way").click()
    await add(page, "My mobile phone")
    await page.get_by_label("Phone number").fill("+12065550100")
    await page.keyboard.press("Enter")
    await page.get_by_label("Code", exact=True).fill("123456")
    await page.keyboard.press("Enter")
    await expect_step(page, "Go back to your sign-in")
    assert {request.headers["authorization"] for request in interface.asked} == {"Bearer rt_1"}
