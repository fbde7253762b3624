"""One person's rows in memory: what a `Decision` means, in a page, so that the rules can be run without a store.

Commits by compare-and-swap of the user's version, like the stores; every row is kept for ever, so that a test can
look at all that ever was.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from push_service.model.challenge import Challenge, Delivery
from push_service.model.decision import Audit, Decision, Rule
from push_service.model.device import Device, DeviceState, UsedActivation
from push_service.model.errors import StoreUnavailable, UnknownUser
from push_service.model.ids import ChallengeId, DeviceId, MethodId, SignInId
from push_service.model.instant import Instant
from push_service.model.message import Message
from push_service.model.sign_in import SignIn
from push_service.model.user import Pending, Snapshot, User
from push_service.model.view import Seen

R = TypeVar("R")


class Memory:
    """The tables, as far as they concern one person."""

    def __init__(self, user: User) -> None:
        self.user: User | None = user
        self.last_user = user
        """The row as it was last, for what is asked of a person who was removed."""
        self.sign_ins: dict[SignInId, SignIn] = {}
        self.challenges: dict[ChallengeId, Challenge] = {}
        self.deliveries: list[Delivery] = []
        self.devices: dict[DeviceId, Device] = {}
        self.activations: dict[str, UsedActivation] = {}
        self.messages: list[Message] = []
        self.secrets: dict[MethodId, str] = {}
        self.audit: list[Audit] = []

    def snapshot(self) -> Snapshot:
        """What a rule is given. Raises UnknownUser."""
        if self.user is None:
            raise UnknownUser
        live = (Pending(each, self.challenge_of(each)) for each in self.sign_ins.values() if each.live)
        return Snapshot(self.user, tuple(live))

    def challenge_of(self, sign_in: SignIn) -> Challenge | None:
        """The challenge that a sign-in points to."""
        return self.challenges[sign_in.challenge_id] if sign_in.challenge_id else None

    def watch(self, sign_in_id: SignInId) -> Seen:
        """A sign-in as it stands in the tables."""
        sign_in = self.sign_ins[sign_in_id]
        return Seen(sign_in, self.challenge_of(sign_in), self.user or self.last_user)

    def decide(self, rule: Rule[R], now: Instant) -> Decision[R]:
        """Read, decide, write. Raises StoreUnavailable where the decision's time is over."""
        snapshot = self.snapshot()
        decision = rule(snapshot, now)
        if decision.until is not None and now >= decision.until:
            raise StoreUnavailable
        assert self.commit(snapshot, decision)
        return decision

    def commit(self, before: Snapshot, decision: Decision[R]) -> bool:
        """Write what was decided on `before`, unless another decision came first."""
        if not decision.changes:
            return True
        if self.user is None or self.user.version != before.user.version:
            return False
        user = decision.user or self.user
        self.last_user = msgspec.structs.replace(user, version=before.user.version + 1)
        self.user = None if decision.remove_user else self.last_user
        self.sign_ins.update({each.id: each for each in decision.sign_ins})
        self.challenges.update({each.id: each for each in decision.challenges})
        self.deliveries.extend(decision.deliveries)
        if decision.device:
            self.devices[decision.device.id] = decision.device
        for device_id in decision.removed_devices:
            self.devices[device_id] = msgspec.structs.replace(self.devices[device_id], state=DeviceState.REMOVED)
        if decision.activation:
            self.activations[decision.activation.code_hash] = decision.activation
        self.messages.extend(decision.messages)
        for method_id in decision.removed_methods:
            self.secrets.pop(method_id, None)
        self.secrets.update({each.method_id: each.value for each in decision.method_secrets})
        self._withhold(decision.withhold_results_since)
        self.audit.extend(decision.audit)
        return True

    def _withhold(self, since: Instant | None) -> None:
        for each in tuple(self.sign_ins.values()):
            if since is not None and each.result_jti and each.decided_at is not None and each.decided_at >= since:
                self.sign_ins[each.id] = msgspec.structs.replace(each, result_jti=None, version=each.version + 1)
