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


@pytest.mark.security("S-19")
@pytest.mark.parametrize("number", ["+4930123456", "+18005550123"])
def test_a_number_that_takes_no_texts_is_no_mobile_phones(number: str) -> None:
    with pytest.raises(InvalidRequest, match="no texts"):
        phone_number.require_mobile(number)


@pytest.mark.parametrize("number", ["+491701234567", "+12025550123", "+447700900123"])
def test_a_number_that_may_be_a_mobile_phones_is_let_through(number: str) -> None:
    phone_number.require_mobile(number)


@pytest.mark.security("S-19")
def test_only_numbers_of_the_countries_named_are_used_and_all_where_none_is() -> None:
    for number in ("+491701234567", "+4930123456;ext=12", "+447700900123"):
        phone_number.require_country(number, ())
        phone_number.require_country(number, ("DE", "GB", "GG", "IM", "JE"))
    for number in ("+12025550123", "+18765550123"):
        with pytest.raises(InvalidRequest, match="country"):
            phone_number.require_country(number, ("DE",))
    with pytest.raises(InvalidRequest, match="country"):
        phone_number.require_country("+18765550123", ("US",))  # Jamaica: +1 as well, and dearer


@pytest.mark.security("S-19")
def test_a_number_that_could_be_of_several_countries_needs_them_all() -> None:
    unassigned = "+447700900123"
    with pytest.raises(InvalidRequest, match="country"):
        phone_number.require_country(unassigned, ("GB",))


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+491701234589", "+XX XXXXXXXX89"),
        ("+12025550123", "+X XXXXXXXX23"),
        ("+4930123456;ext=407", "+XX XXXXXX56 ext. XX7"),
        ("+4930123456;ext=4", "+XX XXXXXX56 ext. 4"),
    ],
)
def test_a_number_is_shown_by_its_last_digits_alone(number: str, shown: str) -> None:
    assert phone_number.masked(number) == shown


def test_countries_go_by_their_iso_codes() -> None:
    assert {"DE", "US", "JM"} <= phone_number.all_countries()
    assert "001" not in phone_number.all_countries()
