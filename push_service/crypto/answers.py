"""A device's signed answer, checked in everything that needs no decision: signature, key, nonce, context, claims.

Whatever fails here is `invalid_answer`: nothing changes and no try is counted. Whether the number is right is the
rule's to say.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re

import msgspec

from push_service import strict_json
from push_service.crypto import jws
from push_service.model.challenge import Challenge
from push_service.model.device import Device
from push_service.model.errors import InvalidAnswer, InvalidRequest
from push_service.model.instant import Instant, unix
from push_service.model.method import AnswerDecision, SignedAnswer

TYP = "device-answer+jwt"
SKEW_SECONDS = 60
_DIGITS = re.compile(r"[0-9]{2,8}")


class _Claims(msgspec.Struct, frozen=True):
    challenge_id: str
    nonce: str
    decision: AnswerDecision
    ctx: str
    iat: int
    number: str | None = None


class ReceivedAnswer:
    """An answer taken apart once, of which nothing is believed yet."""

    __slots__ = ("_claims", "_unverified")

    def __init__(self, token: str) -> None:
        """Read a token's form and claims. Raises InvalidAnswer."""
        try:
            self._unverified = jws.parse(token, TYP)
            self._claims = strict_json.decode(self._unverified.payload, _Claims)
        except (jws.BadToken, InvalidRequest):
            raise InvalidAnswer from None

    @property
    def challenge_id(self) -> str:
        """Which challenge it claims to be for: to look that up by."""
        return self._claims.challenge_id

    def check(self, device: Device, challenge: Challenge, now: Instant) -> SignedAnswer:
        """The answer, if this device signed it for this challenge. Raises InvalidAnswer."""
        header = self._unverified.header
        if header.kid != device.id or header.jwk is not None:
            raise InvalidAnswer
        try:
            jws.verify(self._unverified, jws.load_key(device.key))
        except jws.BadToken:
            raise InvalidAnswer from None
        return _checked(self._claims, device, challenge, now)


def _checked(claims: _Claims, device: Device, challenge: Challenge, now: Instant) -> SignedAnswer:
    fits = claims.challenge_id == challenge.id and hmac.compare_digest(claims.nonce.encode(), challenge.nonce.encode())
    shown = hmac.compare_digest(claims.ctx.encode(), context_digest(challenge.context).encode())
    timely = unix(challenge.started_at) - SKEW_SECONDS <= claims.iat <= unix(now) + SKEW_SECONDS
    if not (fits and shown and timely):
        raise InvalidAnswer
    verifying = claims.decision is AnswerDecision.VERIFY
    number = claims.number if verifying else None
    return SignedAnswer(
        challenge_id=challenge.id,
        device_id=device.id,
        thumbprint=device.thumbprint,
        decision=claims.decision,
        number=number,
        digest=_digest(challenge.id, device.id, claims.decision.value, number or ""),
    )


@functools.lru_cache(maxsize=4096)
def context_digest(context: str) -> str:
    """What an answer's `ctx` must be: base64url SHA-256 of the context's text."""
    return jws.base64url(hashlib.sha256(context.encode()).digest())


def require_number(given: SignedAnswer, challenge: Challenge) -> None:
    """Refuse a yes without a number of the right length. Raises InvalidAnswer.

    Only for a challenge that is still open: what comes too late is told so before the number is looked at.
    """
    if given.decision is not AnswerDecision.VERIFY or not challenge.digits:
        return
    if given.number is None or len(given.number) != challenge.digits or not _DIGITS.fullmatch(given.number):
        raise InvalidAnswer(f"The answer needs the number: {challenge.digits} digits, as a string.")


def _digest(*parts: str) -> str:
    return jws.base64url(hashlib.sha256("\0".join(parts).encode()).digest())
