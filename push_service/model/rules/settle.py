"""What follows from an answer's worth, whichever method it was given by and whichever way it came.

The one moment at which a sign-in is approved, denied or spoilt. Tries are counted by person and method, across
challenges and sign-ins (NIST SP 800-63B-4, 3.2.2): a new code is no new try.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.ids import DeviceId
from push_service.model.instant import after
from push_service.model.message import About
from push_service.model.method import Judgement, Methods, Verdict
from push_service.model.policy import CONSECUTIVE_FAILURES, Policy
from push_service.model.rules.changes import Changes
from push_service.model.rules.notices import tell
from push_service.model.rules.unverifiable import end_unverifiable
from push_service.model.sign_in import Reason, SignIn, SignInEvent, result_jti
from push_service.model.throttle import left, remembered, room_at
from push_service.model.user import Failures, Pending


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """Who answered, and from where."""

    actor: Actor
    source: str | None
    device_id: DeviceId | None = None
    digest: str | None = None


def settle(
    changes: Changes, pending: Pending, judgement: Judgement, given: Given, methods: Methods, policy: Policy
) -> SignIn:
    """Write what follows; the sign-in as it is then. An unclear answer changes nothing."""
    challenge, sign_in = pending.challenge, pending.sign_in
    if challenge is None:
        raise AssertionError  # pragma: no cover - only what was asked is answered
    if judgement.guard is not changes.guard:
        changes.update_user(guard=judgement.guard)
    method = methods[challenge.kind]
    match judgement.verdict:
        case Verdict.RIGHT:
            sign_in = _end(changes, pending, SignInEvent.VERIFIED, None, given, _amr(sign_in.proven, method.amr))
            forgive(changes, challenge.kind)
        case Verdict.DENIED:
            sign_in = _end(changes, pending, SignInEvent.REFUSED, Reason.DENIED_ON_PHONE, given)
        case Verdict.FRAUD:
            sign_in = _end(changes, pending, SignInEvent.REFUSED, Reason.FRAUD_REPORTED, given)
            heed_fraud(changes, sign_in, given, policy)
        case Verdict.WRONG:
            if method.spoils:
                sign_in = _end(changes, pending, SignInEvent.SPOILT, Reason.WRONG_NUMBER, given)
            count_wrong(changes, challenge.kind, given.actor, methods, policy)
        case Verdict.UNCLEAR:
            pass
        case _:
            assert_never(judgement.verdict)
    return sign_in


def forgive(changes: Changes, kind: MethodKind) -> None:
    """A success: nothing was unanswered, and no failure of this method is in a row any more.

    The tries of the policy's time stay counted: else each success of the owner would be a guesser's new tries
    (docs/security.md, "Guessing").
    """
    before = changes.guard.failures.get(kind)
    failures = {**changes.guard.failures, kind: Failures(at=before.at)} if before else changes.guard.failures
    changes.update_guard(prompts=(), sent={}, failures=failures)


def tries_left(changes: Changes, kind: MethodKind, methods: Methods, policy: Policy) -> int:
    """How many wrong answers may still be given by this method now."""
    failures = changes.guard.failures.get(kind, Failures())
    return left(failures.at, methods[kind].tries(policy), changes.now)


def count_wrong(changes: Changes, kind: MethodKind, actor: Actor, methods: Methods, policy: Policy) -> None:
    """Count a wrong answer. The last that is allowed ends all that is asked by this method; the hundredth, the method.

    What was asked before the last try was used up would be a try more each.
    """
    tries = methods[kind].tries(policy)
    before = changes.guard.failures.get(kind, Failures())
    failures = Failures(before.in_a_row + 1, remembered(before.at, (tries,), changes.now))
    changes.update_guard(failures={**changes.guard.failures, kind: failures})
    if failures.in_a_row >= CONSECUTIVE_FAILURES:
        changes.update_guard(
            methods=tuple(
                msgspec.structs.replace(each, disabled=True) if each.kind is kind else each
                for each in changes.guard.methods
            )
        )
        changes.record(Audit(kind=AuditKind.METHOD_DISABLED, actor=actor, data={"method": kind.value}))
        end_unverifiable(changes, methods, actor)
    if room_at(failures.at, (tries,), changes.now) > changes.now:
        for each in changes.live:
            if each.challenge and each.challenge.kind is kind and each.challenge.state is ChallengeState.PENDING:
                changes.end(each, SignInEvent.SPOILT, actor, reason=Reason.TOO_MANY_TRIES)


def heed_fraud(changes: Changes, sign_in: SignIn, given: Given, policy: Policy) -> None:
    """Whoever has the password is a stranger: nothing of theirs goes on, and no prompt appears for a while.

    The open activation code, or what is being enrolled, may be theirs, too: a phone of theirs would outlive everything
    else.
    """
    for each in changes.live:
        changes.end(each, SignInEvent.CANCELLED, given.actor, reason=Reason.FRAUD_REPORTED, source=given.source)
    for enrolment in changes.guard.enrolments:
        changes.close_enrolment(enrolment)
    changes.update_guard(muted_until=after(changes.now, policy.fraud_mute_seconds), activation=None)
    changes.forget_browsers()
    changes.record(
        Audit(
            kind=AuditKind.FRAUD_REPORTED,
            actor=given.actor,
            sign_in_id=sign_in.id,
            source=given.source,
            data={"ip": sign_in.asker.ip or "", "application": sign_in.application_id},
        )
    )
    tell(changes, About.FRAUD_REPORTED, "")


def _end(
    changes: Changes,
    pending: Pending,
    event: SignInEvent,
    reason: Reason | None,
    given: Given,
    amr: tuple[str, ...] = (),
) -> SignIn:
    return changes.end(
        pending,
        event,
        given.actor,
        reason=reason,
        amr=amr,
        result_jti=result_jti(pending.sign_in) if event is SignInEvent.VERIFIED else None,
        answered_by=given.device_id,
        answer_digest=given.digest,
        source=given.source,
    )


def _amr(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """`mfa` only where two factors were really used in this sign-in (RFC 8176)."""
    return (*first, *second, "mfa") if first and second else (*first, *second)
