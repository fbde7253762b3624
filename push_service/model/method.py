"""What the core asks of a verification method.

One file in `methods/` implements it; adding a method is adding a file. A method knows how a question is put (which
secret, to whom) and what an answer is worth. It knows nothing of sign-ins, limits or outcomes: those are the same for
all of them and live in `rules/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from push_service.model.challenge import Challenge, MethodKind
from push_service.model.ids import ChallengeId, DeviceId
from push_service.model.instant import Instant
from push_service.model.policy import Policy
from push_service.model.user import Guard, Method


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """All that is random or signed about a challenge, made before the rule runs, so that the rule may run again."""

    challenge_id: ChallengeId
    nonce: str
    context: str
    numbers: tuple[str, ...]
    """Distinct random numbers of the policy's digits, more than a person can have pending."""
    requested_at: Instant
    expires_at: Instant


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """How a method puts its question."""

    secret: str | None
    digits: int
    target: str
    devices: tuple[DeviceId, ...]


class AnswerDecision(StrEnum):
    """What a person pressed on the phone."""

    VERIFY = "verify"
    DENY = "deny"
    REPORT_FRAUD = "report_fraud"


class SignedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A device's answer whose signature, key, nonce and context have been checked."""

    challenge_id: ChallengeId
    device_id: DeviceId
    thumbprint: str
    """Of the key that signed it."""
    decision: AnswerDecision
    number: str | None
    digest: str
    """Equal for what counts as the same answer: challenge, device, decision and number."""


class Verdict(StrEnum):
    """What an answer is worth."""

    RIGHT = "right"
    WRONG = "wrong"
    DENIED = "denied"
    FRAUD = "fraud"


class VerificationMethod(Protocol):
    """One way to verify."""

    kind: MethodKind
    amr: tuple[str, ...]
    """RFC 8176 values that a right answer adds."""
    disturbs: bool
    """Whether asking makes something appear or ring at the person: only such asking is limited as a prompt."""

    asks_all: bool
    """Whether asking by one method of this kind asks all of the kind at once."""

    def ask(self, guard: Guard, method: Method, draft: Draft, taken: Iterable[str], policy: Policy) -> Question:
        """Put the question; `taken` are the secrets of the person's other pending challenges."""
        ...

    def judge(self, challenge: Challenge, answer: SignedAnswer) -> Verdict:
        """Say what the answer is worth; comparing takes the same time for every wrong value."""
        ...


Methods = Mapping[MethodKind, VerificationMethod]
