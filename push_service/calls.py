"""What a telephony provider tells of texts and calls: answered, a key pressed, delivered, busy, failed.

A provider's word has no time on it and may come late, twice, or in any order; so it is held against what is known: the
message, the provider's own id for it, and whether its challenge is still open. Called by the webhooks' front-end, and
by the dispatcher for what could not be sent at all.
"""

from __future__ import annotations

import asyncio
import functools
from enum import StrEnum

from push_service.decisions import Decisions
from push_service.enroller import Enroller
from push_service.methods import ALL
from push_service.methods.call import FRAUD
from push_service.model.challenge import Challenge, ChallengeState, DeliveryState
from push_service.model.errors import UnknownUser
from push_service.model.ids import ChallengeId, MessageId
from push_service.model.message import About, KnownMessage, Sent
from push_service.model.method import KeyPress, Methods, Verdict
from push_service.model.policy import Policy
from push_service.model.rules import calls
from push_service.model.sign_in import Reason
from push_service.ports import Bus, Store, Topic


class AnsweredBy(StrEnum):
    """Who took a call."""

    PERSON = "person"
    MACHINE = "machine"
    UNKNOWN = "unknown"


class CallReply(StrEnum):
    """What the voice says next."""

    ASK = "ask"
    """Press # to finish."""
    ASK_PIN = "ask_pin"
    """Key in the number that the page shows, and press #."""
    AGAIN = "again"
    """That was not it: once more the same."""
    DONE = "done"
    FRAUD = "fraud"
    OVER = "over"
    """Nobody waits for it any more."""


class Status(StrEnum):
    """How far a text or a call has come."""

    SENT = "sent"
    DELIVERED = "delivered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELED = "canceled"
    COMPLETED = "completed"
    """A call that was answered is over."""


_REASONS = {
    Status.BUSY: Reason.BUSY,
    Status.NO_ANSWER: Reason.NO_ANSWER,
    Status.COMPLETED: Reason.NO_ANSWER,
    Status.CANCELED: Reason.NO_ANSWER,
    Status.FAILED: Reason.DELIVERY_FAILED,
}
HANGING_UP_SECONDS = 1.0
"""A key that was pressed just before hanging up may be told after the end of the call, or be decided on meanwhile."""
_STATES = {Status.SENT: DeliveryState.SENT, Status.DELIVERED: DeliveryState.DELIVERED}


class Calls:
    """See the module; one object serves the whole process."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        decisions: Decisions,
        enroller: Enroller,
        policy: Policy,
        methods: Methods = ALL,
    ) -> None:
        """Wire it to its ports; what is about an enrolment goes to the enroller."""
        self._store, self._bus, self._decisions, self._enroller = store, bus, decisions, enroller
        self._policy, self._methods = policy, methods

    async def answered(self, message_id: MessageId, provider_id: str, by: AnsweredBy) -> CallReply:
        """A call was answered: what it asks."""
        _, challenge = await self._open(message_id, provider_id)
        if challenge is None:
            return CallReply.OVER
        if by is AnsweredBy.MACHINE:
            await self.undelivered(message_id, Reason.NO_ANSWER, "machine")
            return CallReply.OVER
        await self._note(message_id, Sent(state=DeliveryState.DELIVERED, provider_id=provider_id))
        return CallReply.ASK_PIN if challenge.digits else CallReply.ASK

    async def keyed(self, message_id: MessageId, provider_id: str, keys: str) -> CallReply:
        """Keys were pressed, or, with none, there was silence."""
        enrolling, challenge = await self._open(message_id, provider_id)
        if challenge is None:
            return await self._late(message_id, provider_id, keys)
        await self._note(message_id, Sent(state=DeliveryState.DELIVERED, provider_id=provider_id))
        pressed = KeyPress(keys)
        rule = functools.partial(
            calls.press, challenge_id=challenge.id, pressed=pressed, methods=self._methods, policy=self._policy
        )
        match await (
            self._enroller.pressed(challenge, pressed) if enrolling else self._decisions.decide(challenge.user_id, rule)
        ):
            case None:
                return await self._late(message_id, provider_id, keys)
            case Verdict.RIGHT:
                return CallReply.DONE
            case Verdict.FRAUD:
                return CallReply.FRAUD
            case _:
                return CallReply.AGAIN

    async def status(self, message_id: MessageId, provider_id: str, status: Status, code: str | None = None) -> None:
        """The provider says how far it has come. What is known already, or over, changes nothing."""
        known = await self._known(message_id, provider_id)
        if known is None:
            return
        if status in _STATES:
            await self._note(message_id, Sent(state=_STATES[status], provider_id=provider_id))
            return
        if status is Status.COMPLETED and (await self._challenge(message_id))[1] is not None:
            await asyncio.sleep(HANGING_UP_SECONDS)
        await self.undelivered(message_id, _REASONS[status], code or status.value, provider_id)

    async def undelivered(
        self, message_id: MessageId, reason: Reason, code: str, provider_id: str | None = None
    ) -> None:
        """It did not reach the person: the challenge ends with that reason, and the sign-in stays open."""
        await self._note(message_id, Sent(state=DeliveryState.FAILED, code=code, provider_id=provider_id))
        known = await self._store.known_message(message_id)
        if known is None or known.about not in {About.CODE, About.VERIFY}:
            return
        enrolling, challenge = await self._challenge(message_id)
        rule = functools.partial(calls.undelivered, challenge_id=ChallengeId(message_id), reason=reason, code=code)
        try:
            if enrolling and challenge:
                await self._enroller.undelivered(challenge, reason, code)
            else:
                await self._decisions.decide(known.user_id, rule)
        except UnknownUser:
            return  # removed meanwhile, with all that was under way

    async def _late(self, message_id: MessageId, provider_id: str, keys: str) -> CallReply:
        """Keys that nobody waits for any more; 0# is heard all the same, as a report by the app is."""
        known = await self._known(message_id, provider_id) if keys == FRAUD else None
        found = await self._store.challenge(ChallengeId(message_id)) if known else None
        if found is None:
            return CallReply.OVER
        rule = functools.partial(calls.report_late, sign_in=found.sign_in, policy=self._policy)
        return CallReply.FRAUD if await self._decisions.decide(found.sign_in.user_id, rule) else CallReply.OVER

    async def _known(self, message_id: MessageId, provider_id: str) -> KnownMessage | None:
        """The message, if it was begun and is known by no other id at the provider."""
        known = await self._store.known_message(message_id)
        if known is None or not known.begun or known.provider_id not in {None, provider_id}:
            return None
        return known

    async def _open(self, message_id: MessageId, provider_id: str) -> tuple[bool, Challenge | None]:
        """The challenge that the call is about, if it is still open; see `_challenge`."""
        if await self._known(message_id, provider_id) is None:
            return False, None
        return await self._challenge(message_id)

    async def _challenge(self, message_id: MessageId) -> tuple[bool, Challenge | None]:
        """The challenge of that message, while it is pending, and whether it is an enrolment's: not its sign-in's."""
        found = await self._store.challenge(ChallengeId(message_id))
        if found is None or found.challenge is None or found.challenge.state is not ChallengeState.PENDING:
            return False, None
        return found.sign_in.challenge_id != found.challenge.id, found.challenge

    async def _note(self, message_id: MessageId, what: Sent) -> None:
        concerned = await self._store.sent(message_id, what)
        if concerned is not None:
            await self._bus.ring((Topic.sign_in(concerned),))
