"""Collects what one run of a rule changes, and settles what time has ended before anything else is decided.

A `Changes` lives for one run of one rule and is seen by nobody else, so the rule around it stays a pure function.
"""

from __future__ import annotations

from typing import NoReturn, TypeVar, cast

import msgspec

from push_service.model.app_password import AppPassword
from push_service.model.challenge import Challenge, ChallengeState, Delivery
from push_service.model.decision import Actor, Audit, AuditKind, Decision, MethodSecret
from push_service.model.device import Device, UsedActivation
from push_service.model.errors import ServiceError
from push_service.model.ids import AppPasswordId, ChallengeId, DeviceId, MethodId, SignInId
from push_service.model.instant import Instant, after
from push_service.model.message import Message
from push_service.model.policy import SETTINGS_READING_SECONDS
from push_service.model.sign_in import TERMINAL, Reason, SignIn, SignInEvent
from push_service.model.user import Enrolment, Guard, Pending, Snapshot, User, UserState
from push_service.model.view import Seen

R = TypeVar("R")

_CHALLENGE_ENDS: dict[SignInEvent, ChallengeState] = {
    SignInEvent.VERIFIED: ChallengeState.COMPLETED,
    SignInEvent.REFUSED: ChallengeState.DENIED,
    SignInEvent.SPOILT: ChallengeState.FAILED,
    SignInEvent.TIMED_OUT: ChallengeState.EXPIRED,
    SignInEvent.CANCELLED: ChallengeState.WITHDRAWN,
}


class Changes:
    """The user and their live sign-ins as they become, row by row."""

    def __init__(self, snapshot: Snapshot, now: Instant) -> None:
        """Start from a snapshot; sign-ins past their deadline are expired at once, with their record."""
        self.now = now
        self._before = snapshot.user
        self.user: User = snapshot.user
        self._live: dict[SignInId, Pending] = {each.sign_in.id: each for each in snapshot.live}
        self._read = {each.challenge.id: each.challenge for each in snapshot.live if each.challenge}
        self._sign_ins: dict[SignInId, SignIn] = {}
        self._challenges: dict[ChallengeId, Challenge] = {}
        self._deliveries: list[Delivery] = []
        self._messages: list[Message] = []
        self._audit: list[Audit] = []
        self.method_secrets: tuple[MethodSecret, ...] = ()
        self.removed_methods: tuple[MethodId, ...] = ()
        self.app_password: AppPassword | None = None
        self.removed_app_passwords: tuple[AppPasswordId, ...] = ()
        self.device: Device | None = None
        self.removed_devices: tuple[DeviceId, ...] = ()
        self.within: SignInId | None = None
        self.activation: UsedActivation | None = None
        self.withhold_results_since: Instant | None = None
        for each in snapshot.live:
            if not each.sign_in.open_at(now):
                self.end(each, SignInEvent.TIMED_OUT, Actor.TIME)
        for enrolment in self.guard.enrolments:
            if now >= enrolment.expires_at:
                self.close_enrolment(enrolment)

    @property
    def guard(self) -> Guard:
        """The guard as it is by now."""
        return self.user.guard

    def update_guard(self, **fields: object) -> None:
        """Replace fields of the guard."""
        self.user = msgspec.structs.replace(self.user, guard=msgspec.structs.replace(self.user.guard, **fields))

    def update_user(self, **fields: object) -> None:
        """Replace fields of the user's row."""
        self.user = msgspec.structs.replace(self.user, **fields)

    def enforce(self) -> None:
        """Registration is complete: `enabled` becomes `enforced`."""
        if self.user.state is UserState.ENABLED:
            self.update_user(state=UserState.ENFORCED)

    def close_enrolment(self, enrolment: Enrolment) -> None:
        """Give an enrolment up, and its number or key with it."""
        self.update_guard(enrolments=tuple(each for each in self.guard.enrolments if each is not enrolment))
        self.forget_methods(enrolment.id, enrolment.twin)

    def forget_methods(self, *method_ids: MethodId | None) -> None:
        """Forget what there is of methods and enrolments that are gone: numbers, keys, and what they approved."""
        self.removed_methods = (*self.removed_methods, *(each for each in method_ids if each))

    @property
    def live(self) -> tuple[Pending, ...]:
        """The sign-ins that are still open."""
        return tuple(self._live.values())

    def pending(self, sign_in_id: SignInId) -> Pending | None:
        """The open sign-in of that id."""
        return self._live.get(sign_in_id)

    def asked(self, challenge_id: ChallengeId) -> Pending | None:
        """The open sign-in whose pending challenge has that id."""
        for each in self._live.values():
            if each.challenge and each.challenge.id == challenge_id and each.challenge.state is ChallengeState.PENDING:
                return each
        return None

    def seen(self, sign_in: SignIn) -> Seen:
        """What its browser sees of a sign-in that this run began, moved or ended."""
        challenges = {**self._read, **self._challenges}
        return Seen(sign_in, challenges[sign_in.challenge_id] if sign_in.challenge_id else None, self.user)

    def put(self, sign_in: SignIn, challenge: Challenge | None = None) -> None:
        """Write a sign-in that is new or went on, with its present challenge."""
        self._sign_ins[sign_in.id] = sign_in
        if challenge:
            self._challenges[challenge.id] = challenge
        if sign_in.live:
            self._live[sign_in.id] = Pending(sign_in, challenge)

    def put_challenge(self, challenge: Challenge) -> None:
        """Write a challenge that is no sign-in's present one: an enrolment's."""
        self._challenges[challenge.id] = challenge

    def send(self, message: Message) -> None:
        """Add a text or a call to what is to be sent."""
        self._messages.append(message)

    def deliver(self, delivery: Delivery) -> None:
        """Add an outbox row."""
        self._deliveries.append(delivery)

    def record(self, audit: Audit) -> None:
        """Add an audit record; the user is filled in."""
        self._audit.append(msgspec.structs.replace(audit, user_id=self.user.id))

    def end(  # noqa: PLR0913 - the facts of an ending, each named at the call
        self,
        pending: Pending,
        event: SignInEvent,
        actor: Actor,
        *,
        reason: Reason | None = None,
        amr: tuple[str, ...] = (),
        result_jti: str | None = None,
        answered_by: DeviceId | None = None,
        answer_digest: str | None = None,
        source: str | None = None,
    ) -> SignIn:
        """Bring a sign-in to its outcome, its pending challenge with it, and record that once.

        Time ends it at its deadline, whenever that is written down: readers have seen it expired since then.
        """
        fell = pending.sign_in.expires_at if event is SignInEvent.TIMED_OUT else self.now
        over = pending.sign_in.after(event, fell, reason=reason, amr=amr, result_jti=result_jti)
        if over.state not in TERMINAL:
            msg = f"{event} does not end a sign-in"
            raise ValueError(msg)
        self._sign_ins[over.id] = over
        del self._live[over.id]
        if pending.challenge and pending.challenge.state is ChallengeState.PENDING:
            self._challenges[pending.challenge.id] = pending.challenge.ended(
                _CHALLENGE_ENDS[event], fell, reason=reason, answered_by=answered_by, answer_digest=answer_digest
            )
        self.record(
            Audit(
                kind=AuditKind.SIGN_IN_OUTCOME,
                actor=actor,
                sign_in_id=over.id,
                code=over.state.value,
                source=source,
                data={"reason": reason.value} if reason else {},
            )
        )
        return over

    def take_back_results(self) -> None:
        """Hand out no result of an earlier sign-in any more, and let none of them open the settings.

        What was being enrolled there is given up.
        """
        for enrolment in self.guard.enrolments:
            self.close_enrolment(enrolment)
        self.withhold_results_since = after(self.now, -SETTINGS_READING_SECONDS)

    def decision(self, reply: R, *, until: Instant | None = None, remove_user: bool = False) -> Decision[R]:
        """The decision that writes all of it."""
        return Decision(
            reply=reply,
            user=self.user if self.user is not self._before else None,
            sign_ins=tuple(self._sign_ins.values()),
            challenges=tuple(self._challenges.values()),
            deliveries=tuple(self._deliveries),
            messages=tuple(self._messages),
            method_secrets=self.method_secrets,
            removed_methods=self.removed_methods,
            app_password=self.app_password,
            removed_app_passwords=self.removed_app_passwords,
            device=self.device,
            removed_devices=self.removed_devices,
            within=self.within,
            activation=self.activation,
            withhold_results_since=self.withhold_results_since,
            remove_user=remove_user,
            audit=tuple(self._audit),
            until=until,
        )

    def refuse(self, refusal: ServiceError, audit: Audit) -> Decision[NoReturn]:
        """Refuse, and record that: what has been settled and counted so far is written with it."""
        self.record(msgspec.structs.replace(audit, code=refusal.code))
        return msgspec.structs.replace(self.decision(_NO_REPLY), refusal=refusal)


_NO_REPLY: NoReturn = cast("NoReturn", None)
