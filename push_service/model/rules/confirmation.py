"""Confirming what is enrolled, by using it once: it becomes a method then.

By a code that is typed in the session that began it, or by pressing # in the call. Tries count with those of sign-ins.
Called by `enroller.py`.
"""

from __future__ import annotations

import msgspec

from push_service.model.challenge import Challenge, ChallengeState
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.errors import TooManyRequests, UnknownEnrolment, WrongCode
from push_service.model.instant import Instant, seconds_between
from push_service.model.message import About
from push_service.model.method import Answer, Asked, Draft, Methods, Verdict
from push_service.model.policy import Policy
from push_service.model.rules.changes import Changes
from push_service.model.rules.enrolment import TWINS, require_delivered, tries_from
from push_service.model.rules.notices import tell
from push_service.model.rules.registered import Waiting, add_methods, registering
from push_service.model.rules.settle import count_wrong, tries_left
from push_service.model.sign_in import Reason
from push_service.model.user import Enrolment, Method, Snapshot


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that would confirm an enrolment; `challenge` is the enrolment's."""

    challenge: Challenge
    answer: Answer
    draft: Draft | None
    """The challenge with which a sign-in goes on that waits for the registration."""
    actor: Actor
    source: str | None


def confirm(snapshot: Snapshot, now: Instant, attempt: Attempt, methods: Methods, policy: Policy) -> Decision[None]:
    """Confirm by a code that was typed; what is confirmed already stays so.

    Raises UnknownEnrolment for what is not open, and NotDelivered; nothing is written then. A wrong code is counted.
    """
    changes = Changes(snapshot, now)
    enrolment = _enrolment(changes, attempt.challenge)
    if enrolment is None and any(each.id == attempt.challenge.method_id for each in changes.guard.methods):
        return changes.decision(None)
    if enrolment is None:
        raise UnknownEnrolment
    require_delivered(enrolment)
    refused = _refused(enrolment, attempt)
    allowed_at = tries_from(changes.guard, enrolment.kind, methods, policy, now)
    if allowed_at > now:
        return changes.refuse(TooManyRequests(retry_after=seconds_between(now, allowed_at)), refused)
    if _judge(changes, enrolment, attempt, methods, policy) is not Verdict.RIGHT:
        return changes.refuse(WrongCode(tries_left=tries_left(changes, enrolment.kind, methods, policy)), refused)
    return changes.decision(None)


def press(
    snapshot: Snapshot, now: Instant, attempt: Attempt, methods: Methods, policy: Policy
) -> Decision[Verdict | None]:
    """Confirm by the keys pressed in the call. None: the enrolment is over, or its tries are.

    Whoever presses 0# says that this phone is not for this account: the enrolment ends.
    """
    changes = Changes(snapshot, now)
    enrolment = _enrolment(changes, attempt.challenge)
    if enrolment is None or enrolment.undelivered:
        return changes.decision(None)
    if tries_from(changes.guard, enrolment.kind, methods, policy, now) > now:
        return changes.decision(None)
    return changes.decision(_judge(changes, enrolment, attempt, methods, policy))


def undelivered(snapshot: Snapshot, now: Instant, challenge: Challenge, reason: Reason, code: str) -> Decision[bool]:
    """The enrolment's text or call did not reach the phone: its question ends. Says whether it was open."""
    changes = Changes(snapshot, now)
    enrolment = _enrolment(changes, challenge)
    if enrolment is None or enrolment.undelivered:
        return changes.decision(False)  # noqa: FBT003 - the reply
    ended = msgspec.structs.replace(enrolment, undelivered=reason)
    changes.update_guard(enrolments=tuple(ended if each is enrolment else each for each in changes.guard.enrolments))
    changes.put_challenge(challenge.ended(ChallengeState.FAILED, now, reason=reason, code=code))
    changes.record(
        Audit(
            kind=AuditKind.CHALLENGE_UNDELIVERED,
            actor=Actor.PHONE,
            sign_in_id=enrolment.sign_in_id,
            code=code,
            data={"method": enrolment.kind.value, "reason": reason.value},
        )
    )
    return changes.decision(True)  # noqa: FBT003 - the reply


def _judge(changes: Changes, enrolment: Enrolment, attempt: Attempt, methods: Methods, policy: Policy) -> Verdict:
    """Say what the answer is worth, and write what follows."""
    challenge = attempt.challenge
    judgement = methods[enrolment.kind].judge(Asked(challenge, changes.guard, changes.now), attempt.answer)
    if judgement.verdict is Verdict.RIGHT:
        changes.update_user(guard=judgement.guard)
        changes.put_challenge(challenge.ended(ChallengeState.COMPLETED, changes.now))
        _register(changes, enrolment, attempt, methods, policy)
    elif judgement.verdict is Verdict.WRONG:
        count_wrong(changes, enrolment.kind, attempt.actor, methods, policy)
    elif judgement.verdict is Verdict.FRAUD:
        _turn_away(changes, enrolment, attempt)
    return judgement.verdict


def _turn_away(changes: Changes, enrolment: Enrolment, attempt: Attempt) -> None:
    """Somebody at that phone says that it is not for this account. Of the person's sign-ins that says nothing."""
    reason = Reason.FRAUD_REPORTED
    changes.put_challenge(attempt.challenge.ended(ChallengeState.DENIED, changes.now, reason=reason))
    changes.close_enrolment(enrolment)
    changes.record(msgspec.structs.replace(_refused(enrolment, attempt), code=reason.value))


def _refused(enrolment: Enrolment, attempt: Attempt) -> Audit:
    return Audit(
        kind=AuditKind.ENROLMENT_REFUSED,
        actor=attempt.actor,
        sign_in_id=enrolment.sign_in_id,
        source=attempt.source,
        data={"method": enrolment.kind.value},
    )


def _register(changes: Changes, enrolment: Enrolment, attempt: Attempt, methods: Methods, policy: Policy) -> None:
    changes.update_guard(enrolments=tuple(each for each in changes.guard.enrolments if each is not enrolment))
    confirmed = Method(id=enrolment.id, kind=enrolment.kind, target=enrolment.target, twin=enrolment.twin)
    along = enrolment.twin and Method(
        id=enrolment.twin, kind=TWINS[enrolment.kind], target=enrolment.target, twin=enrolment.id
    )
    draft = attempt.draft if enrolment.registering else None
    add_methods(
        changes,
        confirmed,
        along or None,
        waiting=Waiting(enrolment.sign_in_id, draft) if draft else None,
        actor=attempt.actor,
        methods=methods,
        policy=policy,
    )
    changes.record(
        Audit(
            kind=AuditKind.METHOD_ADDED,
            actor=attempt.actor,
            sign_in_id=enrolment.sign_in_id,
            source=attempt.source,
            data={"method": enrolment.kind.value},
        )
    )
    tell(changes, About.METHOD_ADDED, enrolment.target, enrolment.id)


def _enrolment(changes: Changes, challenge: Challenge) -> Enrolment | None:
    """The open enrolment with that question; one that serves a sign-in is over with it (S-55)."""
    for each in changes.guard.enrolments:
        if each.challenge_id == challenge.id:
            return each if not each.registering or registering(changes, each.sign_in_id) else None
    return None
