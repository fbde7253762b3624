"""What comes back from a text or a call: keys that were pressed, or that it never reached the person."""

from __future__ import annotations

import msgspec

from push_service.model.challenge import ChallengeState
from push_service.model.decision import Actor, Audit, AuditKind, Decision
from push_service.model.ids import ChallengeId
from push_service.model.instant import Instant
from push_service.model.method import Asked, KeyPress, Methods, Verdict
from push_service.model.policy import Policy
from push_service.model.rules.changes import Changes
from push_service.model.rules.settle import Given, heed_fraud, settle
from push_service.model.sign_in import Reason, SignIn
from push_service.model.user import Snapshot
from push_service.model.view import readable

PHONE = "phone"
"""What the records name as the source: never the number."""


def press(
    snapshot: Snapshot, now: Instant, challenge_id: ChallengeId, pressed: KeyPress, methods: Methods, policy: Policy
) -> Decision[Verdict | None]:
    """Decide by the keys pressed in a sign-in's call. None: nobody waits for them any more."""
    changes = Changes(snapshot, now)
    pending = changes.asked(challenge_id)
    method = methods.get(pending.challenge.kind) if pending and pending.challenge else None
    if pending is None or pending.challenge is None or method is None:
        return changes.decision(None)
    judgement = method.judge(Asked(pending.challenge, changes.guard, now), pressed)
    settle(changes, pending, judgement, Given(actor=Actor.PHONE, source=PHONE), methods, policy)
    open_still = changes.asked(challenge_id) is not None
    over = judgement.verdict is Verdict.WRONG and not open_still
    return changes.decision(None if over else judgement.verdict, until=pending.sign_in.expires_at)


def report_late(snapshot: Snapshot, now: Instant, sign_in: SignIn, policy: Policy) -> Decision[bool]:
    """0# in a call that nobody waits for any more: the outcome stays, but prompts stop and its result is withheld.

    Says whether it was heeded: what is repeated while a report mutes prompts already, or comes long after, is not.
    """
    changes = Changes(snapshot, now)
    if now < changes.guard.muted_until or not readable(sign_in, now):
        return changes.decision(False)  # noqa: FBT003 - the reply
    changes.take_back_results()
    heed_fraud(changes, sign_in, Given(actor=Actor.PHONE, source=PHONE), policy)
    return changes.decision(True)  # noqa: FBT003 - the reply


def undelivered(
    snapshot: Snapshot, now: Instant, challenge_id: ChallengeId, reason: Reason, code: str
) -> Decision[bool]:
    """End a challenge that did not reach the person. The sign-in stays open for another method.

    Says whether it was pending: what was answered, withdrawn or ended before is left as it is.
    """
    changes = Changes(snapshot, now)
    pending = changes.asked(challenge_id)
    if pending is None or pending.challenge is None:
        return changes.decision(False)  # noqa: FBT003 - the reply
    sign_in = msgspec.structs.replace(pending.sign_in, version=pending.sign_in.version + 1)
    changes.put(sign_in, pending.challenge.ended(ChallengeState.FAILED, now, reason=reason, code=code))
    changes.record(
        Audit(
            kind=AuditKind.CHALLENGE_UNDELIVERED,
            actor=Actor.PHONE,
            sign_in_id=sign_in.id,
            code=code,
            data={"method": pending.challenge.kind.value, "reason": reason.value},
        )
    )
    return changes.decision(True, until=sign_in.expires_at)  # noqa: FBT003 - the reply
