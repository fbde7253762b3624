"""Adding a phone: inside a sign-in, from a link, and where a camera without the app ends up."""

import pytest
from playwright.async_api import BrowserContext, Page, expect

from .answers import problem
from .scripted import ORIGIN, Interface, activation, registration_required, sign_in
from .visits import begin, expect_step

STEP = "Additional security verification"
CODE = "act_7Q2M9XKDW4JH"


async def test_a_first_sign_in_shows_the_code_and_goes_on_by_itself(page: Page, interface: Interface) -> None:
    await begin(page, interface, registration_required())
    await expect_step(page, STEP)
    picture = page.get_by_role("img", name="QR code")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("async image => { await image.decode(); return image.naturalWidth > 0 }")
    (asked,) = interface.requests("POST", "/v1/me/devices")
    assert asked.headers["authorization"] == "Bearer rt_1"
    await interface.tell(registration_required())
    await interface.tell(sign_in())
    await expect_step(page, "Approve on your phone")
    await expect(page.get_by_text("42", exact=True)).to_be_visible()
    assert len(interface.requests("POST", "/v1/me/devices")) == 1, "one code for one visit"


async def test_the_code_is_dark_on_light_in_dark_mode_too(page: Page, interface: Interface) -> None:
    await page.emulate_media(color_scheme="dark")
    await begin(page, interface, registration_required())
    await expect(page.locator(".qr")).to_have_css("background-color", "rgb(255, 255, 255)")


async def test_whoever_cannot_scan_copies_the_code(page: Page, context: BrowserContext, interface: Interface) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=ORIGIN)
    await begin(page, interface, registration_required())
    await page.get_by_text("Can't scan it?").click()
    await expect(page.get_by_text(CODE, exact=True)).to_be_visible()
    for button, copied in (("Copy the code", CODE), ("Copy as a link", f"{ORIGIN}/activate#code={CODE}")):
        await page.get_by_role("button", name=button).click()
        await expect(page.get_by_role("button", name="Copied").last).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == copied


async def test_a_code_that_ran_out_is_replaced_on_request(page: Page, interface: Interface) -> None:
    interface.activation = activation(seconds=1)
    await begin(page, interface, registration_required())
    await expect(page.get_by_role("alert").filter(has_text="run out")).to_be_visible()
    interface.activation = activation("act_SECOND")
    await page.get_by_role("button", name="Get a new code").click()
    await page.get_by_text("Can't scan it?").click()
    await expect(page.get_by_text("act_SECOND", exact=True)).to_be_visible()


@pytest.mark.parametrize("registration", [None, {"url": "", "token": "rt_dead"}])
async def test_a_registration_that_is_over_leads_back_to_the_password(
    page: Page, interface: Interface, registration: dict[str, str] | None
) -> None:
    interface.next("POST", "/v1/me/devices", problem(401, "invalid_token"))
    interface.sign_in = registration_required() | {"registration": registration}
    await page.goto(f"{ORIGIN}/sign-in?application=app_1")
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password").fill("correct horse")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Sign in again to go on")


async def test_the_registration_page_takes_the_token_out_of_the_address(page: Page, interface: Interface) -> None:
    await page.goto(f"{ORIGIN}/registration#token=rt_1")
    await expect_step(page, STEP)
    assert page.url == f"{ORIGIN}/registration"
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    assert all(request.headers["authorization"] == "Bearer rt_1" for request in interface.asked)


async def test_the_registration_page_says_so_when_its_token_stops_working(page: Page, interface: Interface) -> None:
    await page.clock.install()
    await page.goto(f"{ORIGIN}/registration#token=rt_1")
    await expect_step(page, STEP)
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    await page.clock.run_for(3_000)
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    interface.next("GET", "/v1/me", problem(401, "invalid_token"))
    await page.clock.run_for(3_000)
    await expect_step(page, "Go back to your sign-in")
    assert len(interface.requests("GET", "/v1/me")) >= 2


@pytest.mark.reliability("R-05")
async def test_a_code_whose_answer_was_lost_is_asked_for_again_under_one_key(page: Page, interface: Interface) -> None:
    interface.next("POST", "/v1/me/devices", None)
    await begin(page, interface, registration_required())
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    attempts = interface.requests("POST", "/v1/me/devices")
    assert len(attempts) == 2
    assert len({attempt.headers["idempotency-key"] for attempt in attempts}) == 1, "one code, however often asked"


@pytest.mark.parametrize("fragment", ["", "#token=rt_dead"])
async def test_a_link_without_a_living_token_is_refused(page: Page, interface: Interface, fragment: str) -> None:
    interface.next("GET", "/v1/me", problem(401, "invalid_token"))
    await page.goto(f"{ORIGIN}/registration{fragment}")
    await expect_step(page, "This link can't be used")


async def test_a_camera_without_the_app_lands_on_the_code_and_spends_nothing(page: Page, interface: Interface) -> None:
    await page.goto(f"{ORIGIN}/activate#code={CODE}")
    await expect_step(page, "Add this phone")
    await expect(page.get_by_text(CODE, exact=True)).to_be_visible()
    assert interface.asked == []


async def test_the_activation_page_without_a_code_says_what_to_do(page: Page, interface: Interface) -> None:
    await page.goto(f"{ORIGIN}/activate")
    await expect_step(page, "There is no code here")
    assert interface.asked == []
