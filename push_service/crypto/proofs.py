"""A device's proof of its key, in the manner of RFC 9449 (DPoP): for one request, at one time, once."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

import msgspec

from push_service import strict_json
from push_service.crypto import jws
from push_service.model.device import PublicKey
from push_service.model.errors import InvalidProof, InvalidRequest
from push_service.model.instant import Instant, rfc3339, unix

TYP = "device-proof+jwt"
SKEW_SECONDS = 60


class _Claims(msgspec.Struct, frozen=True):
    htm: str
    htu: str
    iat: int
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    nonce: str | None = None
    ach: str | None = None


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the proof must be about."""

    method: str
    url: str
    now: Instant
    nonce: str | None = None
    """On the socket: the one of its hello."""
    activation: str | None = None
    """At activation: the code, whose digest is `ach`."""


def device_of(token: str, now: Instant) -> str:
    """Which device a proof claims to be from: to look it up by. Raises InvalidProof."""
    try:
        header = jws.parse(token, TYP).header
        kid = header.kid if header.jwk is None else None
    except jws.BadToken:
        kid = None
    if not kid:
        raise InvalidProof(server_time=rfc3339(now))
    return kid


def check(token: str, key: PublicKey, expected: Expected) -> str:
    """The digest of the proof's `jti`, if the key signed it for what is expected. Raises InvalidProof."""
    refusal = InvalidProof(server_time=rfc3339(expected.now))
    try:
        claims = strict_json.decode(jws.verify(jws.parse(token, TYP), jws.load_key(key)), _Claims)
    except (jws.BadToken, InvalidRequest):
        raise refusal from None
    about_this = claims.htm == expected.method and claims.htu == expected.url
    timely = abs(claims.iat - unix(expected.now)) <= SKEW_SECONDS
    fresh = expected.nonce is None or _equal(claims.nonce, expected.nonce)
    coded = expected.activation is None or _equal(claims.ach, code_digest(expected.activation))
    if not (about_this and timely and fresh and coded):
        raise refusal
    return jws.base64url(hashlib.sha256(claims.jti.encode()).digest())


def code_digest(code: str) -> str:
    """What `ach` must be: base64url SHA-256 of the activation code."""
    return jws.base64url(hashlib.sha256(code.encode()).digest())


def _equal(given: str | None, wanted: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), wanted.encode())
