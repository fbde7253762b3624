"""What a phone signs: a proof for every request, and the answer to a challenge.

A proof shows that a request comes from the phone's key, in the manner of RFC 9449 (DPoP). An answer binds a decision to
one challenge and to the exact text of the context that was shown. Both are plain values here, so that a test can alter
any claim (`msgspec.structs.replace`), name any `kid` and hand in any signer before it signs.
"""

from __future__ import annotations

import secrets
from enum import StrEnum

import msgspec

from mobile_stub.keys import JoseHeader, Signer, digest, sign

PROOF_TYPE = "device-proof+jwt"
ANSWER_TYPE = "device-answer+jwt"
JTI_BYTES = 16


class Decision(StrEnum):
    """What a person may say to a challenge."""

    VERIFY = "verify"
    DENY = "deny"
    REPORT_FRAUD = "report_fraud"


class ProofClaims(msgspec.Struct, frozen=True, omit_defaults=True):
    """Claims of a proof; times are whole seconds since 1970. `jti` may be used once only."""

    htm: str
    htu: str
    iat: int
    jti: str
    ach: str | None = None
    nonce: str | None = None


class AnswerClaims(msgspec.Struct, frozen=True, omit_defaults=True):
    """Claims of an answer; `number` is left out where none was asked for."""

    challenge_id: str
    nonce: str
    decision: str
    ctx: str
    iat: int
    number: str | None = None


def proof_claims(
    method: str, url: str, now: float, *, activation_code: str | None = None, nonce: str | None = None
) -> ProofClaims:
    """Claims for one request to `url` (without query; http or https even for the socket) with a fresh `jti`."""
    return ProofClaims(
        htm=method,
        htu=url,
        iat=int(now),
        jti=secrets.token_urlsafe(JTI_BYTES),
        ach=None if activation_code is None else digest(activation_code),
        nonce=nonce,
    )


def sign_proof(claims: ProofClaims, signer: Signer, kid: str | None = None) -> str:
    """The proof itself; `kid` is the device's id, which at activation doesn't exist yet."""
    return sign(JoseHeader(alg=signer.alg, typ=PROOF_TYPE, kid=kid), claims, signer)


def sign_answer(claims: AnswerClaims, signer: Signer, kid: str) -> str:
    """The answer itself."""
    return sign(JoseHeader(alg=signer.alg, typ=ANSWER_TYPE, kid=kid), claims, signer)
