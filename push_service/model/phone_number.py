"""Phone numbers in the one form that is stored: E.164, with `;ext=N` (RFC 3966) where an office has extensions.

Numbers that can't be dialled, or that cost the caller extra, are refused: otherwise the operator pays for whatever
numbers people come up with (toll fraud, S-19). Whether a possible number is in use is not judged here: numbering plans
grow faster than tables of them, and an operator enters numbers of people they know.
"""

from __future__ import annotations

import re

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
    return f"{e164(number)};ext={extension}"
