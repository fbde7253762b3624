"""What follows when something was confirmed that a person verifies with, whichever way that was.

Confirming the first method does four things in one transaction: it becomes primary, the account becomes enforced, the
sign-in that led here goes on with a challenge, and the person's other unregistered sign-ins end.
"""

from __future__ import annotations

import msgspec

from push_service.model.decision import Actor
from push_service.model.ids import SignInId
from push_service.model.method import Draft, Methods, registered_methods
from push_service.model.policy import Policy
from push_service.model.rules.ask import ask_first
from push_service.model.rules.changes import Changes
from push_service.model.sign_in import Notice, Reason, SignIn, SignInEvent, SignInState
from push_service.model.user import Method


class Waiting(msgspec.Struct, frozen=True):
    """The sign-in that waits for a registration, and the challenge with which it goes on."""

    sign_in_id: SignInId
    draft: Draft


def registering(changes: Changes, sign_in_id: SignInId) -> bool:
    """Whether this sign-in still waits for a registration."""
    pending = changes.pending(sign_in_id)
    return pending is not None and pending.sign_in.state is SignInState.REGISTRATION_REQUIRED


def add_methods(
    changes: Changes,
    confirmed: Method,
    along: Method | None,
    *,
    waiting: Waiting | None,
    actor: Actor,
    methods: Methods,
    policy: Policy,
) -> None:
    """Add a method that was confirmed, and the one that is confirmed along with it.

    What counted against the first's kind is over: it was used rightly.
    """
    guard = changes.guard
    changes.update_guard(
        methods=(*guard.methods, confirmed, *((along,) if along else ())),
        primary=guard.primary if registered_methods(guard, methods) else confirmed.id,
        ever_registered=True,
        failures={kind: each for kind, each in guard.failures.items() if kind is not confirmed.kind},
    )
    changes.enforce()
    for each in changes.live:
        if each.sign_in.state is not SignInState.REGISTRATION_REQUIRED:
            continue
        if waiting and each.sign_in.id == waiting.sign_in_id:
            _go_on(changes, each.sign_in, confirmed, waiting.draft, methods, policy)
        else:
            changes.end(each, SignInEvent.CANCELLED, actor, reason=Reason.REGISTERED_ELSEWHERE)


def _go_on(changes: Changes, sign_in: SignIn, method: Method, draft: Draft, methods: Methods, policy: Policy) -> None:
    registered = sign_in.after(SignInEvent.REGISTERED, changes.now)
    asked = ask_first(changes, registered, method, draft, methods, policy)
    if not isinstance(asked, SignIn):
        changes.put(msgspec.structs.replace(registered, notice=Notice.PROMPT_LIMIT))
