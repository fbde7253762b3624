"""Waiting for the phone: the number, how it travels, the ways out, and bad connections."""

import re

import pytest
from playwright.async_api import Page, expect

from .answers import problem, soon
from .scripted import PHONE, TEXT_MOBILE, Interface, challenge, sign_in
from .visits import begin, expect_step, sign_in_page


async def test_the_number_is_shown_large_and_read_digit_by_digit(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in())
    await expect_step(page, "Approve on your phone")
    number = page.get_by_text("42", exact=True)
    await expect(number).to_have_attribute("aria-hidden", "true")
    size = await number.evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
    assert size >= 64, "readable across a desk"
    await expect(page.get_by_text("4 2", exact=True)).to_be_attached()
    await expect(page.locator("#live")).to_have_text(f"Type 4 2 in the app on {PHONE}.")
    await expect(page.locator("#step strong")).to_have_text(PHONE)


async def test_where_the_phone_only_asks_for_a_tap_there_is_no_number(page: Page, interface: Interface) -> None:
    tap = challenge(prompt={"kind": "approve_on_device", "number": None})
    await begin(page, interface, sign_in(challenge=tap))
    await expect(page.locator("#step").get_by_text("press Verify")).to_be_visible()
    await expect(page.locator(".number")).to_have_count(0)


async def test_delivery_is_told_in_words_without_moving_the_focus_or_closing_a_list(
    page: Page, interface: Interface
) -> None:
    await begin(page, interface, sign_in(challenge=challenge(delivery="queued"), methods=[TEXT_MOBILE]))
    await expect(page.get_by_text(f"Reaching {PHONE}…")).to_be_visible()
    options = page.get_by_text("Other verification options")
    await options.click()
    for delivery, words in (
        ("sent", f"Sent to {PHONE}."),
        ("delivered", f"The request is on {PHONE}."),
        ("failed", f"We could not reach {PHONE}. Open the app there"),
    ):
        await interface.tell(interface.sign_in | {"challenge": challenge(delivery=delivery)})
        await expect(page.locator(".doing")).to_contain_text(words)
        await expect(options).to_be_focused()
        await expect(page.get_by_role("button", name="Text code to my mobile phone")).to_be_visible()


async def test_what_could_not_be_delivered_can_be_sent_again(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(challenge=challenge(delivery="failed")))
    await page.get_by_role("button", name="Send it again").click()
    await expect(page.get_by_text("77", exact=True)).to_be_visible()
    (again,) = interface.requests("POST", "/v1/sign-ins/si_1/challenges")
    assert again.body == {"method_id": "mth_app", "instead_of": "ch_1"}


async def test_another_method_replaces_the_question_that_is_out(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(methods=[TEXT_MOBILE]))
    await page.get_by_text("Other verification options").click()
    await page.get_by_role("button", name="Text code to my mobile phone").click()
    await expect(page.get_by_text("77", exact=True)).to_be_visible()
    (chosen,) = interface.requests("POST", "/v1/sign-ins/si_1/challenges")
    assert chosen.body == {"method_id": "mth_text", "instead_of": "ch_1"}
    assert chosen.headers["content-type"] == "application/json"


async def test_with_one_method_no_other_options_are_offered(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in())
    await expect(page.get_by_text("Other verification options")).to_have_count(0)


async def test_a_refused_choice_is_said_beside_the_heading(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(methods=[TEXT_MOBILE]))
    interface.next("POST", "/v1/sign-ins/si_1/challenges", problem(404, "unknown_method"))
    await page.get_by_text("Other verification options").click()
    await page.get_by_role("button", name="Text code to my mobile phone").click()
    await expect(page.locator("#step").get_by_role("alert")).to_have_text(
        "That way to verify is no longer available. Choose another."
    )


async def test_a_choice_that_lost_a_race_shows_what_really_is(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in(methods=[TEXT_MOBILE]))
    interface.next("POST", "/v1/sign-ins/si_1/challenges", problem(409, "too_late"))
    interface.sign_in = sign_in("approved", version=9)
    await page.get_by_text("Other verification options").click()
    await page.get_by_role("button", name="Text code to my mobile phone").click()
    await expect_step(page, "You are signed in")


async def test_over_the_prompt_limit_the_other_methods_are_there_at_once(page: Page, interface: Interface) -> None:
    limited = sign_in(challenge=None, notice="prompt_limit", methods=[TEXT_MOBILE])
    await begin(page, interface, limited)
    await expect_step(page, "Choose another way to verify")
    await expect(page.locator("#step").get_by_text("no more are sent for now")).to_be_visible()
    await page.get_by_role("button", name="Text code to my mobile phone").click()
    await expect_step(page, "Approve on your phone")
    (chosen,) = interface.requests("POST", "/v1/sign-ins/si_1/challenges")
    assert chosen.body == {"method_id": "mth_text"}


async def test_cancel_withdraws_the_sign_in(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in())
    await page.get_by_role("button", name="Cancel").click()
    await expect_step(page, "Sign-in cancelled")
    (cancelled,) = interface.requests("DELETE", "/v1/sign-ins/si_1")
    assert cancelled.headers["content-type"] == "application/json"


async def test_time_left_follows_the_services_clock_and_not_the_browsers(page: Page, interface: Interface) -> None:
    await page.clock.install(time="2031-05-01T12:00:00Z")  # years fast
    interface.dated = True
    await begin(page, interface, sign_in(challenge=challenge(expires_at=soon(100))))
    await expect(page.get_by_role("timer")).to_have_text(re.compile(r"1:(3\d|40) left"))


@pytest.mark.reliability("R-05")
async def test_a_connection_that_comes_back_is_said_even_where_nothing_else_has_changed(
    page: Page, interface: Interface
) -> None:
    await begin(page, interface, sign_in())
    await interface.lose_connection()
    notice = page.locator("#connection")
    await expect(notice).to_contain_text("No connection")
    interface.reachable = True
    await expect(notice).to_be_empty()
    await expect(page.get_by_text("42", exact=True)).to_be_visible()
    await interface.tell(sign_in("approved"))
    await expect_step(page, "You are signed in")


@pytest.mark.reliability("R-05")
async def test_a_connection_that_breaks_is_said_and_the_outcome_still_arrives(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in())
    await interface.lose_connection()
    await expect(page.get_by_text("No connection to the service. This page keeps trying")).to_be_visible()
    await expect(page.get_by_text("42", exact=True)).to_be_visible()
    await interface.tell(sign_in("approved"))
    interface.reachable = True
    await expect_step(page, "You are signed in")
    await expect(page.locator("#connection")).to_have_text("")


async def test_a_busy_service_is_asked_again_when_it_said(page: Page, interface: Interface) -> None:
    busy = problem(503, "busy", retry_after=1)
    interface.next("GET", "/v1/sign-ins/si_1", busy, busy)
    await begin(page, interface, sign_in())
    await expect(page.get_by_text("The service is busy right now")).to_be_visible()
    await interface.tell(sign_in("denied", reason="denied_on_phone"))
    await expect_step(page, "Sign-in denied")


@pytest.mark.reliability("R-07")
async def test_a_reloaded_tab_goes_on_where_it_was(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in())
    await page.reload()
    await expect_step(page, "Approve on your phone")
    await expect(page.get_by_text("42", exact=True)).to_be_visible()
    await interface.tell(sign_in("approved"))
    await expect_step(page, "You are signed in")
    kept = await page.evaluate("JSON.parse(sessionStorage.getItem('sign-in'))")
    assert kept == {"request": "?application=app_1", "id": "si_1"}, "an id, no secret"


@pytest.mark.security("S-39")
async def test_a_tab_opened_for_another_request_begins_afresh(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in())
    await page.goto(sign_in_page(state="another"))
    await expect(page.locator("#password-submit")).to_be_enabled()  # the script has run, and chosen
    await expect(page.get_by_label("Password")).to_be_visible()
    polls = interface.requests("GET", "/v1/sign-ins/si_1")
    assert all("after" in poll.query for poll in polls), "the first visit's polls, and no picking up"


async def test_a_sign_in_that_is_not_ours_any_more_leads_back_to_the_password(page: Page, interface: Interface) -> None:
    interface.next("GET", "/v1/sign-ins/si_1", problem(401, "invalid_token"))
    interface.sign_in = sign_in()
    await begin_without_step(page)
    await expect(page.get_by_role("alert")).to_contain_text("over, or went on in another tab")
    await expect(page.get_by_label("Username")).to_be_focused()


async def test_after_a_reload_an_unknown_sign_in_leads_back_to_the_password(page: Page, interface: Interface) -> None:
    await begin(page, interface, sign_in())
    interface.next("GET", "/v1/sign-ins/si_1", problem(401, "invalid_token"))
    await page.reload()
    await expect(page.get_by_label("Username")).to_be_focused()
    assert await page.evaluate("sessionStorage.length") == 0


@pytest.mark.security("S-43")
async def test_names_are_text_whatever_they_contain(page: Page, interface: Interface) -> None:
    evil = '<img src=x onerror="document.title=1"><script>alert(1)</script>\u202e'
    interface.variables["application_name"] = evil
    method = TEXT_MOBILE | {"label": evil, "target": evil}
    await begin(page, interface, sign_in(challenge=challenge(target=evil), methods=[method]))
    await expect(page.locator("#step strong bdi")).to_have_text(evil)
    await page.get_by_text("Other verification options").click()
    await expect(page.locator("#step img, #step script")).to_have_count(0)
    await interface.tell(sign_in("denied", reason="denied_on_phone"))
    await expect_step(page, "Sign-in denied")


async def begin_without_step(page: Page) -> None:
    """Sign in where the step may be over before it could be looked at."""
    await page.goto(sign_in_page())
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password").fill("correct horse")
    await page.keyboard.press("Enter")
