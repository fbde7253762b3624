"""A code from a list that the person made beforehand and keeps on paper, typed in the page (a look-up secret).

For whoever has no phone at hand. Each code works once (NIST SP 800-63B-4, 3.1.2): the decision that accepts it strikes
it from the list. Only keyed hashes are kept.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from push_service.model.challenge import MethodKind
from push_service.model.codes import is_printed_code
from push_service.model.method import Answer, Asked, Draft, Judgement, PromptKind, Question, TypedCode, Verdict
from push_service.model.policy import Policy, Rate
from push_service.model.user import Guard, Method


class RecoveryCode:
    """`recovery_code`."""

    kind = MethodKind.RECOVERY_CODE
    amr: tuple[str, ...] = ("otp",)
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
        """The person has the list already."""
        del guard, draft, taken, policy
        return Question(target=method.target)

    def judge(self, asked: Asked, answer: Answer) -> Judgement:
        """Look for it on the list, at all places whatever is found."""
        guard = asked.guard
        if not isinstance(answer, TypedCode) or guard.recovery is None:
            return Judgement(Verdict.WRONG, guard)
        if not any([hmac.compare_digest(each, answer.mac) for each in guard.recovery.macs]):  # noqa: C419 - all are compared
            return Judgement(Verdict.WRONG, guard)
        return Judgement(Verdict.RIGHT, guard.without_recovery_code(answer.mac))
