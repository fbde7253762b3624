"""A code that an administrator tells somebody who is locked out, for one sign-in within some minutes.

It is no second factor: whoever calls the help desk has it. So its result says `pwd` alone, and it opens neither the
settings nor the administration; a new phone is not registered by it (S-61).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from push_service.model.challenge import MethodKind
from push_service.model.codes import is_printed_code
from push_service.model.method import Answer, Asked, Draft, Judgement, PromptKind, Question, TypedCode, Verdict
from push_service.model.policy import Policy, Rate
from push_service.model.user import Guard, Method


class OneTimeBypass:
    """`bypass`."""

    kind = MethodKind.BYPASS
    amr: tuple[str, ...] = ()
    prompt = PromptKind.ENTER_CODE
    disturbs = False
    asks_all = False
    counts = False
    spoils = False

    def seconds(self, policy: Policy) -> int:
        """As long as a sign-in waits."""
        return policy.sign_in_seconds

    def tries(self, policy: Policy) -> Rate:
        """As of any code, though nobody guesses one of 80 bits."""
        return policy.wrong_codes

    def fits(self, code: str) -> bool:
        """Sixteen letters and digits, however they are grouped."""
        return is_printed_code(code)

    def ask(self, guard: Guard, method: Method, draft: Draft, taken: Iterable[str], policy: Policy) -> Question:
        """The administrator tells it."""
        del guard, draft, taken, policy
        return Question(target=method.target)

    def judge(self, asked: Asked, answer: Answer) -> Judgement:
        """Right until it was used, or its time is over."""
        guard = asked.guard
        if not isinstance(answer, TypedCode) or guard.bypass is None or asked.now >= guard.bypass.expires_at:
            return Judgement(Verdict.WRONG, guard)
        if not hmac.compare_digest(guard.bypass.mac, answer.mac):
            return Judgement(Verdict.WRONG, guard)
        return Judgement(Verdict.RIGHT, guard.without_bypass())
