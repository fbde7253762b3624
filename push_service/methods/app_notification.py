"""The app shows the sign-in; the person types the number that the browser shows, and presses Verify.

Typing the number carries a secret from the browser to the phone (NIST SP 800-63B-4, 3.1.3.1), so that pressing a button
on a prompt one didn't cause is not enough. Where the operator's policy says so, a tap is.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from push_service.model.challenge import MethodKind
from push_service.model.method import (
    Answer,
    AnswerDecision,
    Asked,
    Draft,
    Judgement,
    PromptKind,
    Question,
    SignedAnswer,
    Verdict,
)
from push_service.model.policy import Confirm, Policy, Rate
from push_service.model.user import Guard, Method


class AppNotification:
    """`app_notification`: all of the person's phones are asked; the first valid answer counts."""

    kind = MethodKind.APP_NOTIFICATION
    amr: tuple[str, ...] = ("swk",)
    prompt = PromptKind.APPROVE_ON_DEVICE
    disturbs = True
    asks_all = True
    counts = True
    spoils = True

    def seconds(self, policy: Policy) -> int:
        """As long as a sign-in waits."""
        return policy.sign_in_seconds

    def tries(self, policy: Policy) -> Rate:
        """Two digits are soon guessed: few."""
        return policy.wrong_numbers

    def fits(self, code: str) -> bool:
        """It is not answered in the browser."""
        del code
        return False

    def ask(self, guard: Guard, method: Method, draft: Draft, taken: Iterable[str], policy: Policy) -> Question:
        """Ask every enrolled device, with a number that none of the person's other prompts has."""
        on = {each.device_id for each in guard.methods if each.kind is self.kind and not each.disabled}
        asked = [device for device in guard.devices if device.id in on]
        names, devices = ", ".join(each.name for each in asked), tuple(each.id for each in asked)
        if policy.confirm is Confirm.TAP:
            return Question(secret=None, digits=0, target=names or method.target, devices=devices)
        used = frozenset(taken)
        number = next(each for each in draft.numbers if each not in used)
        return Question(secret=number, digits=policy.number_digits, target=names or method.target, devices=devices)

    def judge(self, asked: Asked, answer: Answer) -> Judgement:
        """Compare the number in constant time; deny and fraud need none."""
        return Judgement(_worth(asked.challenge.secret, answer), asked.guard)


def _worth(number: str | None, answer: Answer) -> Verdict:
    if not isinstance(answer, SignedAnswer):
        return Verdict.UNCLEAR
    if answer.decision is AnswerDecision.DENY:
        return Verdict.DENIED
    if answer.decision is AnswerDecision.REPORT_FRAUD:
        return Verdict.FRAUD
    if number is None:
        return Verdict.RIGHT
    given = (answer.number or "").encode()  # as bytes: of texts, only ASCII can be compared
    return Verdict.RIGHT if hmac.compare_digest(number.encode(), given) else Verdict.WRONG
