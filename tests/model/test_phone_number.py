"""Phone numbers become E.164, or are refused before anybody pays for them."""

import pytest

from push_service.model import phone_number
from push_service.model.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("+491701234567", "+491701234567"),
        ("+49 170 123-4567", "+491701234567"),
        ("+12025550123", "+12025550123"),
        ("+41446681800", "+41446681800"),
    ],
)
def test_a_number_is_stored_in_e164(text: str, stored: str) -> None:
    assert phone_number.e164(text) == stored


@pytest.mark.security("S-19")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "01701234567",
        "+4917",
        "+49170123456789012345",
        "+19005550123",
        "+8816123456789",
        "+882161234567",
        "+999123456789",
        "+491701234567 ext. 12",
        "+491701234567;ext=12",
        "+４９１７０１２３４５６７",  # noqa: RUF001 - digits, but not those of a number
        "+49170*1234567",
        "tel:+491701234567",
    ],
)
def test_what_reaches_nobody_or_costs_extra_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        phone_number.e164(text)


def test_an_office_number_carries_its_extension() -> None:
    assert phone_number.office("+4930123456", None) == "+4930123456"
    assert phone_number.office("+4930123456", "0123456789") == "+4930123456;ext=0123456789"


@pytest.mark.security("S-19")
@pytest.mark.parametrize("extension", ["", "1,2", "1w2", "12#", "*1", "p1", " 1", "12345678901", "１２"])  # noqa: RUF001 - the same
def test_an_extension_that_could_dial_on_is_refused(extension: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 10 digits"):
        phone_number.office("+4930123456", extension)
