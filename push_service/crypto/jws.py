"""Compact JWS (RFC 7515) with ES256 (RFC 7518, 3.4), in the one form that this service writes and accepts.

The algorithm is never taken from the token: there is one. The envelope is read strictly, so that no second reading of
the same text exists: three parts, canonical base64url without padding, a header of `alg`, `typ` and `kid` alone, no
member twice. The arithmetic is PyJWT's.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import re

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from push_service import strict_json
from push_service.model.device import PublicKey
from push_service.model.errors import InvalidRequest

ALGORITHM = "ES256"
MAX_TOKEN = 8192
_SIGNATURE_LENGTH = 86
_COORDINATE_BYTES = 32
_ES256 = ECAlgorithm(ECAlgorithm.SHA256)
_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


class BadToken(Exception):
    """The token is not an acceptable JWS; says why, for the audit, not for whoever sent it."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The only header members accepted.

    `jwk` is never used as a key: an activation proof may carry it as RFC 9449 does, anything else is refused with it.
    """

    alg: str
    typ: str
    kid: str | None = None
    jwk: dict[str, str] | None = None


class Unverified(msgspec.Struct, frozen=True):
    """A token whose form is right and whose signature has not been looked at."""

    header: Header
    payload: bytes
    signed: bytes
    signature: bytes


def parse(token: str, typ: str) -> Unverified:
    """Take a token apart. `typ` decides before any claim is read (RFC 8725, 3.11). Raises BadToken."""
    if len(token) > MAX_TOKEN or not token.isascii():
        raise BadToken("too long, or not ASCII")
    parts = token.split(".")
    if len(parts) != 3 or len(parts[2]) != _SIGNATURE_LENGTH:  # noqa: PLR2004 - header, payload, signature
        raise BadToken("not a compact JWS")
    try:
        header = strict_json.decode(from_base64url(parts[0]), Header)
    except InvalidRequest:
        raise BadToken("header not acceptable") from None
    if header.alg != ALGORITHM:
        raise BadToken("algorithm")
    if header.typ != typ:
        raise BadToken("typ")
    signed = token[: len(token) - _SIGNATURE_LENGTH - 1].encode()
    return Unverified(header, from_base64url(parts[1]), signed, from_base64url(parts[2]))


def verify(token: Unverified, key: ec.EllipticCurvePublicKey) -> bytes:
    """The payload, if the key signed it. Raises BadToken."""
    if not _ES256.verify(token.signed, key, token.signature):
        raise BadToken("signature")
    return token.payload


def sign(payload: bytes, key: ec.EllipticCurvePrivateKey, encoded_header: str) -> str:
    """A compact JWS; the header comes encoded, because it is the same for every token of a kind."""
    signed = f"{encoded_header}.{base64url(payload)}"
    return f"{signed}.{base64url(_ES256.sign(signed.encode(), key))}"


def encode_header(typ: str, kid: str) -> str:
    """The header part for tokens of that kind and key."""
    return base64url(msgspec.json.encode({"alg": ALGORITHM, "kid": kid, "typ": typ}))


@functools.lru_cache(maxsize=16384)
def load_key(key: PublicKey) -> ec.EllipticCurvePublicKey:
    """The key as an object. Raises BadToken if it isn't a point of P-256."""
    x, y = from_base64url(key.x), from_base64url(key.y)
    if len(x) != _COORDINATE_BYTES or len(y) != _COORDINATE_BYTES:
        raise BadToken("coordinates")
    try:
        return ec.EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1()
        ).public_key()
    except ValueError:
        raise BadToken("not a point of the curve") from None


def thumbprint(key: PublicKey) -> str:
    """RFC 7638: SHA-256 over the required members in order."""
    text = f'{{"crv":"P-256","kty":"EC","x":"{key.x}","y":"{key.y}"}}'
    return base64url(hashlib.sha256(text.encode()).digest())


def public_key_of(private: ec.EllipticCurvePrivateKey) -> PublicKey:
    """The public half of a key, in wire form."""
    numbers = private.public_key().public_numbers()
    return PublicKey(
        base64url(numbers.x.to_bytes(_COORDINATE_BYTES, "big")), base64url(numbers.y.to_bytes(_COORDINATE_BYTES, "big"))
    )


def base64url(data: bytes) -> str:
    """RFC 7515, section 2: URL-safe, no padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """The bytes; only their one canonical form is accepted. Raises BadToken."""
    if not _ALPHABET.fullmatch(text):
        raise BadToken("not base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise BadToken("not base64url") from None
    if len(text) % 4 and base64url(data[-(len(data) % 3) :]) != text[-(len(text) % 4) :]:
        raise BadToken("not canonical base64url")
    return data
