"""The pages as the service serves them: its addresses, its policy, its own answers."""

import re
from typing import Protocol

import pytest
from playwright.async_api import Page, expect

from .scripted import PAGES
from .visits import expect_step


class Service(Protocol):
    """What these tests need of a running service: where it is."""

    @property
    def url(self) -> str:
        """Its public address, without a slash at the end."""
        ...


@pytest.mark.security("S-41", "S-43")
@pytest.mark.parametrize("path", ["/sign-in?application=settings", "/registration", "/activate", "/sign-in"])
async def test_every_page_is_served_under_the_strict_policy(page: Page, service: Service, path: str) -> None:
    answer = await page.goto(service.url + path)
    assert answer is not None
    policy = (await answer.all_headers())["content-security-policy"]
    allowed = {words.split()[0]: set(words.split()[1:]) for words in policy.split(";") if words.strip()}
    assert allowed["default-src"] == allowed["frame-ancestors"] == allowed["base-uri"] == {"'none'"}
    assert allowed["script-src"] == allowed["style-src"] == allowed["connect-src"] == {"'self'"}
    assert allowed["img-src"] == {"'self'", "data:"}
    assert "'self'" in allowed["form-action"]


async def test_every_static_file_is_served(page: Page, service: Service) -> None:
    for file in sorted((PAGES / "static").iterdir()):
        answer = await page.request.get(f"{service.url}/static/{file.name}")
        assert answer.status == 200, file.name
        assert await answer.body() == file.read_bytes(), file.name


async def test_a_stored_file_is_asked_for_again_so_that_no_page_mixes_two_versions(
    page: Page, service: Service
) -> None:
    address = f"{service.url}/static/sign_in.js"
    first = await page.request.get(address)
    assert first.headers["cache-control"] == "no-cache"
    again = await page.request.get(address, headers={"if-none-match": first.headers["etag"]})
    assert again.status == 304


async def test_an_unknown_name_is_refused_by_the_service_itself(page: Page, service: Service) -> None:
    await page.goto(f"{service.url}/sign-in?application=settings")
    await page.get_by_label("Username").fill("nobody")
    await page.get_by_label("Password").fill("not a password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("The username or password is not right.")


@pytest.mark.security("S-40")
@pytest.mark.parametrize("address", ["//evil.test", "javascript:alert(1)", "https://evil.test/"])
async def test_an_unregistered_address_to_return_to_is_an_error_page_without_a_way_on(
    page: Page, service: Service, address: str
) -> None:
    answer = await page.goto(f"{service.url}/sign-in?application=settings&redirect_uri={address}")
    assert answer is not None
    assert answer.status == 400
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.locator("form, main a")).to_have_count(0)
    await expect(page).not_to_have_title(re.compile("^Sign in to"))


@pytest.mark.security("S-34")
async def test_a_made_up_registration_token_opens_nothing(page: Page, service: Service) -> None:
    await page.goto(f"{service.url}/registration#token=made-up")
    await expect_step(page, "This link can't be used")
