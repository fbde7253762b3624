"""The tokens of a sign-in: each names it, none can be had from another but the registration's from the browser's."""

from __future__ import annotations

import pytest

from push_service.model import ids
from push_service.model.tokens import browser_token, registration_token, sign_in_of


def test_both_tokens_name_the_sign_in_that_they_are_for() -> None:
    sign_in_id = ids.sign_in_id()
    browser = browser_token(sign_in_id)
    assert sign_in_of(browser) == sign_in_id
    assert sign_in_of(registration_token(browser)) == sign_in_id


def test_every_browser_gets_a_token_of_its_own() -> None:
    sign_in_id = ids.sign_in_id()
    assert browser_token(sign_in_id) != browser_token(sign_in_id)


def test_the_registration_token_is_the_same_every_time_and_holds_nothing_of_the_browsers_secret() -> None:
    browser = browser_token(ids.sign_in_id())
    registration = registration_token(browser)
    assert registration == registration_token(browser)
    assert browser.partition(".")[2] not in registration
    assert registration.startswith("rt_")


@pytest.mark.security("S-34")
@pytest.mark.parametrize("text", ["", "bt_", "bt", ".", "bt_.", "rt_x.y.z", "no token at all"])
def test_whatever_is_no_token_names_no_sign_in_that_can_be(text: str) -> None:
    assert sign_in_of(text).startswith("si_")
    assert len(sign_in_of(text)) < len(ids.sign_in_id())
