"""Taking a device's answer: checked by its signature, decided by a rule, and, once over, told again."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from push_service.crypto.answers import ReceivedAnswer, require_number
from push_service.decisions import Decisions
from push_service.hops import Hops
from push_service.methods import ALL
from push_service.model.challenge import ChallengeState
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.device import Device, DeviceState
from push_service.model.errors import InvalidAnswer, TooLate, UnknownChallenge, UnknownDevice
from push_service.model.ids import ChallengeId
from push_service.model.method import Methods, PromptKind, SignedAnswer
from push_service.model.policy import Policy
from push_service.model.rules import answer as answering
from push_service.model.rules.answer import AnswerOutcome
from push_service.model.user import Pending
from push_service.ports import Store


class Answers:
    """The use case; one object serves the whole process."""

    def __init__(
        self,
        store: Store,
        decisions: Decisions,
        policy: Policy,
        methods: Methods = ALL,
        hops: Hops | None = None,
    ) -> None:
        """Wire it to its ports."""
        self._hops = hops or Hops()
        self._store, self._decisions, self._policy, self._methods = store, decisions, policy, methods

    async def take(
        self,
        device: Device,
        token: str,
        challenge_id: str | None = None,
        shown: Callable[[ChallengeId], Pending | None] = lambda _: None,
    ) -> tuple[ChallengeId, AnswerOutcome]:
        """Take a device's signed answer. `challenge_id`, where the request names it too, must be the answer's."""
        found: Pending | None = None
        try:
            received = ReceivedAnswer(token)
            named = ChallengeId(challenge_id if challenge_id is not None else received.challenge_id)
            found = shown(named) or await self._of_user(device, named)
            return named, await self._decide(device, received, found)
        except (InvalidAnswer, UnknownChallenge) as refusal:
            await self._decisions.record(
                Audit(
                    kind=AuditKind.ANSWER_REFUSED,
                    actor=Actor.DEVICE,
                    user_id=device.user_id,
                    sign_in_id=found.sign_in.id if found else None,
                    code=refusal.code,
                    source=device.id,
                )
            )
            raise

    async def _of_user(self, device: Device, challenge_id: ChallengeId) -> Pending:
        """The challenge, if it is this device's person who is asked. Raises UnknownChallenge."""
        found = await self._store.challenge(challenge_id)
        if found is None or found.challenge is None or found.sign_in.user_id != device.user_id:
            raise UnknownChallenge
        if self._methods[found.challenge.kind].prompt is not PromptKind.APPROVE_ON_DEVICE:
            raise UnknownChallenge  # it was put by another way: to phones there is none
        return found

    async def _decide(self, device: Device, received: ReceivedAnswer, found: Pending) -> AnswerOutcome:
        challenge, sign_in = found.challenge, found.sign_in
        if challenge is None:
            raise UnknownChallenge
        begun = time.perf_counter()
        now = await self._store.now()
        given = received.check(device, challenge, now)
        if challenge.state is ChallengeState.PENDING and sign_in.open_at(now):
            require_number(given, challenge)
            rule = functools.partial(answering.answer, given=given, methods=self._methods, policy=self._policy)
            outcome = await self._decisions.decide(device.user_id, rule)
            if outcome is not None:
                self._hops.answered(sign_in.id, time.perf_counter() - begun)
                return outcome
        return await self._again(device, challenge.id, given)

    async def _again(self, device: Device, challenge_id: ChallengeId, given: SignedAnswer) -> AnswerOutcome:
        now = await self._store.now()
        found = await self._store.challenge(challenge_id)
        if found is None or found.challenge is None:
            raise UnknownChallenge
        present = await self._store.device(device.id)
        if present is None or present.state is not DeviceState.ACTIVE:
            raise UnknownDevice
        try:
            return answering.repeated(found.challenge, found.sign_in, given, now)
        except TooLate:
            if not answering.is_fraud_report(given):
                raise
        rule = functools.partial(answering.report_fraud_late, given=given, sign_in=found.sign_in, policy=self._policy)
        try:
            await self._decisions.decide(device.user_id, rule)
        except TooLate as late:
            # The report may have ended the sign-in itself, where another challenge had taken this one's place.
            now = await self._store.now()
            ended = await self._store.challenge(challenge_id) or found
            raise TooLate(state=answering.reached(ended.sign_in, now).value, reported=late.reported) from None
        raise AssertionError  # pragma: no cover - the rule always refuses
