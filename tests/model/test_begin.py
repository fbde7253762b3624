"""Beginning a sign-in: who is let through, asked, sent to register, or refused."""

from __future__ import annotations

import pytest

from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.decision import AuditKind
from push_service.model.errors import (
    RegistrationNeedsPassword,
    ServiceError,
    TooManyPending,
    TooManyPrompts,
    TooManyRequests,
    VerificationNotEnabled,
)
from push_service.model.instant import Instant, after, seconds_between
from push_service.model.policy import Policy, Rate
from push_service.model.sign_in import Notice, Reason, SignInState
from push_service.model.user import Failures, UserState
from push_service.model.view import other_methods
from tests.support.scene import NUMBERS, WITH_CODES, Scene, phone

PUSH = MethodKind.APP_NOTIFICATION


def test_a_registered_person_is_asked_on_all_their_phones() -> None:
    scene = Scene("phone", "tablet")
    seen = scene.begun()
    challenge = scene.challenge(seen)
    assert seen.sign_in.state is SignInState.PENDING
    assert (challenge.state, challenge.secret, challenge.digits) == (ChallengeState.PENDING, NUMBERS[0][:2], 2)
    assert challenge == seen.challenge
    assert seen.sign_in.expires_at == after(scene.now, scene.policy.sign_in_seconds)
    assert [each.device_id for each in scene.memory.deliveries] == [phone("phone").id, phone("tablet").id]
    assert scene.guard.prompts == (scene.now,)
    (record,) = scene.memory.audit
    assert (record.kind, record.code, record.source) == (AuditKind.SIGN_IN_BEGUN, "pending", "192.0.2.7")
    assert record.data == {"application": "app_mail"}


def test_a_password_only_account_is_let_through_by_its_password_alone() -> None:
    scene = Scene(state=UserState.DISABLED)
    sign_in = scene.begun().sign_in
    assert (sign_in.state, sign_in.amr, sign_in.decided_at) == (SignInState.APPROVED, ("pwd",), scene.now)
    assert sign_in.result_jti
    (record,) = scene.memory.audit
    assert (record.kind, record.code) == (AuditKind.SIGN_IN_OUTCOME, "approved")


@pytest.mark.parametrize("state", [UserState.ENABLED, UserState.ENFORCED])
def test_who_has_nothing_registered_must_register_first(state: UserState) -> None:
    scene = Scene(state=state)
    seen = scene.begun()
    assert seen.sign_in.state is SignInState.REGISTRATION_REQUIRED
    assert seen.sign_in.registration_hash
    assert seen.sign_in.expires_at == after(scene.now, scene.policy.registration_seconds)
    assert seen.challenge is None


def test_a_blocked_person_has_failed_before_anything_is_asked() -> None:
    scene = Scene("phone")
    scene.set_blocked(blocked=True)
    seen = scene.begun()
    assert (seen.sign_in.state, seen.sign_in.reason) == (SignInState.FAILED, Reason.USER_BLOCKED)
    assert seen.challenge is None
    assert scene.recorded(AuditKind.SIGN_IN_OUTCOME)[0].data["reason"] == "user_blocked"
    assert not scene.guard.prompts


@pytest.mark.security("S-58")
def test_who_lost_every_method_registers_anew_only_for_a_day_after_a_reset() -> None:
    scene = Scene("phone")
    scene.reset_methods()
    scene.pass_time(scene.policy.reset_grace_seconds - 1)
    assert scene.begun().sign_in.state is SignInState.REGISTRATION_REQUIRED
    scene.pass_time(1)
    sign_in = scene.begun().sign_in
    assert (sign_in.state, sign_in.reason) == (SignInState.FAILED, Reason.NO_METHOD)


def test_who_lost_every_method_without_a_reset_cannot_register_by_password() -> None:
    scene = Scene(state=UserState.ENFORCED)
    scene.set_guard(ever_registered=True)
    assert scene.begun().sign_in.reason is Reason.NO_METHOD


def test_whoever_is_only_enabled_may_register_however_long_ago_the_methods_went() -> None:
    scene = Scene(state=UserState.ENABLED)
    scene.set_guard(ever_registered=True)
    assert scene.begun().sign_in.state is SignInState.REGISTRATION_REQUIRED


@pytest.mark.security("S-17")
@pytest.mark.parametrize(
    ("scene", "refusal"),
    [
        (Scene(state=UserState.DISABLED), VerificationNotEnabled),
        (Scene(state=UserState.ENABLED), RegistrationNeedsPassword),
    ],
)
def test_vouching_lets_nobody_in_alone(scene: Scene, refusal: type[ServiceError]) -> None:
    decision = scene.begin(proven=())
    assert isinstance(decision.refusal, refusal)
    assert not scene.memory.sign_ins
    (record,) = scene.memory.audit
    assert (record.kind, record.code, record.data["vouched"]) == (AuditKind.SIGN_IN_REFUSED, refusal.code, "true")


def test_a_vouched_person_is_asked_like_anyone() -> None:
    scene = Scene("phone")
    assert scene.begin(proven=()).reply.sign_in.state is SignInState.PENDING


def test_two_prompts_of_a_person_never_show_the_same_number() -> None:
    scene = Scene("phone")
    numbers = [scene.challenge(scene.begun()).secret for _ in range(3)]
    assert numbers == [each[:2] for each in NUMBERS[:3]]


def test_no_more_wait_at_once_than_the_policy_allows_until_one_is_over() -> None:
    scene = Scene("phone")
    first = scene.begun()
    scene.pass_time(10)
    scene.begun()
    scene.begun()
    decision = scene.begin()
    assert isinstance(decision.refusal, TooManyPending)
    assert decision.refusal.retry_after == scene.policy.sign_in_seconds - 10
    scene.withdraw(first)
    assert scene.begin().refusal is None


def test_a_browsers_newer_sign_in_replaces_its_older_one_and_no_other() -> None:
    scene = Scene("phone")
    first, other = scene.begun(), scene.begun()
    scene.begin(replaces=first)
    assert (scene.sign_in(first).state, scene.sign_in(first).reason) == (SignInState.WITHDRAWN, Reason.REPLACED)
    assert scene.challenge(first).state is ChallengeState.WITHDRAWN
    assert scene.sign_in(other).state is SignInState.PENDING
    scene.begin(replaces=first)
    assert len(scene.recorded(AuditKind.SIGN_IN_OUTCOME)) == 1


@pytest.mark.security("S-15")
def test_begins_are_counted_by_person_whatever_becomes_of_them() -> None:
    scene = Scene(state=UserState.DISABLED, policy=Policy(begins_per_person=Rate(2, 100)))
    assert scene.begin().refusal is None
    assert scene.begin(proven=()).refusal is not None
    decision = scene.begin()
    assert isinstance(decision.refusal, TooManyRequests)
    assert decision.refusal.retry_after == 50
    scene.pass_time(50)
    assert scene.begin().refusal is None


@pytest.mark.security("S-15")
def test_prompts_are_capped_however_they_end_until_one_succeeds() -> None:
    scene = Scene("phone")
    for _ in range(5):
        scene.withdraw(scene.begun())
        scene.pass_time(1)
    decision = scene.begin()
    assert isinstance(decision.refusal, TooManyPrompts)
    assert decision.refusal.retry_after == 295
    scene.pass_time(295)
    scene.verify(scene.begun(), "phone")
    assert not scene.guard.prompts
    for _ in range(5):
        scene.withdraw(scene.begun())


@pytest.mark.security("S-13")
def test_wrong_numbers_of_days_add_up_and_end_the_prompts() -> None:
    scene = Scene("phone")
    first = scene.now
    for _ in range(5):
        scene.verify(scene.begun(), "phone", "00")
        scene.pass_time(3600)
    decision = scene.begin()
    assert isinstance(decision.refusal, TooManyPrompts)
    assert decision.refusal.retry_after == seconds_between(scene.now, after(first, 86400))
    assert scene.guard.failures[PUSH] == Failures(5, tuple(after(first, 3600 * n) for n in range(5)))


def test_where_another_method_may_be_picked_the_sign_in_waits_for_that() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    scene.set_guard(muted_until=after(scene.now, 60))
    seen = scene.begun()
    assert (seen.sign_in.state, seen.sign_in.notice) == (SignInState.PENDING, Notice.PROMPT_LIMIT)
    assert seen.challenge is None
    assert [each.kind for each in other_methods(seen, scene.methods)] == [PUSH, MethodKind.APP_CODE]


def test_asking_by_a_code_disturbs_nobody_and_is_not_counted() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    scene.set_guard(primary=scene.method(MethodKind.APP_CODE, "phone").id, muted_until=after(scene.now, 60))
    seen = scene.begun()
    assert scene.challenge(seen).kind is MethodKind.APP_CODE
    assert not scene.memory.deliveries
    assert not scene.guard.prompts


def test_a_begin_settles_what_time_has_ended() -> None:
    scene = Scene("phone")
    former = scene.begun()
    scene.pass_time(scene.policy.sign_in_seconds)
    scene.begin(replaces=former)
    ended = scene.sign_in(former)
    assert (ended.state, ended.reason, ended.decided_at) == (SignInState.EXPIRED, None, ended.expires_at)
    assert [each.code for each in scene.memory.audit] == ["pending", "expired", "pending"]


def test_what_it_decides_must_be_written_while_it_is_true() -> None:
    scene = Scene("phone")
    assert scene.begin().until == after(scene.now, scene.policy.sign_in_seconds) != Instant(0)
