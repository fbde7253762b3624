"""A device's answer, and what is told to one that comes again or too late."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from push_service.model.challenge import Challenge, ChallengeState
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.errors import TooLate, UnknownDevice
from push_service.model.instant import Instant
from push_service.model.method import AnswerDecision, Asked, Methods, SignedAnswer, Verdict
from push_service.model.policy import Policy
from push_service.model.rules.changes import Changes
from push_service.model.rules.settle import Given, heed_fraud, settle
from push_service.model.sign_in import Reason, SignIn, SignInState
from push_service.model.user import Snapshot
from push_service.model.view import readable


class AnswerOutcome(StrEnum):
    """What the answering device is told."""

    COMPLETED = "completed"
    DENIED = "denied"
    FRAUD_REPORTED = "fraud_reported"
    WRONG_NUMBER = "wrong_number"


_OUTCOMES = {
    Verdict.RIGHT: AnswerOutcome.COMPLETED,
    Verdict.DENIED: AnswerOutcome.DENIED,
    Verdict.FRAUD: AnswerOutcome.FRAUD_REPORTED,
    Verdict.WRONG: AnswerOutcome.WRONG_NUMBER,
}


def answer(
    snapshot: Snapshot, now: Instant, given: SignedAnswer, methods: Methods, policy: Policy
) -> Decision[AnswerOutcome | None]:
    """Decide by an answer to a challenge that was put to phones.

    None: the challenge is not pending any more; what it became is for the caller to read.
    """
    changes = Changes(snapshot, now)
    if not any(each.id == given.device_id and each.thumbprint == given.thumbprint for each in changes.guard.devices):
        return changes.refuse(
            UnknownDevice(),
            Audit(kind=AuditKind.ANSWER_REFUSED, actor=Actor.DEVICE, source=given.device_id),
        )
    pending = changes.asked(given.challenge_id)
    if pending is None or pending.challenge is None:
        return changes.decision(None)
    judgement = methods[pending.challenge.kind].judge(Asked(pending.challenge, changes.guard, now), given)
    settle(changes, pending, judgement, _by(given), methods, policy)
    decision = changes.decision(_OUTCOMES[judgement.verdict], until=pending.sign_in.expires_at)
    alone = len(changes.guard.devices) == 1 and len(decision.challenges) == 1
    return msgspec.structs.replace(decision, devices_know=alone)


def report_fraud_late(
    snapshot: Snapshot, now: Instant, given: SignedAnswer, sign_in: SignIn, policy: Policy
) -> Decision[None]:
    """A fraud report after the outcome.

    Too late to change it, but prompts stop and its result is no longer handed out.
    """
    changes = Changes(snapshot, now)
    changes.take_back_results()
    heed_fraud(changes, sign_in, _by(given), policy)
    return msgspec.structs.replace(
        changes.decision(None), refusal=TooLate(state=reached(sign_in, now).value, reported=True)
    )


def repeated(challenge: Challenge, sign_in: SignIn, given: SignedAnswer, now: Instant) -> AnswerOutcome:
    """The reply to an answer whose challenge is over: the first one again for the same answer, else TooLate."""
    if challenge.answer_digest == given.digest and readable(sign_in, now):
        if challenge.state is ChallengeState.COMPLETED:
            return AnswerOutcome.COMPLETED
        if challenge.reason is Reason.FRAUD_REPORTED:
            return AnswerOutcome.FRAUD_REPORTED
        if challenge.state is ChallengeState.DENIED:
            return AnswerOutcome.DENIED
        return AnswerOutcome.WRONG_NUMBER
    raise TooLate(state=reached(sign_in, now).value)


def reached(sign_in: SignIn, now: Instant) -> SignInState:
    """The state that a reader sees at `now`: expiry is derived, not awaited."""
    return sign_in.state if not sign_in.live or sign_in.open_at(now) else SignInState.EXPIRED


def is_fraud_report(given: SignedAnswer) -> bool:
    """Whether the answer reports fraud, which is heard even when it comes too late."""
    return given.decision is AnswerDecision.REPORT_FRAUD


def _by(given: SignedAnswer) -> Given:
    return Given(actor=Actor.DEVICE, source=given.device_id, device_id=given.device_id, digest=given.digest)
