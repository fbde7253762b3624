"""`otpauth://totp/…` URIs, by which authenticator apps take a key: made here, and read where a person brings one.

The form is Google Authenticator's "Key URI Format", which no standard fixes. What weakens codes is refused when read,
with the reason; what only departs from the usual is kept (`TotpKey`). Called by the use cases of registration.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import msgspec

from push_service.model.errors import InvalidRequest
from push_service.model.totp import Algorithm, TotpKey

MAX_URI = 1024
MAX_NAME = 64
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 16, 64
"""RFC 4226, 4, R6: 128 bits at least. More than the longest hash's own length adds nothing."""
DIGITS = range(6, 7)
"""Six, as the page asks for (RFC 4226, 5.3: at least). Eight would do as well, but hardly any app shows them."""
PERIODS = range(15, 61)
"""Seconds. With longer steps a code could be used minutes after it was seen; shorter ones can't be typed in time."""

_NUMBER = re.compile(r"[0-9]{1,3}")
_BASE32 = re.compile(r"[A-Z2-7]+=*")


class Authenticator(msgspec.Struct, frozen=True):
    """An entry of an authenticator app, as it lists it."""

    key: TotpKey
    account: str
    issuer: str | None


def uri(entry: Authenticator) -> str:
    """The URI of an entry. Everything is told, the usual too: not every app assumes the same."""
    issuer = entry.issuer.replace(":", " ") if entry.issuer else None  # a colon ends the issuer
    label = f"{quote(issuer, safe='')}:{quote(entry.account, safe='')}" if issuer else quote(entry.account, safe="")
    key = entry.key
    query = {
        "secret": key.secret,
        **({"issuer": issuer} if issuer else {}),
        "algorithm": key.algorithm.value,
        "digits": str(key.digits),
        "period": str(key.period),
    }
    return f"otpauth://totp/{label}?{urlencode(query, quote_via=quote)}"


def read(text: str) -> Authenticator:
    """Read the URI that a person brings. Raises InvalidRequest, which never repeats a secret."""
    if len(text) > MAX_URI or not text.isascii() or not text.isprintable():
        raise InvalidRequest("This is not an otpauth URI.")
    try:
        parts = urlsplit(text)
        pairs = parse_qsl(parts.query, strict_parsing=True, max_num_fields=16, errors="strict")
        label = unquote(parts.path.removeprefix("/"), errors="strict")
    except ValueError as error:
        raise InvalidRequest("This is not an otpauth URI.") from error
    if parts.scheme != "otpauth" or parts.fragment:
        raise InvalidRequest("This is not an otpauth URI.")
    if parts.netloc.lower() != "totp":
        raise InvalidRequest("Only codes that change with time can be used (otpauth://totp/).")
    query = dict(pairs)
    if len(query) != len(pairs):
        raise InvalidRequest("The otpauth URI says something twice.")
    return _entry(label, query)


def _entry(label: str, query: dict[str, str]) -> Authenticator:
    prefix, account = label.split(":", 1) if ":" in label else ("", label)
    issuer = query.get("issuer") or prefix
    if prefix and prefix != issuer:
        raise InvalidRequest("The otpauth URI names two issuers.")
    account = account.strip()
    if not account or any(len(name) > MAX_NAME or not name.isprintable() for name in (account, issuer)):
        raise InvalidRequest(f"The otpauth URI's account and issuer have 1 to {MAX_NAME} visible characters.")
    key = TotpKey(
        _secret(query.get("secret", "")),
        _algorithm(query.get("algorithm", "SHA1")),
        _number("digits", query.get("digits", "6"), DIGITS),
        _number("period", query.get("period", "30"), PERIODS),
    )
    return Authenticator(key, account, issuer or None)


def _secret(text: str) -> str:
    written = text.replace(" ", "").replace("-", "").upper()  # as people read it aloud, and apps show it
    bare = written.rstrip("=")
    try:
        raw = base64.b32decode(bare + "=" * (-len(bare) % 8)) if _BASE32.fullmatch(written) else b""
    except binascii.Error:
        raw = b""
    if not raw:
        raise InvalidRequest("The otpauth URI's secret is not base32.")
    if len(raw) < MIN_SECRET_BYTES:
        raise InvalidRequest(f"The otpauth URI's secret is too short: {MIN_SECRET_BYTES * 8} bits at least.")
    if len(raw) > MAX_SECRET_BYTES:
        raise InvalidRequest(f"The otpauth URI's secret is too long: {MAX_SECRET_BYTES * 8} bits at most.")
    return base64.b32encode(raw).decode().rstrip("=")


def _algorithm(text: str) -> Algorithm:
    try:
        return Algorithm(text.upper())
    except ValueError as error:
        raise InvalidRequest("The otpauth URI's algorithm is none of SHA1, SHA256 and SHA512.") from error


def _number(name: str, text: str, allowed: range) -> int:
    if not _NUMBER.fullmatch(text) or int(text) not in allowed:
        least, most = allowed[0], allowed[-1]
        raise InvalidRequest(f"The otpauth URI's {name} must be {least if least == most else f'{least} to {most}'}.")
    return int(text)
