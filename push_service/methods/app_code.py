"""The app shows a code that changes every half minute; the person types it in the page (RFC 6238).

Nothing is sent, so asking disturbs nobody and needs no network. Each step's code counts once, also among guesses made
at the same time: the step used is written by the decision that accepts it.
"""

from __future__ import annotations

from collections.abc import Iterable

from push_service.model import totp
from push_service.model.challenge import MethodKind
from push_service.model.codes import CODE_DIGITS, is_code
from push_service.model.method import Answer, Asked, Draft, Judgement, PromptKind, Question, TypedCode, Verdict
from push_service.model.policy import Policy, Rate
from push_service.model.user import Guard, Method


class AppCode:
    """`app_code`: of our app or of any other that makes such codes."""

    kind = MethodKind.APP_CODE
    amr: tuple[str, ...] = ("otp",)
    prompt = PromptKind.ENTER_CODE
    disturbs = False
    asks_all = False
    counts = True
    spoils = False

    def seconds(self, policy: Policy) -> int:
        """As long as a sign-in waits."""
        return policy.sign_in_seconds

    def tries(self, policy: Policy) -> Rate:
        """Three codes are right at a time, so few."""
        return policy.wrong_codes

    def fits(self, code: str) -> bool:
        """Six digits."""
        return is_code(code)

    def ask(self, guard: Guard, method: Method, draft: Draft, taken: Iterable[str], policy: Policy) -> Question:
        """The app knows the code already."""
        del guard, draft, taken, policy
        return Question(digits=CODE_DIGITS, target=method.target)

    def judge(self, asked: Asked, answer: Answer) -> Judgement:
        """Hold it against the codes of now, by the method's own secret."""
        if not isinstance(answer, TypedCode) or answer.secret is None:
            return Judgement(Verdict.WRONG, asked.guard)
        method_id, guard = asked.challenge.method_id, asked.guard
        use = totp.verify(answer.secret, answer.code, asked.now, guard.totp.get(method_id))
        if use is None:
            return Judgement(Verdict.WRONG, guard)
        return Judgement(Verdict.RIGHT, guard.remembering(method_id, use))
