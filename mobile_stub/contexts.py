"""Is a challenge really what the service signed? Verification of its `context`, before anything is shown.

The frame is what the socket said; the context is a JWS by the service over what the phone shows. The phone answers over
the context's digest, so showing anything else than its payload would let the two differ. Called by `phone.py` for every
new challenge, from socket and poll alike.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

import jwt
import msgspec

from mobile_stub.errors import PhoneError, UntrustedPromptError
from mobile_stub.wire import Challenge

if TYPE_CHECKING:
    from mobile_stub.keys import Jwks

CONTEXT_TYPE = "sign-in-context+jwt"
SHOWN = ("application", "ip", "location", "browser", "requested_at")
"""What a person judges a sign-in by: the context has to contain it (absent is the same as null)."""
ALSO = ("username", "nonce", "expires_at", "confirm", "digits")
"""What else the frame carries: where the context repeats it, it has to be the same."""

_jws: Final = jwt.PyJWS(algorithms=["ES256"])


class ContextClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a context.

    Everything is optional here, because its absence is to be told apart from a difference.
    """

    iss: str | msgspec.UnsetType = msgspec.UNSET
    id: str | msgspec.UnsetType = msgspec.UNSET
    challenge_id: str | msgspec.UnsetType = msgspec.UNSET
    application: str | None = None
    ip: str | None = None
    location: str | None = None
    browser: str | None = None
    requested_at: datetime | None = None
    username: str | msgspec.UnsetType = msgspec.UNSET
    nonce: str | msgspec.UnsetType = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType = msgspec.UNSET
    confirm: str | msgspec.UnsetType = msgspec.UNSET
    digits: int | msgspec.UnsetType | None = msgspec.UNSET


class KeySource(Protocol):
    """Where the service's newest public keys come from."""

    async def fetch_jwks(self) -> Jwks:
        """The key set as published now; PhoneError if it can't be had."""


class ContextChecker:
    """Checks contexts of one service; asks for its keys again when a context names one that isn't known yet."""

    def __init__(self, issuer: str, jwks: Jwks, source: KeySource) -> None:
        self._issuer = issuer
        self._source = source
        self.jwks = jwks

    async def check(self, challenge: Challenge) -> None:
        """Return if the challenge may be shown; UntrustedPromptError if not."""
        claims = await self._claims(challenge)
        differing = [member for member in SHOWN if getattr(claims, member) != getattr(challenge, member)]
        differing += [
            member for member in ALSO if getattr(claims, member) not in (msgspec.UNSET, getattr(challenge, member))
        ]
        if any(named not in (msgspec.UNSET, challenge.id) for named in (claims.id, claims.challenge_id)):
            differing.append("id")
        if claims.iss not in (msgspec.UNSET, self._issuer):
            differing.append("iss")
        if differing:
            raise UntrustedPromptError(challenge.id, f"signed context and frame differ in {', '.join(differing)}")

    async def _claims(self, challenge: Challenge) -> ContextClaims:
        try:
            header = jwt.get_unverified_header(challenge.context)
            if header.get("typ") != CONTEXT_TYPE:
                raise UntrustedPromptError(challenge.id, f"typ is {header.get('typ')!r}")
            key = await self._key(challenge.id, str(header.get("kid")))
            payload: bytes = _jws.decode_complete(challenge.context, key, algorithms=["ES256"])["payload"]
            return msgspec.json.decode(payload, type=ContextClaims)
        except (jwt.PyJWTError, msgspec.DecodeError) as error:
            raise UntrustedPromptError(challenge.id, str(error)) from error

    async def _key(self, challenge_id: str, kid: str) -> jwt.PyJWK:
        found = self._known(kid)
        if found is None:
            try:
                self.jwks = await self._source.fetch_jwks()
            except PhoneError as error:
                raise UntrustedPromptError(challenge_id, f"the keys can't be fetched: {error}") from error
            found = self._known(kid)
        if found is None:
            raise UntrustedPromptError(challenge_id, f"the service has no key {kid!r}")
        return found

    def _known(self, kid: str) -> jwt.PyJWK | None:
        for key in self.jwks.keys:
            if key.kid == kid:
                return jwt.PyJWK(msgspec.to_builtins(key), algorithm="ES256")
        return None
