"""Putting a question to a person, within the limits that protect them from being asked too often.

Prompts are counted since the last success: answered, ignored, denied and withdrawn ones alike (NIST SP 800-63B-4,
3.1.3.2), so that whoever has the password can't wear its owner down.
"""

from __future__ import annotations

import msgspec

from push_service.model.challenge import Challenge, ChallengeState, Delivery, MethodKind
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.ids import message_id
from push_service.model.instant import Instant, after
from push_service.model.message import About, Message, Via
from push_service.model.method import Draft, Methods
from push_service.model.policy import Policy
from push_service.model.rules.changes import Changes
from push_service.model.sign_in import Notice, SignIn, SignInEvent
from push_service.model.throttle import remembered, room_at
from push_service.model.user import Failures, Guard, Method, usable_methods

LEASE_SECONDS = 3.0
ACKNOWLEDGEMENT_SECONDS = 1.5
LONGEST_PAUSE_SECONDS = 900
"""The longest pause before a text or call is repeated."""
_HOUR_SECONDS = 3600
_MOST_SENT = 20
"""So many of the last hour are remembered: long before that the pause is the longest."""


def may_ask_at(guard: Guard, method: Method, methods: Methods, policy: Policy, now: Instant) -> Instant:
    """The first instant, `now` or later, at which the person may be asked by this method again.

    Where the tries are used up nothing is asked, and what disturbs is not asked too often.
    """
    implementation = methods[method.kind]
    wrong = guard.failures.get(method.kind, Failures()).at
    allowed_at = room_at(wrong, (implementation.tries(policy),), now)
    if not implementation.disturbs:
        return allowed_at
    return max(allowed_at, guard.muted_until, room_at(guard.prompts, policy.prompts_unanswered, now))


def send_again_at(guard: Guard, kind: MethodKind, policy: Policy, now: Instant) -> Instant:
    """The first instant at which one more text is sent, or call placed: after each of the last hour twice as long."""
    lately = [each for each in guard.sent.get(kind, ()) if now < after(each, _HOUR_SECONDS)]
    if not lately:
        return now
    pause = min(policy.send_again_seconds * 2 ** (len(lately) - 1), LONGEST_PAUSE_SECONDS)
    return max(now, after(lately[-1], pause))


def ask(changes: Changes, sign_in: SignIn, method: Method, draft: Draft, methods: Methods, policy: Policy) -> SignIn:
    """Put the question as the sign-in's present challenge; an earlier one must have been withdrawn before."""
    implementation = methods[method.kind]
    taken = [
        each.challenge.secret
        for each in changes.live
        if each.challenge and each.challenge.secret and each.challenge.state is ChallengeState.PENDING
    ]
    question = implementation.ask(changes.guard, method, draft, taken, policy)
    challenge = Challenge(
        id=draft.challenge_id,
        sign_in_id=sign_in.id,
        user_id=changes.user.id,
        method_id=method.id,
        kind=method.kind,
        target=question.target,
        nonce=draft.nonce,
        context=draft.context if question.devices else "",
        secret=question.secret,
        digits=question.digits,
        started_at=draft.requested_at,
    )
    expires_at = min(after(draft.requested_at, implementation.seconds(policy)), draft.latest)
    sign_in = msgspec.structs.replace(sign_in, challenge_id=challenge.id, notice=None, expires_at=expires_at)
    changes.put(sign_in, challenge)
    for device_id in question.devices:
        changes.deliver(
            Delivery(
                challenge_id=challenge.id,
                device_id=device_id,
                next_at=after(changes.now, ACKNOWLEDGEMENT_SECONDS),
                lease_until=after(changes.now, LEASE_SECONDS),
            )
        )
    if question.via is not None:
        send(changes, challenge, question.via, expires_at)
    if implementation.disturbs:
        changes.update_guard(prompts=remembered(changes.guard.prompts, policy.prompts_unanswered, changes.now))
    return sign_in


def send(changes: Changes, challenge: Challenge, via: Via, expires_at: Instant) -> None:
    """Have the challenge's text sent, or its call placed, and remember that it was."""
    changes.send(
        Message(
            id=message_id(challenge.id),
            method_id=challenge.method_id,
            via=via,
            about=About.CODE if via is Via.TEXT else About.VERIFY,
            expires_at=expires_at,
            lease_until=after(changes.now, LEASE_SECONDS),
        )
    )
    sent = changes.guard.sent
    before = sent.get(challenge.kind, ())
    changes.update_guard(sent={**sent, challenge.kind: (*before, changes.now)[-_MOST_SENT:]})


def ask_first(
    changes: Changes, sign_in: SignIn, method: Method, draft: Draft, methods: Methods, policy: Policy
) -> SignIn | Instant:
    """Ask by the method, or, where it may not disturb now, let the sign-in wait for another method to be picked.

    Returns the instant from which asking is allowed when there is no other method to pick.
    """
    allowed_at = may_ask_at(changes.guard, method, methods, policy, changes.now)
    if allowed_at <= changes.now:
        return ask(changes, sign_in, method, draft, methods, policy)
    others = (each for each in usable_methods(changes.guard, methods) if each.id != method.id)
    if all(may_ask_at(changes.guard, each, methods, policy, changes.now) > changes.now for each in others):
        return allowed_at
    sign_in = msgspec.structs.replace(sign_in, notice=Notice.PROMPT_LIMIT)
    changes.put(sign_in)
    return sign_in


def record_asked(changes: Changes, sign_in: SignIn, kind: MethodKind, source: str | None) -> None:
    """Record that a further challenge was put."""
    changes.record(
        Audit(
            kind=AuditKind.SIGN_IN_ASKED,
            actor=Actor.BROWSER,
            sign_in_id=sign_in.id,
            code=SignInEvent.ASKED.value,
            source=source,
            data={"method": kind.value},
        )
    )
