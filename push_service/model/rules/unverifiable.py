"""What becomes of sign-ins under way when methods go: by their owner, by an administrator, or after too many failures.

A question that no method is left to answer is withdrawn, and its sign-in waits for another method to be picked; where
there is none, the sign-in has failed. So nothing can be verified by a method that is off (NIST SP 800-63B-4, 3.2.2).
"""

from __future__ import annotations

import msgspec

from push_service.model.challenge import ChallengeState
from push_service.model.decision import Actor
from push_service.model.method import Methods
from push_service.model.rules.changes import Changes
from push_service.model.sign_in import Reason, SignInEvent, SignInState
from push_service.model.user import usable_methods


def end_unverifiable(changes: Changes, methods: Methods, actor: Actor) -> None:
    """Hold every sign-in that waits for a second factor against the methods that are left."""
    usable = usable_methods(changes.guard, methods)
    for each in changes.live:
        sign_in, challenge = each.sign_in, each.challenge
        if sign_in.state is not SignInState.PENDING:
            continue
        if not usable:
            changes.end(each, SignInEvent.SPOILT, actor, reason=Reason.NO_METHOD)
        elif (
            challenge
            and challenge.state is ChallengeState.PENDING
            and not any(method.kind is challenge.kind for method in usable)
        ):
            withdrawn = challenge.ended(ChallengeState.WITHDRAWN, changes.now, reason=Reason.METHODS_CHANGED)
            changes.put(msgspec.structs.replace(sign_in, version=sign_in.version + 1), withdrawn)
