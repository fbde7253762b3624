"""What the browser can do to its own sign-in besides waiting: cancel it, or ask to be verified another way."""

from __future__ import annotations

import msgspec

from push_service.model.challenge import ChallengeState
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.errors import ChallengeChanged, TooManyPrompts, UnknownMethod
from push_service.model.ids import ChallengeId, MethodId, SignInId
from push_service.model.instant import Instant, seconds_between
from push_service.model.method import Draft, Methods
from push_service.model.policy import Policy
from push_service.model.rules.ask import ask, may_ask_at, record_asked, send_again_at
from push_service.model.rules.changes import Changes
from push_service.model.sign_in import Reason, SignInEvent, SignInState
from push_service.model.user import Snapshot, usable_methods
from push_service.model.view import Seen


def expire(snapshot: Snapshot, now: Instant) -> Decision[int]:
    """Write down what time has ended; the reply is how many."""
    decision = Changes(snapshot, now).decision(0)
    return msgspec.structs.replace(decision, reply=len(decision.sign_ins))


def withdraw(
    snapshot: Snapshot,
    now: Instant,
    sign_in_id: SignInId,
    source: str | None,
    reason: Reason = Reason.CANCELLED,
) -> Decision[Seen | None]:
    """Cancel a sign-in. None: it is over already; how is for the caller to read."""
    changes = Changes(snapshot, now)
    pending = changes.pending(sign_in_id)
    if pending is None:
        return changes.decision(None)
    over = changes.end(pending, SignInEvent.CANCELLED, Actor.BROWSER, reason=reason, source=source)
    return changes.decision(changes.seen(over), until=over.expires_at)


def choose(
    snapshot: Snapshot,
    now: Instant,
    sign_in_id: SignInId,
    method_id: MethodId,
    instead_of: ChallengeId | None,
    draft: Draft,
    methods: Methods,
    policy: Policy,
) -> Decision[Seen | None]:
    """Put a new challenge in the present one's place, by any of the person's methods. None: the sign-in is over."""
    changes = Changes(snapshot, now)
    pending = changes.pending(sign_in_id)
    if pending is None:
        return changes.decision(None)
    sign_in, former = pending.sign_in, pending.challenge
    record = Audit(kind=AuditKind.SIGN_IN_REFUSED, actor=Actor.BROWSER, sign_in_id=sign_in_id, source=sign_in.asker.ip)
    asking = former if former and former.state is ChallengeState.PENDING else None
    if instead_of is not None and (asking is None or asking.id != instead_of):
        return changes.refuse(ChallengeChanged(), record)
    method = next((each for each in usable_methods(changes.guard, methods) if each.id == method_id), None)
    if method is None or sign_in.state is not SignInState.PENDING:
        return changes.refuse(UnknownMethod(), record)
    allowed_at = max(
        may_ask_at(changes.guard, method, methods, policy, now), send_again_at(changes.guard, method.kind, policy, now)
    )
    if allowed_at > now:
        return changes.refuse(TooManyPrompts(retry_after=seconds_between(now, allowed_at)), record)
    if asking:
        reason = Reason.ASKED_AGAIN if asking.kind is method.kind else Reason.OTHER_METHOD
        changes.put(sign_in, asking.ended(ChallengeState.WITHDRAWN, now, reason=reason))
    sign_in = ask(changes, sign_in.after(SignInEvent.ASKED, now), method, draft, methods, policy)
    record_asked(changes, sign_in, method.kind, sign_in.asker.ip)
    return changes.decision(changes.seen(sign_in), until=sign_in.expires_at)
