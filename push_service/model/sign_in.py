"""One browser's attempt, from the right password to the outcome: its states, and the one table of how it moves.

A sign-in is born `registration_required` (nothing to verify with yet), `pending` (a challenge is put, or the person
picks a method), or already over (password-only account, blocked person). From `pending` it ends exactly once; a
terminal state is never left. Asking by another method keeps it `pending`. Confirming the first method turns
`registration_required` into `pending` in the same transaction. Expiry is derived from the deadline whenever a sign-in
is read, so that a late sweeper never shows a stale `pending`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from push_service.model.ids import ApplicationId, ChallengeId, SignInId, UserId
from push_service.model.instant import Instant


class SignInState(StrEnum):
    """Where a sign-in is; the last five are final."""

    REGISTRATION_REQUIRED = "registration_required"
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    FAILED = "failed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class SignInEvent(StrEnum):
    """What can happen to a sign-in that is not over."""

    ASKED = "asked"
    """A challenge is put (the first, again, or by another method)."""
    REGISTERED = "registered"
    """The person's first method was confirmed within this very sign-in."""
    VERIFIED = "verified"
    REFUSED = "refused"
    """Denied on the phone, or reported as fraud."""
    SPOILT = "spoilt"
    """A wrong number, tries used up, the person blocked, no method left."""
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    """By its browser, replaced by the browser's newer sign-in, or made pointless by another's registration."""


TRANSITIONS: dict[tuple[SignInState, SignInEvent], SignInState] = {
    (SignInState.REGISTRATION_REQUIRED, SignInEvent.REGISTERED): SignInState.PENDING,
    (SignInState.REGISTRATION_REQUIRED, SignInEvent.SPOILT): SignInState.FAILED,
    (SignInState.REGISTRATION_REQUIRED, SignInEvent.TIMED_OUT): SignInState.EXPIRED,
    (SignInState.REGISTRATION_REQUIRED, SignInEvent.CANCELLED): SignInState.WITHDRAWN,
    (SignInState.PENDING, SignInEvent.ASKED): SignInState.PENDING,
    (SignInState.PENDING, SignInEvent.VERIFIED): SignInState.APPROVED,
    (SignInState.PENDING, SignInEvent.REFUSED): SignInState.DENIED,
    (SignInState.PENDING, SignInEvent.SPOILT): SignInState.FAILED,
    (SignInState.PENDING, SignInEvent.TIMED_OUT): SignInState.EXPIRED,
    (SignInState.PENDING, SignInEvent.CANCELLED): SignInState.WITHDRAWN,
}

LIVE = frozenset(state for state, _ in TRANSITIONS)
TERMINAL = frozenset(SignInState) - LIVE


class Reason(StrEnum):
    """Why a sign-in ended otherwise than approved, or a challenge otherwise than completed."""

    DENIED_ON_PHONE = "denied_on_phone"
    FRAUD_REPORTED = "fraud_reported"
    WRONG_NUMBER = "wrong_number"
    TOO_MANY_TRIES = "too_many_tries"
    USER_BLOCKED = "user_blocked"
    NO_METHOD = "no_method"
    REPLACED = "replaced"
    CANCELLED = "cancelled"
    REGISTERED_ELSEWHERE = "registered_elsewhere"
    METHODS_CHANGED = "methods_changed"
    ACCOUNT_CHANGED = "account_changed"
    OTHER_METHOD = "other_method"
    ASKED_AGAIN = "asked_again"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DELIVERY_FAILED = "delivery_failed"


class Notice(StrEnum):
    """What a pending sign-in without a challenge is waiting for."""

    PROMPT_LIMIT = "prompt_limit"


class Asker(msgspec.Struct, frozen=True, omit_defaults=True):
    """The browser that asks, as far as the application said or the connection shows."""

    ip: str | None = None
    user_agent: str | None = None
    browser: str | None = None
    """The user agent in words, for a person to read."""


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in as stored. `version` grows by one with every stored change that the browser can see."""

    id: SignInId
    user_id: UserId
    application_id: ApplicationId
    token_hash: str
    state: SignInState
    reason: Reason | None = None
    notice: Notice | None = None
    version: int = 1
    challenge_id: ChallengeId | None = None
    begun_at: Instant
    expires_at: Instant
    decided_at: Instant | None = None
    asker: Asker
    proven: tuple[str, ...]
    """The first factor's RFC 8176 values: `("pwd",)`, or none for a vouched sign-in."""
    amr: tuple[str, ...] = ()
    """What the result says, once approved."""
    result_jti: str | None = None
    """Set while approved and the result may still be handed out."""
    nonce: str | None = None
    registration_hash: str | None = None

    @property
    def live(self) -> bool:
        """Whether its stored state is not final (it may still have timed out)."""
        return self.state in LIVE

    def open_at(self, now: Instant) -> bool:
        """Whether it can still come to an outcome at `now`; from `expires_at` on it can't."""
        return self.state in LIVE and now < self.expires_at

    def after(
        self,
        event: SignInEvent,
        now: Instant,
        *,
        reason: Reason | None = None,
        amr: tuple[str, ...] = (),
        result_jti: str | None = None,
    ) -> SignIn:
        """The sign-in after `event`.

        Raises KeyError where the table has no such move: that is a defect, never an input.
        """
        state = TRANSITIONS[self.state, event]
        over = state in TERMINAL
        return msgspec.structs.replace(
            self,
            state=state,
            reason=reason,
            notice=None,
            version=self.version + 1,
            decided_at=now if over else None,
            amr=amr,
            result_jti=result_jti,
            registration_hash=None if state is not SignInState.REGISTRATION_REQUIRED else self.registration_hash,
        )


def result_jti(sign_in: SignIn) -> str:
    """The `jti` of its result: a sign-in has one result, so it is named after it."""
    return f"jti_{sign_in.id.removeprefix('si_')}"
