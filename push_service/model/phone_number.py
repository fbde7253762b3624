"""Phone numbers in the one form that is stored: E.164, with `;ext=N` (RFC 3966) where an office has extensions.

Numbers that can't be dialled, or that cost the caller extra, are refused: otherwise the operator pays for whatever
numbers people come up with (toll fraud, S-19); and so are those of countries that the operator's policy does not name.
Whether a possible number is in use is not judged here: numbering plans grow faster than tables of them, and what
reaches nobody is never confirmed.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import phonenumbers

from push_service.model.errors import InvalidRequest

_WRITTEN = re.compile(r"\+[0-9 ()./-]+")
"""What people write in numbers; nothing that a dialler would take for a pause, a key or an extension."""
_EXTENSION = re.compile(r"[0-9]{1,10}")
_NO_REGION = "001"
"""The region of numbers that belong to no country: satellite and other global networks."""
_REFUSED_TYPES = frozenset(
    {
        phonenumbers.PhoneNumberType.PREMIUM_RATE,
        phonenumbers.PhoneNumberType.SHARED_COST,
        phonenumbers.PhoneNumberType.PAGER,
        phonenumbers.PhoneNumberType.VOICEMAIL,
    }
)
_NO_TEXTS = frozenset(
    {
        phonenumbers.PhoneNumberType.FIXED_LINE,
        phonenumbers.PhoneNumberType.TOLL_FREE,
        phonenumbers.PhoneNumberType.UAN,
    }
)
"""Types that surely take no texts. Where a country's fixed and mobile numbers look alike, both are let through."""
_EXTENSION_MARK = ";ext="


def e164(text: str) -> str:
    """A number in E.164, such as `+441632960123`. Blanks and hyphens may be written. Raises InvalidRequest."""
    if not _WRITTEN.fullmatch(text):
        raise InvalidRequest("A phone number begins with + and the country's code, such as +441632960123.")
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as error:
        raise InvalidRequest("This is not a phone number.") from error
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise InvalidRequest("This phone number is too short or too long for its country.")
    if phonenumbers.number_type(number) in _REFUSED_TYPES:
        raise InvalidRequest("Calling this phone number costs extra.")
    if phonenumbers.region_code_for_country_code(number.country_code or 0) in {phonenumbers.UNKNOWN_REGION, _NO_REGION}:
        raise InvalidRequest("This phone number belongs to no country.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def office(number: str, extension: str | None) -> str:
    """An office number with its extension, if any: 1-10 digits, nothing that pauses or dials. Raises InvalidRequest."""
    if extension is None:
        return e164(number)
    if not _EXTENSION.fullmatch(extension):
        raise InvalidRequest("An extension is 1 to 10 digits.")
    return f"{e164(number)}{_EXTENSION_MARK}{extension}"


def require_mobile(number: str) -> None:
    """Raises InvalidRequest for a number, in stored form, that can't take texts."""
    if phonenumbers.number_type(_parsed(number)) in _NO_TEXTS:
        raise InvalidRequest("This is not a mobile phone's number: it takes no texts.")


def require_country(number: str, countries: Collection[str]) -> None:
    """Raises InvalidRequest for a number, in stored form, of a country that is not among these; none names them all.

    `countries` are ISO 3166-1 codes. A number that could be of several countries (they share +1) is of all of them,
    as calling the wrong one is what costs.
    """
    parsed = _parsed(number)
    region = phonenumbers.region_code_for_number(parsed)
    regions = [region] if region else phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    if countries and not set(regions) <= set(countries):
        raise InvalidRequest("Phone numbers of this country can't be used here.")


def masked(number: str) -> str:
    """A number, in stored form, as it is shown: `+XX XXXXXXX89`, and an extension's last digit."""
    parsed = _parsed(number)
    national = phonenumbers.national_significant_number(parsed)
    shown = f"+{_crossed_out(str(parsed.country_code), 0)} {_crossed_out(national, 2)}"
    _, mark, extension = number.partition(_EXTENSION_MARK)
    return f"{shown} ext. {_crossed_out(extension, 1)}" if mark else shown


def all_countries() -> frozenset[str]:
    """The ISO 3166-1 codes of all countries that have numbers."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def _crossed_out(digits: str, keep: int) -> str:
    return "X" * (len(digits) - keep) + digits[len(digits) - keep :]


def _parsed(number: str) -> phonenumbers.PhoneNumber:
    return phonenumbers.parse(number.partition(_EXTENSION_MARK)[0], None)
