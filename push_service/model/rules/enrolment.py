"""Enrolling a phone or an authenticator app: its question is put (NIST SP 800-63B-4, 4.1).

Opened in a settings session, or for a sign-in that waits for a registration. Texts and calls have the same pauses as at
a sign-in, and where a method's tries are used up nothing is asked: whoever guesses, or has strangers' phones rung,
finds no door here that is closed elsewhere (S-19, S-23). How it is confirmed: `confirmation.py`. Called by
`enroller.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from push_service.model.challenge import Challenge, MethodKind
from push_service.model.decision import Actor, Audit, AuditKind, Decision, MethodSecret
from push_service.model.errors import (
    InvalidToken,
    NotConfirmed,
    NotDelivered,
    TooManyMethods,
    TooManyPrompts,
    UnknownEnrolment,
    UnknownMethod,
)
from push_service.model.ids import MethodId, SignInId
from push_service.model.instant import Instant, after, seconds_between
from push_service.model.method import Draft, Methods, PromptKind
from push_service.model.policy import Policy
from push_service.model.rules.ask import send, send_again_at
from push_service.model.rules.changes import Changes
from push_service.model.rules.registered import registering
from push_service.model.sign_in import Reason
from push_service.model.throttle import room_at
from push_service.model.user import Enrolment, Failures, Guard, Method, Snapshot

ENROLMENT_SECONDS = 600
MAX_ENROLMENTS = 3
"""So many are open at once. One more takes the oldest's place: nobody is locked out by a mistyped number."""
MAX_PHONES = 5
MAX_APPS = 5

TWINS = {MethodKind.TEXT_MOBILE: MethodKind.CALL_MOBILE, MethodKind.CALL_MOBILE: MethodKind.TEXT_MOBILE}
"""A mobile phone takes texts and calls; confirmed by one, it is registered for both."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A phone or an app to be enrolled, checked, with all that is random about it."""

    id: MethodId
    twin: MethodId
    """For the other method of a mobile phone."""
    kind: MethodKind
    target: str
    secret: str
    """The number, or the app's key (`TotpKey.stored`)."""
    sign_in_id: SignInId
    registering: bool
    """The sign-in waits for this registration; else it opened the settings."""
    draft: Draft


class Opened(NamedTuple):
    """An enrolment, and what the person is asked to confirm it by."""

    enrolment: Enrolment
    challenge: Challenge


def enrol(
    snapshot: Snapshot, now: Instant, wanted: Wanted, methods: Methods, policy: Policy, source: str | None
) -> Decision[Opened]:
    """Open an enrolment and put its question."""
    changes = Changes(snapshot, now)
    refused = Audit(kind=AuditKind.ENROLMENT_REFUSED, actor=Actor.BROWSER, sign_in_id=wanted.sign_in_id, source=source)
    if wanted.registering and not registering(changes, wanted.sign_in_id):
        return changes.refuse(InvalidToken(), refused)
    if wanted.kind not in methods:
        return changes.refuse(UnknownMethod("This service offers no such verification method."), refused)
    if _full(changes.guard, wanted.kind):
        return changes.refuse(TooManyMethods(), refused)
    allowed_at = max(
        tries_from(changes.guard, wanted.kind, methods, policy, now),
        send_again_at(changes.guard, wanted.kind, policy, now),
    )
    if allowed_at > now:
        return changes.refuse(TooManyPrompts(retry_after=seconds_between(now, allowed_at)), refused)
    opened = _ask(changes, wanted, methods, policy)
    begun = Audit(
        kind=AuditKind.ENROLMENT_BEGUN,
        actor=Actor.BROWSER,
        sign_in_id=wanted.sign_in_id,
        source=source,
        data={"method": wanted.kind.value},
    )
    changes.record(begun)
    return changes.decision(opened)


def open_enrolment(guard: Guard, enrolment_id: MethodId, within: SignInId, now: Instant) -> Enrolment | None:
    """The enrolment that this session may confirm: its own. None also for one that is confirmed already.

    Raises UnknownEnrolment for any other.
    """
    for each in guard.enrolments:
        if each.id == enrolment_id and each.sign_in_id == within and now < each.expires_at:
            return each
    if any(each.id == enrolment_id for each in guard.methods):
        return None
    raise UnknownEnrolment


def require_delivered(enrolment: Enrolment) -> None:
    """Raises NotDelivered where the text or call did not reach the phone."""
    if enrolment.undelivered:
        raise NotDelivered(_UNDELIVERED[enrolment.undelivered])


def require_typed(enrolment: Enrolment, methods: Methods) -> None:
    """Raises NotConfirmed for an enrolment that is confirmed in the call, not here."""
    require_delivered(enrolment)
    if methods[enrolment.kind].prompt is not PromptKind.ENTER_CODE:
        raise NotConfirmed


_UNDELIVERED = {
    Reason.BUSY: "The line was busy.",
    Reason.NO_ANSWER: "Nobody answered the call.",
    Reason.DELIVERY_FAILED: "The text or call did not reach this number.",
}


def _ask(changes: Changes, wanted: Wanted, methods: Methods, policy: Policy) -> Opened:
    draft, guard = wanted.draft, changes.guard
    method = Method(id=wanted.id, kind=wanted.kind, target=wanted.target)
    question = methods[wanted.kind].ask(guard, method, draft, (), policy)
    challenge = Challenge(
        id=draft.challenge_id,
        sign_in_id=wanted.sign_in_id,
        user_id=changes.user.id,
        method_id=wanted.id,
        kind=wanted.kind,
        target=question.target,
        nonce=draft.nonce,
        context="",
        secret=question.secret,
        digits=question.digits,
        started_at=changes.now,
    )
    enrolment = Enrolment(
        id=wanted.id,
        kind=wanted.kind,
        twin=wanted.twin if wanted.kind in TWINS else None,
        target=wanted.target,
        expires_at=after(changes.now, ENROLMENT_SECONDS),
        sign_in_id=wanted.sign_in_id,
        registering=wanted.registering,
        challenge_id=challenge.id,
    )
    for oldest in guard.enrolments[: -(MAX_ENROLMENTS - 1)]:
        changes.close_enrolment(oldest)
    changes.update_guard(enrolments=(*changes.guard.enrolments, enrolment))
    changes.method_secrets = tuple(MethodSecret(each, wanted.secret) for each in (wanted.id, enrolment.twin) if each)
    changes.put_challenge(challenge)
    if question.via is not None:
        send(changes, challenge, question.via, enrolment.expires_at)
    return Opened(enrolment, challenge)


def _full(guard: Guard, kind: MethodKind) -> bool:
    """Whether there are as many phones, or apps, as anybody needs."""
    own = [each.kind for each in guard.methods if each.device_id is None]
    if kind is MethodKind.APP_CODE:
        return own.count(MethodKind.APP_CODE) >= MAX_APPS
    return own.count(MethodKind.TEXT_MOBILE) + own.count(MethodKind.CALL_OFFICE) >= MAX_PHONES


def tries_from(guard: Guard, kind: MethodKind, methods: Methods, policy: Policy, now: Instant) -> Instant:
    """The first instant, `now` or later, at which an answer by this kind of method is heard."""
    return room_at(guard.failures.get(kind, Failures()).at, (methods[kind].tries(policy),), now)
