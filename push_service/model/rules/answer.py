"""A device's answer: the one moment at which a sign-in is approved, denied or spoilt."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from push_service.model.challenge import Challenge, ChallengeState, MethodKind
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.errors import TooLate, UnknownDevice
from push_service.model.instant import Instant, after
from push_service.model.method import AnswerDecision, Methods, SignedAnswer, Verdict
from push_service.model.policy import CONSECUTIVE_FAILURES, Policy
from push_service.model.rules.changes import Changes
from push_service.model.rules.unverifiable import end_unverifiable
from push_service.model.sign_in import Reason, SignIn, SignInEvent, SignInState, result_jti
from push_service.model.throttle import remembered, room_at
from push_service.model.user import Failures, Snapshot
from push_service.model.view import readable


class AnswerOutcome(StrEnum):
    """What the answering device is told."""

    COMPLETED = "completed"
    DENIED = "denied"
    FRAUD_REPORTED = "fraud_reported"
    WRONG_NUMBER = "wrong_number"


def answer(
    snapshot: Snapshot, now: Instant, given: SignedAnswer, methods: Methods, policy: Policy
) -> Decision[AnswerOutcome | None]:
    """Decide by an answer. None: the challenge is not pending any more; what it became is for the caller to read."""
    changes = Changes(snapshot, now)
    if not any(each.id == given.device_id and each.thumbprint == given.thumbprint for each in changes.guard.devices):
        return changes.refuse(
            UnknownDevice(),
            Audit(kind=AuditKind.ANSWER_REFUSED, actor=Actor.DEVICE, source=given.device_id),
        )
    pending = changes.asked(given.challenge_id)
    if pending is None or pending.challenge is None:
        return changes.decision(None)
    challenge, sign_in = pending.challenge, pending.sign_in
    implementation = methods[challenge.kind]
    verdict = implementation.judge(challenge, given)
    event, reason, outcome = _MEANING[verdict]
    approved = verdict is Verdict.RIGHT
    changes.end(
        pending,
        event,
        Actor.DEVICE,
        reason=reason,
        amr=_amr(sign_in.proven, implementation.amr) if approved else (),
        result_jti=result_jti(sign_in) if approved else None,
        answered_by=given.device_id,
        answer_digest=given.digest,
        source=given.device_id,
    )
    if approved:
        failures = {kind: each for kind, each in changes.guard.failures.items() if kind is not challenge.kind}
        changes.update_guard(prompts=(), failures=failures)
    elif verdict is Verdict.WRONG:
        _count_wrong(changes, challenge, methods, policy)
    elif verdict is Verdict.FRAUD:
        _heed_fraud(changes, sign_in, given, policy)
    decision = changes.decision(outcome, until=sign_in.expires_at)
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
    _heed_fraud(changes, sign_in, given, policy)
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


_MEANING: dict[Verdict, tuple[SignInEvent, Reason | None, AnswerOutcome]] = {
    Verdict.RIGHT: (SignInEvent.VERIFIED, None, AnswerOutcome.COMPLETED),
    Verdict.DENIED: (SignInEvent.REFUSED, Reason.DENIED_ON_PHONE, AnswerOutcome.DENIED),
    Verdict.FRAUD: (SignInEvent.REFUSED, Reason.FRAUD_REPORTED, AnswerOutcome.FRAUD_REPORTED),
    Verdict.WRONG: (SignInEvent.SPOILT, Reason.WRONG_NUMBER, AnswerOutcome.WRONG_NUMBER),
}


def _amr(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """`mfa` only where two factors were really used in this sign-in (RFC 8176)."""
    return (*first, *second, "mfa") if first else second


def _count_wrong(changes: Changes, challenge: Challenge, methods: Methods, policy: Policy) -> None:
    kind: MethodKind = challenge.kind
    before = changes.guard.failures.get(kind, Failures())
    failures = Failures(before.in_a_row + 1, remembered(before.at, (policy.wrong_numbers,), changes.now))
    changes.update_guard(failures={**changes.guard.failures, kind: failures})
    if failures.in_a_row >= CONSECUTIVE_FAILURES:
        changes.update_guard(
            methods=tuple(
                msgspec.structs.replace(each, disabled=True) if each.kind is kind else each
                for each in changes.guard.methods
            )
        )
        changes.record(Audit(kind=AuditKind.METHOD_DISABLED, actor=Actor.DEVICE, data={"method": kind.value}))
        end_unverifiable(changes, methods, Actor.DEVICE)
    if room_at(failures.at, (policy.wrong_numbers,), changes.now) > changes.now:
        # What was asked before the last try was used up would be a try more each.
        for each in changes.live:
            if each.challenge and each.challenge.kind is kind and each.challenge.state is ChallengeState.PENDING:
                changes.end(each, SignInEvent.SPOILT, Actor.DEVICE, reason=Reason.TOO_MANY_TRIES)


def _heed_fraud(changes: Changes, sign_in: SignIn, given: SignedAnswer, policy: Policy) -> None:
    """Whoever has the password is a stranger: nothing of theirs goes on, and no prompt appears for a while.

    The open activation code may be theirs, too: a phone of theirs would outlive everything else.
    """
    for each in changes.live:
        changes.end(each, SignInEvent.CANCELLED, Actor.DEVICE, reason=Reason.FRAUD_REPORTED, source=given.device_id)
    changes.update_guard(muted_until=after(changes.now, policy.fraud_mute_seconds), activation=None)
    changes.forget_browsers()
    changes.record(
        Audit(
            kind=AuditKind.FRAUD_REPORTED,
            actor=Actor.DEVICE,
            sign_in_id=sign_in.id,
            source=given.device_id,
            data={"ip": sign_in.asker.ip or "", "application": sign_in.application_id},
        )
    )
