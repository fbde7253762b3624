"""Makes the random and signed parts of a challenge, before any rule runs.

The context is what the phone shows, signed by the service: the person decides about the application, the place and the
browser that they see, and their answer binds exactly that text.
"""

from __future__ import annotations

import os
import secrets

import msgspec

from push_service.model import ids
from push_service.model.codes import DRAWN_DIGITS
from push_service.model.ids import ChallengeId
from push_service.model.instant import Instant, after, rfc3339
from push_service.model.method import Draft
from push_service.model.policy import MAX_SIGN_IN_SECONDS, Confirm, Policy
from push_service.model.sign_in import Asker
from push_service.ports import TokenSigner

CONTEXT_TYP = "sign-in-context+jwt"
_NONCE_BYTES = 18


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a phone shows; also the frame's members."""

    iss: str
    id: ChallengeId
    nonce: str
    username: str
    application: str
    ip: str | None
    location: str | None
    browser: str | None
    requested_at: str
    expires_at: str
    confirm: Confirm
    digits: int


class Drafter:
    """Drafts challenges with the service's signing key."""

    def __init__(self, signer: TokenSigner, policy: Policy, issuer: str) -> None:
        """Sign contexts as this issuer."""
        self._signer, self._policy, self._issuer = signer, policy, issuer
        self._encode = msgspec.json.Encoder().encode

    def draft(
        self, now: Instant, username: str, application: str, asker: Asker, *, begun_at: Instant | None = None
    ) -> Draft:
        """Draft a challenge put at `now`; its sign-in never outlives its longest time from `begun_at`."""
        policy = self._policy
        latest = after(now if begun_at is None else begun_at, MAX_SIGN_IN_SECONDS)
        expires_at = min(after(now, policy.sign_in_seconds), latest)
        challenge_id, nonce = ids.challenge_id(), secrets.token_urlsafe(_NONCE_BYTES)
        context = Context(
            iss=self._issuer,
            id=challenge_id,
            nonce=nonce,
            username=username,
            application=application,
            ip=asker.ip,
            location=None,
            browser=asker.browser,
            requested_at=rfc3339(now),
            expires_at=rfc3339(expires_at),
            confirm=policy.confirm,
            digits=policy.number_digits if policy.confirm is Confirm.NUMBER else 0,
        )
        return Draft(
            challenge_id=challenge_id,
            nonce=nonce,
            context=self._signer.sign(self._encode(context), CONTEXT_TYP),
            numbers=self._numbers(),
            digits=f"{secrets.randbelow(10**DRAWN_DIGITS):0{DRAWN_DIGITS}d}",
            requested_at=now,
            expires_at=expires_at,
            latest=latest,
        )

    def _numbers(self) -> tuple[str, ...]:
        """Distinct numbers, one more than can be pending. From 64 bits each, so that none is likelier by 10^-11."""
        digits, wanted = self._policy.number_digits, self._policy.pending_per_person + 1
        drawn: dict[str, None] = {}
        while len(drawn) < wanted:
            noise = os.urandom(8 * wanted)
            for start in range(0, len(noise), 8):
                number = int.from_bytes(noise[start : start + 8], "big") % 10**digits
                drawn[f"{number:0{digits}d}"] = None
        return tuple(drawn)
