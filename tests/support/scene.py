"""One person with phones and browsers, before the rules alone: no server, and time and randomness are the test's.

Every call runs one rule on `Memory` as a use case would, and returns its decision, refused or not.
"""

from __future__ import annotations

from functools import partial
from typing import TypeVar

import msgspec

from push_service.methods import ALL
from push_service.model.challenge import Challenge, MethodKind
from push_service.model.decision import Actor, Audit, AuditKind, Decision, Rule
from push_service.model.device import Device, PublicKey
from push_service.model.ids import ApplicationId, ChallengeId, DeviceId, MethodId, SignInId, UserId
from push_service.model.instant import MICROSECONDS, Instant, after
from push_service.model.method import Answer, AnswerDecision, Draft, KeyPress, Methods, SignedAnswer, TypedCode, Verdict
from push_service.model.policy import MAX_SIGN_IN_SECONDS, Confirm, Policy
from push_service.model.rules import (
    administration,
    answer,
    begin,
    browser,
    calls,
    confirmation,
    enrolment,
    registration,
    typed,
)
from push_service.model.rules.answer import AnswerOutcome
from push_service.model.rules.confirmation import Attempt
from push_service.model.rules.enrolment import Opened, Wanted
from push_service.model.sign_in import Asker, Reason, SignIn, SignInState
from push_service.model.user import Activation, Guard, Method, User, UserState
from push_service.model.view import Seen
from tests.support.memory import Memory

R = TypeVar("R")

START = Instant(1_790_000_000 * MICROSECONDS)
MAIL = ApplicationId("app_mail")
DIGITS = "04816273"
NUMBERS = ("73519046", "18462937", "59273618", "90413725", "27364591")
"""What every draft draws, so that only the rules keep two prompts from showing the same; no other text holds one."""


ONLY_PUSH: Methods = {MethodKind.APP_NOTIFICATION: ALL[MethodKind.APP_NOTIFICATION]}
WITH_CODES: Methods = {**ONLY_PUSH, MethodKind.APP_CODE: ALL[MethodKind.APP_CODE]}
"""Asking by a code disturbs nobody, and each phone is a choice of its own."""


def phone(name: str) -> Device:
    """A phone that is called so."""
    return Device(
        id=DeviceId(f"dev_{name}"),
        user_id=UserId("usr_alice"),
        key=PublicKey(f"x_{name}", f"y_{name}"),
        thumbprint=f"thumb_{name}",
        name=f"Alice's {name}",
        platform="stub",
        activated_at=START,
    )


def signed(
    challenge: Challenge | ChallengeId, device: Device, decision: AnswerDecision, number: str | None = None
) -> SignedAnswer:
    """An answer of which everything but its worth has been checked."""
    challenge_id = challenge.id if isinstance(challenge, Challenge) else challenge
    return SignedAnswer(
        challenge_id=challenge_id,
        device_id=device.id,
        thumbprint=device.thumbprint,
        decision=decision,
        number=number,
        digest=f"{challenge_id} {device.id} {decision} {number}",
    )


class Scene:
    """See the module; `now` is moved by the test."""

    def __init__(
        self,
        *phones: str,
        state: UserState = UserState.ENFORCED,
        policy: Policy | None = None,
        methods: Methods = ONLY_PUSH,
    ) -> None:
        self.policy, self.methods, self.now = policy or Policy(), methods, START
        self._count = 0
        user = User(
            id=UserId("usr_alice"),
            name_key="alice",
            username="Alice",
            password_hash="hash",
            state=state,
            admin=False,
            version=1,
            guard=Guard(),
        )
        self.memory = Memory(user)
        for name in phones:
            self.issue(f"code for {name}", actor=Actor.OPERATOR)
            self.activate(f"code for {name}", phone(name))
        self.memory.audit.clear()

    # --- looking ---------------------------------------------------------------------------------------------------

    @property
    def user(self) -> User:
        """The person's row."""
        assert self.memory.user is not None
        return self.memory.user

    @property
    def guard(self) -> Guard:
        """What is counted of them."""
        return self.user.guard

    def sign_in(self, seen: Seen) -> SignIn:
        """A sign-in as it is stored by now."""
        return self.memory.sign_ins[seen.sign_in.id]

    def challenge(self, seen: Seen) -> Challenge:
        """The sign-in's challenge as it is stored by now."""
        challenge = self.memory.challenge_of(self.sign_in(seen))
        assert challenge is not None
        return challenge

    def method(self, kind: MethodKind, name: str) -> Method:
        """What a phone confirms."""
        return next(each for each in self.guard.methods if each.kind is kind and each.device_id == phone(name).id)

    def recorded(self, kind: AuditKind) -> list[Audit]:
        """The audit records of that kind."""
        return [each for each in self.memory.audit if each.kind is kind]

    # --- doing -----------------------------------------------------------------------------------------------------

    def run(self, rule: Rule[R]) -> Decision[R]:
        """Decide now."""
        return self.memory.decide(rule, self.now)

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds go by."""
        self.now = after(self.now, seconds)

    def set_guard(self, **fields: object) -> None:
        """Put the person into a situation that would take long to reach."""
        guard = msgspec.structs.replace(self.guard, **fields)
        self.memory.user = msgspec.structs.replace(self.user, guard=guard)

    def draft(self, begun_at: Instant | None = None) -> Draft:
        """A challenge's random parts; the numbers are always the same."""
        self._count += 1
        latest = after(self.now if begun_at is None else begun_at, MAX_SIGN_IN_SECONDS)
        return Draft(
            challenge_id=ChallengeId(f"ch_{self._count}"),
            nonce=f"nonce_{self._count}",
            context=f"context of ch_{self._count}",
            numbers=tuple(each[: self.policy.number_digits] for each in NUMBERS[: self.policy.pending_per_person + 1]),
            digits=DIGITS,
            requested_at=self.now,
            expires_at=min(after(self.now, self.policy.sign_in_seconds), latest),
            latest=latest,
        )

    def request(self, *, proven: tuple[str, ...] = ("pwd",), replaces: Seen | None = None) -> begin.BeginRequest:
        """A begin by a browser of its own."""
        draft = self.draft()
        return begin.BeginRequest(
            sign_in_id=SignInId(f"si_{self._count}"),
            token_hash=f"hash of bt_{self._count}",
            registration_hash=f"hash of rt_{self._count}",
            application_id=MAIL,
            asker=Asker(ip="192.0.2.7", browser="Firefox on Linux"),
            proven=proven,
            nonce=None,
            replaces=replaces.sign_in.id if replaces else None,
            draft=draft,
        )

    def begin(self, *, proven: tuple[str, ...] = ("pwd",), replaces: Seen | None = None) -> Decision[Seen]:
        """Begin a sign-in; the password was right, or `proven` is empty: vouched."""
        request = self.request(proven=proven, replaces=replaces)
        return self.run(partial(begin.begin, request=request, methods=self.methods, policy=self.policy))

    def begun(self) -> Seen:
        """Begin a sign-in that is let in."""
        decision = self.begin()
        assert decision.refusal is None, decision.refusal
        return decision.reply

    def answer(self, given: SignedAnswer) -> Decision[AnswerOutcome | None]:
        """Answer from a phone."""
        rule = partial(answer.answer, given=given, methods=self.methods, policy=self.policy)
        return self.run(rule)

    def verify(self, seen: Seen, name: str, number: str | None = None) -> AnswerOutcome | None:
        """Verify from a phone, with the right number if none is given."""
        challenge = self.challenge(seen)
        number = challenge.secret if number is None else number
        return self.answer(signed(challenge, phone(name), AnswerDecision.VERIFY, number)).reply

    def press(self, seen: Seen, name: str, decision: AnswerDecision) -> AnswerOutcome | None:
        """Deny, or report fraud."""
        return self.answer(signed(self.challenge(seen), phone(name), decision)).reply

    def type_code(self, seen: Seen, code: str, secret: str | None = None) -> Decision[Seen | None]:
        """Type a code in the browser, for the present challenge."""
        rule = partial(
            typed.type_code,
            sign_in_id=seen.sign_in.id,
            challenge_id=self.challenge(seen).id,
            typed=TypedCode(code=code, secret=secret, mac=f"mac of {code}"),
            methods=self.methods,
            policy=self.policy,
        )
        return self.run(rule)

    def press_keys(self, challenge_id: ChallengeId, keys: str) -> Decision[Verdict | None]:
        """Press keys in the challenge's call."""
        rule = partial(
            calls.press, challenge_id=challenge_id, pressed=KeyPress(keys), methods=self.methods, policy=self.policy
        )
        return self.run(rule)

    def undelivered(self, challenge_id: ChallengeId, reason: Reason, code: str) -> bool:
        """The provider says that it did not reach the person."""
        return self.run(partial(calls.undelivered, challenge_id=challenge_id, reason=reason, code=code)).reply

    def add_method(self, kind: MethodKind, target: str = "+XX XXXXXXX89") -> Method:
        """Register a method as the only one asked first."""
        method = Method(id=MethodId(f"mth_{kind.value}"), kind=kind, target=target)
        self.set_guard(methods=(*self.guard.methods, method), primary=method.id, ever_registered=True)
        return method

    def choose(self, seen: Seen, method_id: MethodId, instead_of: ChallengeId | None = None) -> Decision[Seen | None]:
        """Ask by a method, in place of the present challenge."""
        rule = partial(
            browser.choose,
            sign_in_id=seen.sign_in.id,
            method_id=method_id,
            instead_of=instead_of,
            draft=self.draft(seen.sign_in.begun_at),
            methods=self.methods,
            policy=self.policy,
        )
        return self.run(rule)

    def withdraw(self, seen: Seen) -> Decision[Seen | None]:
        """Cancel from the browser."""
        return self.run(partial(browser.withdraw, sign_in_id=seen.sign_in.id, source="192.0.2.7"))

    def expire(self) -> int:
        """Write down what time has ended."""
        return self.run(browser.expire).reply

    def issue(self, code: str, seen: Seen | None = None, actor: Actor = Actor.BROWSER) -> Decision[None]:
        """Open an activation code."""
        until = after(self.now, self.policy.activation_seconds)
        activation = Activation(code, until, seen.sign_in.id if seen else None)
        return self.run(partial(registration.issue_activation, activation=activation, actor=actor, source=None))

    def activate(self, code: str, device: Device) -> Decision[Device]:
        """Bind a phone by a code."""
        issued = self.memory.activations.get(code)
        waiting = self.memory.sign_ins[issued.sign_in_id] if issued and issued.sign_in_id else None
        new = registration.NewDevice(
            device=device,
            code_hash=code,
            notification_id=MethodId(f"mth_push_{device.id}"),
            code_id=MethodId(f"mth_code_{device.id}"),
            draft=self.draft(waiting.begun_at) if waiting else None,
        )
        rule = partial(registration.activate, new=new, methods=self.methods, policy=self.policy, source=None)
        return self.run(rule)

    def enrol(
        self,
        kind: MethodKind,
        name: str = "new",
        *,
        seen: Seen | None = None,
        session: str = "si_settings",
        secret: str = "+491701234589",
    ) -> Decision[Opened]:
        """Enrol a phone or an app in a settings session, or for a sign-in that waits for the registration."""
        wanted = Wanted(
            id=MethodId(f"mth_{name}"),
            twin=MethodId(f"mth_{name}_twin"),
            kind=kind,
            target=f"target of {name}",
            secret=secret,
            sign_in_id=seen.sign_in.id if seen else SignInId(session),
            registering=seen is not None,
            draft=self.draft(seen.sign_in.begun_at if seen else None),
        )
        rule = partial(enrolment.enrol, wanted=wanted, methods=self.methods, policy=self.policy, source="192.0.2.7")
        return self.run(rule)

    def enrolling(self, kind: MethodKind, name: str = "new", *, seen: Seen | None = None) -> Opened:
        """Enrol where that is let in."""
        decision = self.enrol(kind, name, seen=seen)
        assert decision.refusal is None, decision.refusal
        return decision.reply

    def attempt(self, opened: Opened, given: Answer, actor: Actor = Actor.BROWSER) -> Attempt:
        """An answer to an enrolment's question, as the question is stored by now."""
        waiting = self.memory.sign_ins.get(opened.enrolment.sign_in_id)
        return Attempt(
            challenge=self.memory.challenges[opened.challenge.id],
            answer=given,
            draft=self.draft(waiting.begun_at) if waiting else None,
            actor=actor,
            source="192.0.2.7",
        )

    def confirm(self, opened: Opened, code: str) -> Decision[None]:
        """Type a code that confirms an enrolment."""
        typed = TypedCode(code=code, secret=self.memory.secrets.get(opened.enrolment.id), mac=f"mac of {code}")
        attempt = self.attempt(opened, typed)
        return self.run(partial(confirmation.confirm, attempt=attempt, methods=self.methods, policy=self.policy))

    def press_to_enrol(self, opened: Opened, keys: str) -> Decision[Verdict | None]:
        """Press keys in an enrolment's call."""
        attempt = self.attempt(opened, KeyPress(keys), Actor.PHONE)
        return self.run(partial(confirmation.press, attempt=attempt, methods=self.methods, policy=self.policy))

    def remove_device(self, name: str, actor: Actor = Actor.BROWSER) -> Decision[None]:
        """Remove a phone."""
        rule = partial(
            registration.remove_device, device_id=phone(name).id, methods=self.methods, actor=actor, source=None
        )
        return self.run(rule)

    def remove_method(self, method_id: MethodId, within: SignInId | None = None) -> Decision[None]:
        """Remove a method by its owner."""
        rule = partial(
            registration.remove_method,
            method_id=method_id,
            methods=self.methods,
            actor=Actor.BROWSER,
            source=None,
            within=within,
        )
        return self.run(rule)

    def set_state(self, state: UserState) -> Decision[UserState]:
        """Set the account's state."""
        return self.run(partial(administration.set_state, state=state, methods=self.methods))

    def set_blocked(self, *, blocked: bool) -> Decision[None]:
        """Block or unblock."""
        return self.run(partial(administration.set_blocked, blocked=blocked))

    def reset_methods(self) -> Decision[None]:
        """Forget everything registered."""
        return self.run(partial(administration.reset_methods, methods=self.methods))


TAP = Policy(confirm=Confirm.TAP)
OVER = frozenset(SignInState) - {SignInState.PENDING, SignInState.REGISTRATION_REQUIRED}
