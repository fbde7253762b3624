"""What the core asks of a verification method.

One file in `methods/` implements it; adding a method is adding a file. A method knows how a question is put (which
secret, to whom) and what an answer is worth. It knows nothing of sign-ins, limits or outcomes: those are the same for
all of them and live in `rules/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from push_service.model.challenge import Challenge, MethodKind
from push_service.model.ids import ChallengeId, DeviceId
from push_service.model.instant import Instant
from push_service.model.message import Via
from push_service.model.policy import Policy, Rate
from push_service.model.user import Guard, Method, usable_methods


class PromptKind(StrEnum):
    """What the person does to answer."""

    APPROVE_ON_DEVICE = "approve_on_device"
    ENTER_CODE = "enter_code"
    ANSWER_CALL = "answer_call"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """All that is random or signed about a challenge, made before the rule runs, so that the rule may run again."""

    challenge_id: ChallengeId
    nonce: str
    context: str
    numbers: tuple[str, ...]
    """Distinct random numbers of the policy's digits, more than a person can have pending."""
    digits: str
    """Random digits: a code takes as many as it has, from the beginning."""
    requested_at: Instant
    expires_at: Instant
    """When a prompt on a phone ends."""
    latest: Instant
    """No challenge of this sign-in lives longer."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """How a method puts its question."""

    secret: str | None = None
    digits: int = 0
    target: str
    devices: tuple[DeviceId, ...] = ()
    """The phones whose apps are asked."""
    via: Via | None = None
    """By what the method's number is written to, or called."""


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


class TypedCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code that was typed in the browser."""

    code: str
    secret: str | None
    """The method's own secret, where it has one."""
    mac: str
    """The code's keyed hash for this person, for codes of which only that is kept."""


class KeyPress(msgspec.Struct, frozen=True):
    """The keys that were pressed in a call, after it asked for them."""

    keys: str


Answer = SignedAnswer | TypedCode | KeyPress


class Verdict(StrEnum):
    """What an answer is worth."""

    RIGHT = "right"
    WRONG = "wrong"
    DENIED = "denied"
    FRAUD = "fraud"
    UNCLEAR = "unclear"
    """Not an answer to what was asked: the question stands, and no try is counted."""


class Asked(NamedTuple):
    """What an answer is held against."""

    challenge: Challenge
    guard: Guard
    now: Instant


class Judgement(NamedTuple):
    """A verdict, and the guard with what the method remembers of it (a code that is used up)."""

    verdict: Verdict
    guard: Guard


class VerificationMethod(Protocol):
    """One way to verify."""

    kind: MethodKind
    amr: tuple[str, ...]
    """RFC 8176 values that a right answer adds; none for what is not a second factor."""
    prompt: PromptKind
    disturbs: bool
    """Whether asking makes something appear or ring at the person: only such asking is limited as a prompt."""

    asks_all: bool
    """Whether asking by one method of this kind asks all of the kind at once."""

    counts: bool
    """Whether who has it is registered."""

    spoils: bool
    """Whether a wrong answer ends the sign-in; otherwise the question stands until the tries are used up."""

    def seconds(self, policy: Policy) -> int:
        """How long the question stands."""
        ...

    def tries(self, policy: Policy) -> Rate:
        """How many wrong answers one person may give."""
        ...

    def fits(self, code: str) -> bool:
        """Whether a typed code has the form of one; what has not is no try."""
        ...

    def ask(self, guard: Guard, method: Method, draft: Draft, taken: Iterable[str], policy: Policy) -> Question:
        """Put the question; `taken` are the secrets of the person's other pending challenges."""
        ...

    def judge(self, asked: Asked, answer: Answer) -> Judgement:
        """Say what the answer is worth; comparing takes the same time for every wrong value."""
        ...


Methods = Mapping[MethodKind, VerificationMethod]


def registered_methods(guard: Guard, methods: Methods) -> tuple[Method, ...]:
    """The usable methods that make a person registered: not those that are there for an emergency."""
    return tuple(each for each in usable_methods(guard, methods) if methods[each.kind].counts)
