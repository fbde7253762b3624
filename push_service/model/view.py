"""A sign-in as its browser sees it at a moment: the one place where stored state and time become what is told."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from push_service.model.challenge import Challenge, ChallengeState, DeliveryState
from push_service.model.instant import Instant, after
from push_service.model.method import Methods
from push_service.model.policy import READABLE_SECONDS, RESULT_SECONDS
from push_service.model.sign_in import SignIn, SignInState
from push_service.model.user import Method, Pending, User, usable_methods, user_as_of

_STEP = 8
"""Wire versions per stored version: room for how far the prompt has come in between."""


class Seen(msgspec.Struct, frozen=True):
    """A sign-in, over or not, with its latest challenge and the user whose methods it lists."""

    sign_in: SignIn
    challenge: Challenge | None
    user: User
    delivery: DeliveryState = DeliveryState.QUEUED


def as_of(seen: Seen, now: Instant) -> Seen:
    """What is seen at `now`: a sign-in past its deadline is expired, whether or not anyone has written that down."""
    seen = msgspec.structs.replace(seen, user=user_as_of(seen.user, now))
    sign_in, challenge = seen.sign_in, seen.challenge
    if not sign_in.live or sign_in.open_at(now):
        return seen
    return Seen(
        msgspec.structs.replace(
            sign_in,
            state=SignInState.EXPIRED,
            notice=None,
            version=sign_in.version + 1,
            decided_at=sign_in.expires_at,
            registration_hash=None,
        ),
        challenge.ended(ChallengeState.EXPIRED, sign_in.expires_at)
        if challenge and challenge.state is ChallengeState.PENDING
        else challenge,
        seen.user,
        seen.delivery,
    )


def without_result(seen: Seen) -> Seen:
    """The same, with nothing to hand out."""
    return msgspec.structs.replace(seen, sign_in=msgspec.structs.replace(seen.sign_in, result_jti=None))


def wire_version(seen: Seen) -> int:
    """The version that the browser is told: grows with every change that it can see, delivery and expiry included."""
    if not seen.sign_in.live:
        return _STEP * seen.sign_in.version
    return _STEP * seen.sign_in.version + seen.delivery


def device_version(user: User, live: Iterable[Pending], now: Instant) -> int:
    """The version of what a person's devices are asked: grows with every decision and with every deadline passed."""
    lapsed = sum(not each.sign_in.open_at(now) for each in live)
    return _STEP * user.version + min(lapsed, _STEP - 1)


def readable(sign_in: SignIn, now: Instant) -> bool:
    """Whether its browser may still ask."""
    return sign_in.decided_at is None or now < after(sign_in.decided_at, READABLE_SECONDS)


def result_until(sign_in: SignIn) -> Instant | None:
    """When its signed result ends; None where there is none (any more)."""
    if sign_in.state is not SignInState.APPROVED or sign_in.result_jti is None or sign_in.decided_at is None:
        return None
    return after(sign_in.decided_at, RESULT_SECONDS)


def other_methods(seen: Seen, methods: Methods) -> tuple[Method, ...]:
    """What the person could pick instead of the present challenge.

    All phones are asked together, so they are one choice.
    """
    if seen.sign_in.state is not SignInState.PENDING:
        return ()
    asked = seen.challenge if seen.challenge and seen.challenge.state is ChallengeState.PENDING else None
    offered: dict[str, Method] = {}
    for method in usable_methods(seen.user.guard, methods):
        if asked and method.kind is asked.kind and (methods[method.kind].asks_all or method.id == asked.method_id):
            continue
        offered.setdefault(method.kind.value if methods[method.kind].asks_all else method.id, method)
    return tuple(offered.values())
