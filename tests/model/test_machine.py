"""Everything that can happen to a person, in any order and with time moving: what must hold after every step.

Hypothesis plays browsers, phones, operators and the clock against the rules, on one person's rows in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from push_service.model.challenge import Challenge, ChallengeState, MethodKind
from push_service.model.decision import Actor, AuditKind
from push_service.model.device import Device, DeviceState
from push_service.model.errors import TooLate, UnknownDevice
from push_service.model.ids import ChallengeId, MethodId, SignInId
from push_service.model.instant import MICROSECONDS, Instant
from push_service.model.method import AnswerDecision, SignedAnswer
from push_service.model.policy import Policy, Rate
from push_service.model.rules import administration
from push_service.model.rules.answer import AnswerOutcome, repeated, report_fraud_late
from push_service.model.rules.answer import answer as decide_answer
from push_service.model.sign_in import SignInState
from push_service.model.user import Failures, UserState, usable_methods
from push_service.model.view import Seen, as_of, readable, wire_version
from tests.support.scene import ONLY_PUSH, OVER, WITH_CODES, Scene, phone, signed

T = TypeVar("T")

PUSH = MethodKind.APP_NOTIFICATION
ANY = st.integers(min_value=0, max_value=63)
WHO_REMOVES = (Actor.BROWSER, Actor.DEVICE, Actor.OPERATOR)
DECISIONS = st.sampled_from([*AnswerDecision, AnswerDecision.VERIFY])
POLICY = Policy(number_digits=8, begins_per_person=Rate(10_000, 1))


def _one_of(several: Sequence[T], pick: int) -> T:
    """The newest are the likeliest: they are the ones that can still change."""
    return several[-1 - pick % min(len(several), 1 + pick // 8)]


class Person(RuleBasedStateMachine):
    """What can be done, and what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene()
        self.begun: list[Seen] = []
        self.names: list[str] = []
        self.codes: list[str] = []
        self.given: list[SignedAnswer] = []
        self.told: dict[ChallengeId, tuple[str, AnswerOutcome]] = {}
        self.over: dict[SignInId, tuple[object, ...]] = {}
        self.shown: dict[SignInId, tuple[int, tuple[object, ...]]] = {}
        self.ended: dict[ChallengeId, Challenge] = {}
        self.version = 0
        self.prompts: list[Instant] = []
        """When something appeared on the phones since the last success, counted here and not by the rules."""
        self.known: set[ChallengeId] = set()

    @initialize(
        phones=st.sampled_from([0, 1, 2, 2]),
        state=st.sampled_from([UserState.ENABLED, UserState.ENFORCED, UserState.ENFORCED]),
        codes=st.booleans(),
        failures=st.sampled_from([0, 98, 99]),
    )
    def meet(self, phones: int, state: UserState, *, codes: bool, failures: int) -> None:
        self.names = [f"phone {n}" for n in range(phones)] or ["none yet"]
        self.scene = Scene(*self.names[:phones], state=state, policy=POLICY, methods=WITH_CODES if codes else ONLY_PUSH)
        if failures:
            self.scene.set_guard(failures={PUSH: Failures(failures, (self.scene.now,) * 3)})

    # --- browsers ---------------------------------------------------------------------------------------------------

    @rule(vouched=st.sampled_from([False, False, True]), replacing=st.booleans(), pick=ANY)
    def begin(self, pick: int, *, vouched: bool, replacing: bool) -> None:
        former = _one_of(self.begun, pick) if replacing and self.begun else None
        decision = self.scene.begin(proven=() if vouched else ("pwd",), replaces=former)
        if decision.refusal is None:
            self.begun.append(decision.reply)

    @rule(whose=ANY)
    def sign_in_and_verify(self, whose: int) -> None:
        decision = self.scene.begin()
        if decision.refusal is None:
            self.begun.append(decision.reply)
            challenge = decision.reply.challenge
            if challenge is not None and challenge.kind is PUSH:
                self._submit(signed(challenge, self._phone(whose), AnswerDecision.VERIFY, challenge.secret))

    @precondition(lambda self: self.begun)
    @rule(pick=ANY)
    def withdraw(self, pick: int) -> None:
        self.scene.withdraw(_one_of(self.begun, pick))

    @precondition(lambda self: self.begun)
    @rule(pick=ANY, whose=ANY, by=st.sampled_from(["push", "push", "code"]), instead=st.booleans(), other=ANY)
    def choose(self, pick: int, whose: int, by: str, other: int, *, instead: bool) -> None:
        challenges = list(self.scene.memory.challenges)
        instead_of = _one_of(challenges, other) if instead and challenges else None
        self.scene.choose(_one_of(self.begun, pick), MethodId(f"mth_{by}_{self._phone(whose).id}"), instead_of)

    # --- phones -----------------------------------------------------------------------------------------------------

    @property
    def on_phones(self) -> list[Challenge]:
        """The challenges that phones ever knew of."""
        return [each for each in self.scene.memory.challenges.values() if each.kind is PUSH]

    @precondition(lambda self: self.on_phones)
    @rule(pick=ANY, whose=ANY, decision=DECISIONS, right=st.booleans())
    def answer(self, pick: int, whose: int, decision: AnswerDecision, *, right: bool) -> None:
        challenge = _one_of(self.on_phones, pick)
        number = (challenge.secret if right else "00000000") if decision is AnswerDecision.VERIFY else None
        self._submit(signed(challenge, self._phone(whose), decision, number))

    @precondition(lambda self: self.given)
    @rule(pick=ANY)
    def answer_again(self, pick: int) -> None:
        self._submit(_one_of(self.given, pick))

    @precondition(lambda self: self.on_phones)
    @rule(pick=ANY, whose=st.tuples(ANY, ANY), decisions=st.tuples(DECISIONS, DECISIONS))
    def two_answers_at_once(
        self, pick: int, whose: tuple[int, int], decisions: tuple[AnswerDecision, AnswerDecision]
    ) -> None:
        scene = self.scene
        challenge = _one_of(self.on_phones, pick)
        snapshot = scene.memory.snapshot()
        one, other = (
            signed(challenge, self._phone(who), decision, challenge.secret)
            for who, decision in zip(whose, decisions, strict=True)
        )
        stale = decide_answer(snapshot, scene.now, other, scene.methods, scene.policy)
        self._submit(one)
        moved = scene.user.version != snapshot.user.version
        if moved and stale.changes:
            assert not scene.memory.commit(snapshot, stale)
        self._submit(other)

    def _submit(self, given: SignedAnswer) -> None:
        """Answer as a phone does: decided, or told what the first answer was, or too late."""
        scene = self.scene
        enrolled = any(each.id == given.device_id for each in scene.guard.devices)
        self.given.append(given)
        decision = scene.answer(given)
        first = self.told.get(given.challenge_id)
        if decision.refusal is not None:
            assert isinstance(decision.refusal, UnknownDevice)
            assert not enrolled
            return
        if decision.reply is not None:
            assert first is None, "a second answer was counted"
            self.told[given.challenge_id] = given.digest, decision.reply
            return
        challenge = scene.memory.challenges[given.challenge_id]
        sign_in = scene.memory.sign_ins[challenge.sign_in_id]
        try:
            outcome = repeated(challenge, sign_in, given, scene.now)
        except TooLate:
            assert first is None or first[0] != given.digest or not readable(sign_in, scene.now)
            if given.decision is AnswerDecision.REPORT_FRAUD:
                late = partial(report_fraud_late, given=given, sign_in=sign_in, policy=scene.policy)
                assert isinstance(scene.run(late).refusal, TooLate)
        else:
            assert first == (given.digest, outcome)

    @rule(pick=ANY)
    def activate(self, pick: int) -> None:
        code = _one_of(self.codes, pick) if self.codes else "never issued"
        name = f"phone {len(self.scene.memory.devices)}"
        if self.scene.activate(code, phone(name)).refusal is None:
            self.names.append(name)

    @rule(pick=ANY)
    def register(self, pick: int) -> None:
        self.issue_code(pick, registering=pick < 32)
        self.activate(0)

    def _phone(self, pick: int) -> Device:
        return phone(_one_of(self.names, pick))

    # --- settings and operators -------------------------------------------------------------------------------------

    @rule(pick=ANY, registering=st.booleans())
    def issue_code(self, pick: int, *, registering: bool) -> None:
        seen = _one_of(self.begun, pick) if registering and self.begun else None
        self.codes.append(f"code {len(self.codes)}")
        self.scene.issue(self.codes[-1], seen)

    @rule(whose=ANY, by=st.sampled_from(["push", "code", "device"]), actor=st.sampled_from(WHO_REMOVES))
    def remove(self, whose: int, by: str, actor: Actor) -> None:
        if by == "device":
            self.scene.remove_device(_one_of(self.names, whose), actor)
        else:
            self.scene.remove_method(MethodId(f"mth_{by}_{self._phone(whose).id}"))

    @rule(act=st.sampled_from(["block", "unblock", "unblock", "password", "reset", *UserState, UserState.ENFORCED]))
    def operate(self, act: str) -> None:
        match act:
            case "block":
                self.scene.set_blocked(blocked=True)
            case "unblock":
                self.scene.set_blocked(blocked=False)
                self.prompts.clear()
            case "password":
                self.scene.run(partial(administration.set_password, password_hash="new"))
            case "reset":
                self.scene.reset_methods()
            case _:
                self.scene.set_state(UserState(act))

    # --- time -------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 10, 60, 119, 120, 300, 600, 1200, 90_000]))
    def pass_time(self, seconds: int) -> None:
        self.scene.pass_time(seconds)

    @rule()
    def expire(self) -> None:
        self.scene.expire()

    # --- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def an_outcome_falls_once_and_is_recorded_once(self) -> None:
        memory = self.scene.memory
        recorded = Counter(each.sign_in_id for each in memory.audit if each.kind is AuditKind.SIGN_IN_OUTCOME)
        for sign_in in memory.sign_ins.values():
            assert recorded[sign_in.id] == (sign_in.state in OVER)
            if sign_in.state in OVER:
                outcome = (sign_in.state, sign_in.reason, sign_in.decided_at, sign_in.amr)
                assert self.over.setdefault(sign_in.id, outcome) == outcome

    @invariant()
    def a_challenge_that_ended_never_changes(self) -> None:
        for challenge in self.scene.memory.challenges.values():
            if challenge.state is not ChallengeState.PENDING:
                assert self.ended.setdefault(challenge.id, challenge) == challenge

    @invariant()
    def the_question_pending_is_the_one_its_live_sign_in_points_to(self) -> None:
        memory = self.scene.memory
        for challenge in memory.challenges.values():
            sign_in = memory.sign_ins[challenge.sign_in_id]
            present = sign_in.live and sign_in.challenge_id == challenge.id
            if challenge.state is ChallengeState.PENDING:
                assert present
            elif present:
                assert challenge.reason == "methods_changed"

    @invariant()
    def only_a_question_answered_rightly_approves_in_two_steps(self) -> None:
        memory = self.scene.memory
        for sign_in in memory.sign_ins.values():
            challenge = memory.challenge_of(sign_in)
            completed = challenge is not None and challenge.state is ChallengeState.COMPLETED
            assert ("swk" in sign_in.amr) == completed
            assert ("mfa" in sign_in.amr) == (completed and sign_in.proven == ("pwd",))
            assert completed <= (sign_in.state is SignInState.APPROVED)
            assert sign_in.result_jti is None or sign_in.state is SignInState.APPROVED

    @invariant()
    def no_more_wait_than_allowed_and_no_two_show_one_number(self) -> None:
        scene = self.scene
        waiting = [each for each in scene.memory.snapshot().live if each.sign_in.open_at(scene.now)]
        assert len(waiting) <= scene.policy.pending_per_person
        numbers = [each.challenge.secret for each in waiting if each.challenge and each.challenge.secret]
        assert len(set(numbers)) == len(numbers)

    @invariant()
    def versions_only_grow_and_grow_with_what_is_seen(self) -> None:
        scene = self.scene
        assert scene.user.version >= self.version
        self.version = scene.user.version
        for sign_in_id in scene.memory.sign_ins:
            seen = as_of(scene.memory.watch(sign_in_id), scene.now)
            sign_in, challenge = seen.sign_in, seen.challenge
            sight = (
                (sign_in.state, sign_in.reason, sign_in.notice, sign_in.expires_at, sign_in.result_jti),
                challenge and (challenge.id, challenge.state, challenge.reason),
            )
            version = wire_version(seen)
            before = self.shown.get(sign_in_id, (0, ()))
            assert version >= before[0] if sight == before[1] else version > before[0]
            self.shown[sign_in_id] = version, sight

    @invariant()
    def nobody_is_asked_more_often_than_the_caps_since_the_last_success(self) -> None:
        scene = self.scene
        for challenge in scene.memory.challenges.values():
            if challenge.id not in self.known and challenge.kind is PUSH:
                self.prompts.append(challenge.started_at)
        for rate in scene.policy.prompts_unanswered:
            window = rate.seconds * MICROSECONDS
            for last in self.prompts:
                assert sum(last - window < each <= last for each in self.prompts) <= rate.count
        self.known |= set(scene.memory.challenges)
        latest = max((each.decided_at or 0 for each in scene.memory.sign_ins.values() if "swk" in each.amr), default=0)
        self.prompts = [each for each in self.prompts if each > latest]

    @invariant()
    def methods_devices_and_the_first_choice_agree(self) -> None:
        scene = self.scene
        guard = scene.guard
        enrolled = {each.id for each in guard.devices}
        assert enrolled == {each.id for each in scene.memory.devices.values() if each.state is DeviceState.ACTIVE}
        assert {each.device_id for each in guard.methods} <= enrolled
        assert len({each.id for each in guard.methods}) == len(guard.methods)
        assert (guard.primary in {each.id for each in guard.methods}) if guard.methods else guard.primary is None

    @invariant()
    def what_is_under_way_fits_the_account(self) -> None:
        scene = self.scene
        user, live = scene.user, scene.memory.snapshot().live
        usable = usable_methods(user.guard, scene.methods)
        assert not (live and (user.guard.blocked or user.state is UserState.DISABLED))
        assert not (usable and user.state is UserState.ENABLED)
        for each in live:
            assert bool(usable) == (each.sign_in.state is SignInState.PENDING)
        if user.guard.activation and user.guard.blocked:
            assert user.guard.activation.sign_in_id is None

    def teardown(self) -> None:
        """The numbers are in the challenges' secrets and in the phones' answers, and nowhere else."""
        memory = self.scene.memory
        texts = repr(
            (memory.audit, memory.sign_ins, memory.last_user, memory.user, memory.deliveries, memory.activations)
        )
        for challenge in memory.challenges.values():
            rest = repr((challenge.context, challenge.target, challenge.nonce))
            assert challenge.secret is None or (challenge.secret not in texts and challenge.secret not in rest)


Person.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestPerson = pytest.mark.security("S-01", "S-12", "S-13", "S-15", "S-31", "S-32")(Person.TestCase)
