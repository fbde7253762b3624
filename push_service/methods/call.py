"""A phone rings; the person answers, and presses # to finish.

Pressing # carries no secret from the browser (NIST SP 800-63B-4, 3.1.3), so it says no more than that somebody at that
phone agreed. Where the operator's policy asks for it, the number that the page shows is keyed in before the #: then a
secret does travel. 0# says that the sign-in is not theirs. Anything else is asked again.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from push_service.model.challenge import Challenge, MethodKind
from push_service.model.message import Via
from push_service.model.method import Answer, Asked, Draft, Judgement, KeyPress, PromptKind, Question, Verdict
from push_service.model.policy import Policy, Rate
from push_service.model.user import Guard, Method

FINISH, FRAUD = "#", "0#"


class PhoneCall:
    """`call_mobile` or `call_office`: which, is all that tells them apart."""

    amr: tuple[str, ...] = ("tel",)
    prompt = PromptKind.ANSWER_CALL
    disturbs = True
    asks_all = False
    counts = True
    spoils = False

    def __init__(self, kind: MethodKind) -> None:
        """Call this kind of phone."""
        self.kind = kind

    def seconds(self, policy: Policy) -> int:
        """As long as a sign-in waits."""
        return policy.sign_in_seconds

    def tries(self, policy: Policy) -> Rate:
        """Wrong numbers keyed in; there are none where # alone is asked."""
        return policy.wrong_codes

    def fits(self, code: str) -> bool:
        """It is not answered in the browser."""
        del code
        return False

    def ask(self, guard: Guard, method: Method, draft: Draft, taken: Iterable[str], policy: Policy) -> Question:
        """Call the method's number."""
        del guard, taken
        pin = draft.digits[: policy.call_pin_digits]
        return Question(secret=pin or None, digits=len(pin), target=method.target, via=Via.CALL)

    def judge(self, asked: Asked, answer: Answer) -> Judgement:
        """Hear the keys."""
        keys = answer.keys if isinstance(answer, KeyPress) else ""
        return Judgement(_worth(asked.challenge, keys), asked.guard)


def _worth(challenge: Challenge, keys: str) -> Verdict:
    if keys == FRAUD:
        return Verdict.FRAUD
    if challenge.secret is None:
        return Verdict.RIGHT if keys == FINISH else Verdict.UNCLEAR
    if len(keys) != challenge.digits + 1 or not keys.endswith(FINISH):
        return Verdict.UNCLEAR
    right = hmac.compare_digest(f"{challenge.secret}{FINISH}".encode(), keys.encode())
    return Verdict.RIGHT if right else Verdict.WRONG
