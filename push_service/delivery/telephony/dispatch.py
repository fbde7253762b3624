"""Sends texts and places calls, each at most once: works off their outbox, by way of a telephony provider.

Handed every message after its commit (`dispatch`). It is marked as begun before the provider is called; so whatever
happens in between, nobody sends it again. What a process leaves unmarked when it dies, another takes over when the
lease ends; of what it left marked nobody knows whether it went out: the browser is told so, and the person can ask
again. What surely did not go out ends its challenge, and the sign-in goes on by another method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from push_service.calls import Calls
from push_service.delivery.hands import MAX_HELD, Hands
from push_service.model.challenge import DeliveryState
from push_service.model.errors import ServiceError
from push_service.model.ids import ChallengeId, SignInId, message_id
from push_service.model.message import Message, Outgoing, Sent, Via
from push_service.model.sign_in import Reason
from push_service.ports import Bus, Call, SendOutcome, SendReport, Store, Telephony, Text, Topic

TAKE_OVER_SECONDS = 1.0
TAKE_AT_ONCE = 100
_WRITING_SECONDS = 0.5
_log = structlog.get_logger()


class Dispatch:
    """Implements ports.Dispatcher. `run` takes over what others left; `drain`, then `close`, end it."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        telephony: Telephony,
        calls: Calls,
        *,
        text_of: Callable[[Outgoing], str],
        call_seconds: float,
    ) -> None:
        """Send by this provider, whose calls take at most so long; `text_of` puts a message into words."""
        self._store, self._bus, self._telephony, self._calls = store, bus, telephony, calls
        self._text_of, self._lease_seconds = text_of, call_seconds + _WRITING_SECONDS
        self._hands = Hands("message")

    @property
    def held(self) -> int:
        """How many messages are in our hands."""
        return self._hands.held

    def dispatch(self, messages: Sequence[Message]) -> None:
        """See ports.Dispatcher."""
        for each in messages:
            self._hands.start(self._first(each))

    def take_back(self, challenges: Sequence[ChallengeId]) -> None:
        """See ports.Dispatcher. What the provider has not named yet rings on: its keys count for nothing."""
        for each in challenges:
            self._hands.start(self._hang_up(each))

    async def run(self) -> None:
        """Take over what others left, until drained."""
        while not await self._hands.pause(TAKE_OVER_SECONDS):
            try:
                await self._take_over()
            except ServiceError as refusal:
                _log.warning("message.takeover_postponed", code=refusal.code, detail=refusal.detail)

    def drain(self) -> None:
        """Begin nothing more: what was not begun is given back, now and from now on."""
        self._hands.drain()

    async def close(self) -> None:
        """Wait for the calls under way, for a bounded time."""
        await self._hands.close()

    async def _first(self, message: Message) -> None:
        if self._hands.is_draining():
            await self._store.release_message(message.id, message.lease_until)
            return
        outgoing = await self._store.claim_message(message.id, message.lease_until, self._lease_seconds)
        if outgoing is not None:
            await self._send(outgoing)

    async def _hang_up(self, challenge_id: ChallengeId) -> None:
        known = await self._store.known_message(message_id(challenge_id))
        if known is not None and known.provider_id is not None:
            await self._telephony.hang_up(known.provider_id)

    async def _take_over(self) -> None:
        room = min(MAX_HELD - self.held, TAKE_AT_ONCE)
        if room <= 0:
            return
        taken = await self._store.take_due_messages(room, self._lease_seconds)
        for each in taken.to_send:
            self._hands.start(self._send(each))
        await self._tell(*taken.unknown)

    async def _send(self, outgoing: Outgoing) -> None:
        """Hand it over, and write down what became of that."""
        report = await self._hand_over(outgoing)
        match report.outcome:
            case SendOutcome.SENT:
                sent = Sent(state=DeliveryState.SENT, provider_id=report.provider_id)
            case SendOutcome.UNKNOWN:
                sent = Sent(state=DeliveryState.UNKNOWN, code=report.code)
            case _:
                await self._calls.undelivered(outgoing.id, Reason.DELIVERY_FAILED, report.outcome.value)
                return
        concerned = await self._store.sent(outgoing.id, sent)
        if concerned is not None:
            await self._tell(concerned)

    async def _hand_over(self, outgoing: Outgoing) -> SendReport:
        if outgoing.via is Via.TEXT:
            body = self._text_of(outgoing)
            return await self._telephony.text(
                Text(id=outgoing.id, to=outgoing.number, body=body, seconds=outgoing.seconds)
            )
        number, _, extension = outgoing.number.partition(";ext=")
        return await self._telephony.call(
            Call(id=outgoing.id, to=number, extension=extension or None, seconds=outgoing.seconds)
        )

    async def _tell(self, *sign_ins: SignInId) -> None:
        await self._bus.ring(tuple(Topic.sign_in(each) for each in sign_ins))
