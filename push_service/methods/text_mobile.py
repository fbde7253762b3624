"""A text message brings a code, which the person types in the page.

The code is random, good for this one challenge, and compared in constant time. Texts go over a network that others run
(NIST SP 800-63B-4, 3.1.3.3: restricted), so whoever has one is offered the app, too.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from push_service.model.challenge import MethodKind
from push_service.model.codes import CODE_DIGITS, is_code
from push_service.model.message import Via
from push_service.model.method import (
    Answer,
    Asked,
    Draft,
    Judgement,
    PromptKind,
    Question,
    TypedCode,
    Verdict,
)
from push_service.model.policy import Policy, Rate
from push_service.model.user import Guard, Method


class TextMobile:
    """`text_mobile`."""

    kind = MethodKind.TEXT_MOBILE
    amr: tuple[str, ...] = ("sms",)
    prompt = PromptKind.ENTER_CODE
    disturbs = True
    asks_all = False
    counts = True
    spoils = False

    def seconds(self, policy: Policy) -> int:
        """Texts take their time."""
        return policy.text_seconds

    def tries(self, policy: Policy) -> Rate:
        """Across all codes that were sent."""
        return policy.wrong_codes

    def fits(self, code: str) -> bool:
        """Six digits."""
        return is_code(code)

    def ask(self, guard: Guard, method: Method, draft: Draft, taken: Iterable[str], policy: Policy) -> Question:
        """Send a code to the method's number."""
        del guard, taken, policy  # two codes that are equal by chance are each bound to their own sign-in
        return Question(secret=draft.digits[:CODE_DIGITS], digits=CODE_DIGITS, target=method.target, via=Via.TEXT)

    def judge(self, asked: Asked, answer: Answer) -> Judgement:
        """Compare with the code that was sent."""
        if not isinstance(answer, TypedCode):
            return Judgement(Verdict.UNCLEAR, asked.guard)
        right = hmac.compare_digest((asked.challenge.secret or "").encode(), answer.code.encode())
        return Judgement(Verdict.RIGHT if right else Verdict.WRONG, asked.guard)
