"""A code typed in the browser, held against the sign-in's present challenge."""

from __future__ import annotations

from push_service.model.challenge import ChallengeState
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.errors import NoCodeDue, WrongCode
from push_service.model.ids import ChallengeId, SignInId
from push_service.model.instant import Instant
from push_service.model.method import Asked, Methods, PromptKind, TypedCode, Verdict
from push_service.model.policy import Policy
from push_service.model.rules.changes import Changes
from push_service.model.rules.settle import Given, settle, tries_left
from push_service.model.user import Snapshot
from push_service.model.view import Seen


def type_code(
    snapshot: Snapshot,
    now: Instant,
    sign_in_id: SignInId,
    challenge_id: ChallengeId,
    typed: TypedCode,
    methods: Methods,
    policy: Policy,
) -> Decision[Seen | None]:
    """Decide by a code that was typed for this very challenge. None: the sign-in is over.

    The try is counted in the same decision that compares, so that no two guesses share one.
    """
    changes = Changes(snapshot, now)
    pending = changes.pending(sign_in_id)
    if pending is None:
        return changes.decision(None)
    sign_in, challenge = pending.sign_in, pending.challenge
    refused = Audit(kind=AuditKind.ANSWER_REFUSED, actor=Actor.BROWSER, sign_in_id=sign_in_id, source=sign_in.asker.ip)
    if challenge is None or challenge.id != challenge_id or challenge.state is not ChallengeState.PENDING:
        return changes.refuse(NoCodeDue(), refused)
    method = methods.get(challenge.kind)
    if method is None or method.prompt is not PromptKind.ENTER_CODE:
        return changes.refuse(NoCodeDue(), refused)
    judgement = method.judge(Asked(challenge, changes.guard, now), typed)
    by = Given(actor=Actor.BROWSER, source=sign_in.asker.ip)
    sign_in = settle(changes, pending, judgement, by, methods, policy)
    if judgement.verdict is Verdict.RIGHT:
        return changes.decision(changes.seen(sign_in), until=pending.sign_in.expires_at)
    return changes.refuse(WrongCode(tries_left=tries_left(changes, challenge.kind, methods, policy)), refused)
