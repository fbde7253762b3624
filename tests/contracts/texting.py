"""Texts and calls for stories about stores: what a rule would write of them, made by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import msgspec

from push_service.model import ids
from push_service.model.challenge import Challenge, MethodKind
from push_service.model.decision import Decision, MethodSecret, Rule
from push_service.model.instant import Instant, after
from push_service.model.message import About, Message, Via
from push_service.model.policy import Policy, Rate
from push_service.model.sign_in import SignInState
from push_service.model.user import Snapshot
from push_service.model.view import Seen
from push_service.ports import Store
from tests.contracts.making import BY_OPERATOR, Person, beginning, challenge_of, writing

LEASE_SECONDS = 3.0
TEXT_SECONDS = 180.0
NUMBER = "+4915112345678"
_UNLIMITED = Policy(pending_per_person=100, prompts_unanswered=(Rate(1000, 60),), begins_per_person=Rate(1000, 60))


@dataclass(frozen=True)
class Asked:
    """A sign-in whose challenge a text or a call tells."""

    seen: Seen
    message: Message

    @property
    def challenge(self) -> Challenge:
        return challenge_of(self.seen)


async def text(store: Store, person: Person, *, kind: MethodKind = MethodKind.TEXT_MOBILE, **changes: object) -> Asked:
    """A sign-in of this person that a text or a call is to be sent for; `changes` are the message's."""
    now = await store.now()
    method_id = ids.method_id()
    begin = beginning(now, seconds=600, policy=_UNLIMITED)

    def rule(snapshot: Snapshot, at: Instant) -> Decision[Asked]:
        begun = begin(snapshot, at)
        [put] = begun.challenges
        challenge = msgspec.structs.replace(put, method_id=method_id, kind=kind, secret="271828")
        message = Message(
            id=ids.message_id(challenge.id),
            method_id=method_id,
            via=Via.TEXT if kind is MethodKind.TEXT_MOBILE else Via.CALL,
            about=About.CODE if kind is MethodKind.TEXT_MOBILE else About.VERIFY,
            expires_at=after(at, TEXT_SECONDS),
            lease_until=after(at, LEASE_SECONDS),
        )
        message = msgspec.structs.replace(message, **changes)
        asked = Asked(msgspec.structs.replace(begun.reply, challenge=challenge), message)
        written = {"challenges": (challenge,), "messages": (message,), "deliveries": ()}
        return msgspec.structs.replace(cast("Decision[Asked]", begun), reply=asked, **written)

    await store.decide(person.id, writing(method_secrets=(MethodSecret(method_id, NUMBER),)))
    decision, _ = await store.decide(person.id, rule)
    assert decision.refusal is None
    return decision.reply


async def notice(store: Store, person: Person, **changes: object) -> Message:
    """A notice to this person."""
    now, method_id = await store.now(), ids.method_id()
    message = Message(
        id=ids.message_id(),
        method_id=method_id,
        via=Via.TEXT,
        about=About.METHOD_ADDED,
        detail="+49 ••• 78",
        expires_at=after(now, 3600),
        lease_until=after(now, LEASE_SECONDS),
    )
    message = msgspec.structs.replace(message, **changes)
    await store.decide(person.id, writing(method_secrets=(MethodSecret(method_id, NUMBER),), messages=(message,)))
    return message


def ending(asked: Asked, **how: object) -> Rule[None]:
    """A rule that ends the challenge alone."""

    def rule(_: Snapshot, now: Instant) -> Decision[None]:
        return Decision(reply=None, challenges=(asked.challenge.ended(now=now, **how),), audit=(BY_OPERATOR,))  # type: ignore[arg-type]

    return rule


def closing(asked: Asked) -> Rule[None]:
    """A rule that ends the sign-in, and leaves its challenge pending."""
    before = asked.seen.sign_in

    def rule(_: Snapshot, now: Instant) -> Decision[None]:
        over = msgspec.structs.replace(
            before, state=SignInState.APPROVED, version=before.version + 1, decided_at=now, result_jti="jti"
        )
        return Decision(reply=None, sign_ins=(over,), audit=(BY_OPERATOR,))

    return rule
