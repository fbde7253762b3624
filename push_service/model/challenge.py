"""One question put to one method, and what became of it.

A sign-in has at most one pending challenge. The number that the browser shows exists here and in the browser's answer,
nowhere else: not on the phone, not in the context that the phone shows, not in logs or audit.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec

from push_service.model.ids import ChallengeId, DeviceId, MethodId, SignInId, UserId
from push_service.model.instant import Instant
from push_service.model.sign_in import Reason


class MethodKind(StrEnum):
    """The five ways to verify, and the two for whoever has none of them at hand."""

    APP_NOTIFICATION = "app_notification"
    APP_CODE = "app_code"
    TEXT_MOBILE = "text_mobile"
    CALL_MOBILE = "call_mobile"
    CALL_OFFICE = "call_office"
    RECOVERY_CODE = "recovery_code"
    BYPASS = "bypass"


CALLS = frozenset({MethodKind.CALL_MOBILE, MethodKind.CALL_OFFICE})
"""Those by which a phone rings."""


class ChallengeState(StrEnum):
    """Where a challenge is; all but the first are final."""

    PENDING = "pending"
    COMPLETED = "completed"
    DENIED = "denied"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class DeliveryState(IntEnum):
    """How far a prompt has come on its way; of several devices the furthest counts. Numbers grow as time goes on."""

    QUEUED = 0
    SENT = 1
    UNKNOWN = 2
    FAILED = 3
    DELIVERED = 4


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge as stored. Once not pending it never changes again."""

    id: ChallengeId
    sign_in_id: SignInId
    user_id: UserId
    method_id: MethodId
    kind: MethodKind
    target: str
    """The masked target, as it was when asked."""
    nonce: str
    context: str
    """What the phone shows, signed by the service; made once, the same text for every phone and every fetch."""
    secret: str | None
    """The number or the code; sealed in the store, bound to this row."""
    digits: int
    """How many digits the answer takes; 0 where a tap is enough."""
    state: ChallengeState = ChallengeState.PENDING
    reason: Reason | None = None
    code: str | None = None
    """Why it could not be delivered, in a word of ours."""
    answered_by: DeviceId | None = None
    answer_digest: str | None = None
    started_at: Instant
    ended_at: Instant | None = None

    def ended(
        self,
        state: ChallengeState,
        now: Instant,
        *,
        reason: Reason | None = None,
        code: str | None = None,
        answered_by: DeviceId | None = None,
        answer_digest: str | None = None,
    ) -> Challenge:
        """The challenge after its one end.

        Raises ValueError if it had ended before: that is a defect, never an input.
        """
        if self.state is not ChallengeState.PENDING:
            msg = f"challenge {self.id} has ended before"
            raise ValueError(msg)
        return msgspec.structs.replace(
            self,
            state=state,
            reason=reason,
            code=code,
            answered_by=answered_by,
            answer_digest=answer_digest,
            ended_at=now,
        )


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The outbox row of one prompt to one device. It is born leased to the process that writes it."""

    challenge_id: ChallengeId
    device_id: DeviceId
    next_at: Instant
    lease_until: Instant
