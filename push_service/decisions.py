"""The only way to change anything of a person: decide, and, only after the commit, tell.

Every use case goes through here, so that no bell, log line or metric speaks of what a crash could still undo.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from push_service.hops import Hops
from push_service.model.challenge import CALLS, Challenge, ChallengeState
from push_service.model.decision import Audit, Decision, Remembered, Rule
from push_service.model.ids import UserId
from push_service.model.instant import Instant
from push_service.model.throttle import Charge
from push_service.model.user import Snapshot
from push_service.ports import Bus, Committed, Courier, Dispatcher, Store

R = TypeVar("R")

Observer = Callable[[Audit], None]
"""Hears of every committed audit record: logs and metrics."""


class Decisions:
    """Commits by the store, then rings the bus and tells the observers."""

    def __init__(self, store: Store, bus: Bus, observers: Sequence[Observer] = (), hops: Hops | None = None) -> None:
        """Use this store as the truth and this bus as the bell."""
        self._store, self._bus, self._observers = store, bus, tuple(observers)
        self._hops = hops or Hops()
        self._courier: Courier | None = None
        self._dispatcher: Dispatcher | None = None

    def deliver_by(self, courier: Courier) -> None:
        """From now on hand every prompt that was put to this courier, once it is committed and the bell has rung."""
        self._courier = courier

    def dispatch_by(self, dispatcher: Dispatcher) -> None:
        """From now on hand every text and call to this dispatcher, once it is committed."""
        self._dispatcher = dispatcher

    async def decide(
        self,
        user_id: UserId,
        rule: Rule[R],
        charges: Sequence[Charge] = (),
        remember: Callable[[R], Remembered | None] | None = None,
    ) -> R:
        """Decide; see Store.decide.

        Raises the decision's refusal, once what it counted is committed. `remember` makes, from the reply, the row by
        which a repeated request gets the same answer; it is written along.
        """
        if remember is not None:
            rule = functools.partial(_remembering, rule, remember)
        begun = time.perf_counter()
        decision, committed = await self._store.decide(user_id, rule, charges)
        self._hops.decided(decision, time.perf_counter() - begun)
        await self._tell(user_id, committed)
        self._take_back(decision.challenges)
        if decision.refusal is not None:
            raise decision.refusal
        return decision.reply

    async def record(self, *audit: Audit) -> None:
        """Append records that belong to no change of a person."""
        await self._store.record(audit)
        self.observe(audit)

    async def _tell(self, user_id: UserId, committed: Committed) -> None:
        self.observe(committed.audit)
        if committed.topics:
            await self._bus.ring(committed.topics)
        if self._courier is not None and committed.deliveries:
            self._courier.take(user_id, committed.deliveries)
        if self._dispatcher is not None and committed.messages:
            self._dispatcher.dispatch(committed.messages)

    def _take_back(self, challenges: Sequence[Challenge]) -> None:
        withdrawn = [each.id for each in challenges if each.kind in CALLS and each.state is ChallengeState.WITHDRAWN]
        if self._dispatcher is not None and withdrawn:
            self._dispatcher.take_back(withdrawn)

    def observe(self, audit: Sequence[Audit]) -> None:
        """Tell logs and metrics of records that are committed, here or by another way."""
        for observer in self._observers:
            for each in audit:
                observer(each)


def _remembering(
    rule: Rule[R], remember: Callable[[R], Remembered | None], snapshot: Snapshot, now: Instant
) -> Decision[R]:
    decision = rule(snapshot, now)
    if decision.refusal is not None:
        return decision
    return msgspec.structs.replace(decision, remembered=remember(decision.reply))
