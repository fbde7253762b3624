"""Ways in for whoever has no method at hand: what they open, and what they don't."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from push_service.methods import ALL
from push_service.model.challenge import MethodKind
from push_service.model.decision import Actor, AuditKind
from push_service.model.errors import Forbidden, LastMethod, TooManyPrompts, UnknownMethod, WrongCode
from push_service.model.ids import MethodId
from push_service.model.instant import after, rfc3339
from push_service.model.method import registered_methods
from push_service.model.policy import CONSECUTIVE_FAILURES, Policy, Rate
from push_service.model.rules import recovery, registration
from push_service.model.sign_in import Notice, SignInState
from push_service.model.user import Bypass, Failures, RecoveryCodes, UserState
from push_service.model.view import Seen, as_of, other_methods
from tests.support.scene import Scene, phone

LIST, BYPASS = MethodId("mth_list"), MethodId("mth_bypass")
MINUTES = 15


def with_list(scene: Scene, *codes: str) -> Scene:
    """The person has made a list of these codes."""
    kept = RecoveryCodes(LIST, tuple(f"mac of {each}" for each in codes))
    scene.run(partial(recovery.issue_codes, codes=kept, source="192.0.2.7"))
    return scene


def with_bypass(scene: Scene, issuer: str = "desk") -> Scene:
    """An administrator has issued one."""
    bypass = Bypass(id=BYPASS, mac="mac of bypass", expires_at=after(scene.now, MINUTES * 60))
    scene.run(partial(recovery.issue_bypass, bypass=bypass, issuer=issuer, reason="lost phone"))
    return scene


def everything(*phones: str, state: UserState = UserState.ENFORCED) -> Scene:
    """Somebody with both, and these phones."""
    return with_bypass(with_list(Scene(*phones, methods=ALL, state=state), "one", "two"))


def offered(scene: Scene, seen: Seen) -> list[MethodKind]:
    """What the browser can pick instead of what is asked."""
    return [each.kind for each in other_methods(as_of(scene.memory.watch(seen.sign_in.id), scene.now), scene.methods)]


def picked(scene: Scene, method_id: MethodId) -> Seen:
    """A sign-in in which it is asked for."""
    seen = scene.begun()
    assert scene.choose(seen, method_id).refusal is None
    return seen


def test_a_recovery_code_is_listed_while_any_is_left_and_approves_with_two_factors() -> None:
    scene = with_list(Scene("phone", methods=ALL), "one", "two")
    for code in ("one", "two"):
        seen = scene.begun()
        assert MethodKind.RECOVERY_CODE in offered(scene, seen)
        scene.choose(seen, LIST)
        done = scene.type_code(seen, code).reply
        assert done is not None
        assert (done.sign_in.state, done.sign_in.amr) == (SignInState.APPROVED, ("pwd", "otp", "mfa"))
    assert scene.recorded(AuditKind.SIGN_IN_OUTCOME)[-1].data == {"method": "recovery_code"}
    seen = scene.begun()
    assert MethodKind.RECOVERY_CODE not in offered(scene, seen)
    assert isinstance(scene.choose(seen, LIST).refusal, UnknownMethod)


def test_a_recovery_code_that_was_used_is_a_wrong_one() -> None:
    scene = with_list(Scene("phone", methods=ALL), "one", "two")
    assert scene.type_code(picked(scene, LIST), "one").refusal is None
    assert isinstance(scene.type_code(picked(scene, LIST), "one").refusal, WrongCode)


def test_a_new_list_takes_the_place_of_the_old_one_and_forgives_what_was_tried_against_it() -> None:
    scene = with_list(Scene("phone", methods=ALL), "old")
    scene.type_code(picked(scene, LIST), "wrong")
    with_list(scene, "new")
    assert MethodKind.RECOVERY_CODE not in scene.guard.failures
    assert isinstance(scene.type_code(picked(scene, LIST), "old").refusal, WrongCode)
    assert scene.type_code(picked(scene, LIST), "new").refusal is None
    (first, _) = scene.recorded(AuditKind.RECOVERY_CODES_ISSUED)
    assert (first.actor, first.source) == (Actor.BROWSER, "192.0.2.7")


@pytest.mark.parametrize("kind", [MethodKind.RECOVERY_CODE, MethodKind.BYPASS])
def test_after_a_hundred_wrong_codes_in_a_row_it_is_off_until_issued_anew(kind: MethodKind) -> None:
    scene = everything("phone")
    scene.set_guard(failures={kind: Failures(CONSECUTIVE_FAILURES)})
    assert kind not in offered(scene, scene.begun())
    everything_again = with_bypass(with_list(scene, "three"))
    assert kind in offered(scene, everything_again.begun())


@pytest.mark.security("S-61")
def test_a_bypass_opens_once_by_password_alone_and_says_who_issued_it_and_why() -> None:
    scene = with_bypass(Scene("phone", methods=ALL))
    done = scene.type_code(picked(scene, BYPASS), "bypass").reply
    assert done is not None
    assert (done.sign_in.state, done.sign_in.amr) == (SignInState.APPROVED, ("pwd",))
    assert scene.guard.bypass is None
    assert MethodKind.BYPASS not in offered(scene, scene.begun())
    (issued,) = scene.recorded(AuditKind.BYPASS_ISSUED)
    until = rfc3339(after(scene.now, MINUTES * 60))
    assert (issued.actor, issued.data) == (
        Actor.OPERATOR,
        {"issuer": "desk", "reason": "lost phone", "expires_at": until},
    )
    assert scene.recorded(AuditKind.SIGN_IN_OUTCOME)[-1].data == {"method": "bypass"}


@pytest.mark.security("S-27", "S-61")
def test_a_bypass_whose_time_is_over_is_offered_to_nobody_and_right_for_nobody() -> None:
    scene = with_bypass(Scene("phone", methods=ALL, policy=Policy(sign_in_seconds=900)))
    scene.pass_time(MINUTES * 60 - 1)
    seen, other = picked(scene, BYPASS), scene.begun()
    assert MethodKind.BYPASS in offered(scene, other)
    scene.pass_time(1)
    assert MethodKind.BYPASS not in offered(scene, other)
    assert isinstance(scene.choose(other, BYPASS).refusal, UnknownMethod)
    assert isinstance(scene.type_code(seen, "bypass").refusal, WrongCode)
    assert scene.guard.bypass is None


@pytest.mark.security("S-61")
def test_nobody_issues_a_bypass_to_themselves() -> None:
    scene = with_bypass(Scene("phone", methods=ALL), issuer="usr_alice")
    assert scene.guard.bypass is None
    (record,) = scene.recorded(AuditKind.BYPASS_REFUSED)
    assert record.code == Forbidden.code


@pytest.mark.security("S-61")
def test_a_browser_that_waits_sees_the_bypass_when_it_is_issued() -> None:
    scene = Scene("phone", methods=ALL)
    seen, registering = scene.begun(), Scene(methods=ALL, state=UserState.ENABLED)
    before = registering.begun()
    with_bypass(scene)
    with_bypass(registering)
    assert scene.sign_in(seen).version == seen.sign_in.version + 1
    assert MethodKind.BYPASS in offered(scene, seen)
    assert scene.verify(seen, "phone")
    assert registering.sign_in(before).version == before.sign_in.version


@pytest.mark.security("S-61")
def test_neither_makes_anybody_registered() -> None:
    scene = everything(state=UserState.ENABLED)
    assert registered_methods(scene.guard, ALL) == ()
    seen = scene.begun()
    assert seen.sign_in.state is SignInState.REGISTRATION_REQUIRED
    assert isinstance(scene.choose(seen, BYPASS).refusal, UnknownMethod)
    scene = everything("phone")
    (push, _) = scene.guard.methods
    assert isinstance(scene.remove_device("phone").refusal, LastMethod)
    for each in (LIST, BYPASS):
        rule = partial(registration.choose_primary, method_id=each, methods=ALL, source=None)
        assert isinstance(scene.run(rule).refusal, UnknownMethod)
        assert isinstance(scene.remove_method(each).refusal, UnknownMethod)
    assert scene.guard.primary == push.id


def test_whoever_has_lost_every_method_is_asked_for_what_is_left() -> None:
    scene = everything()
    scene.set_guard(ever_registered=True)
    seen = scene.begun()
    assert scene.challenge(seen).kind is MethodKind.RECOVERY_CODE
    assert offered(scene, seen) == [MethodKind.BYPASS]


def test_whoever_may_not_be_asked_on_the_phone_picks_a_code() -> None:
    methods = {kind: ALL[kind] for kind in (MethodKind.APP_NOTIFICATION, MethodKind.RECOVERY_CODE)}
    scene = with_list(Scene("phone", methods=methods, policy=Policy(prompts_unanswered=(Rate(1, 60),))), "one")
    scene.begun()
    assert scene.begun().sign_in.notice is Notice.PROMPT_LIMIT
    scene.set_guard(recovery=None)
    assert isinstance(scene.begin().refusal, TooManyPrompts)


def test_a_reset_takes_both_away_and_a_list_or_a_bypass_forgets_no_browser() -> None:
    scene = Scene("phone", methods=ALL)
    forgotten_at = scene.guard.forgotten_at
    scene.pass_time(60)
    with_bypass(with_list(scene, "one"))
    assert scene.guard.forgotten_at == forgotten_at
    scene.reset_methods()
    assert (scene.guard.recovery, scene.guard.bypass) == (None, None)


def test_an_expired_bypass_stands_in_nobodys_way() -> None:
    scene = with_bypass(Scene("phone", methods=ALL))
    scene.pass_time(MINUTES * 60)
    before = scene.user
    scene.issue("code")
    scene.activate("code", phone("tablet"))
    assert scene.guard.bypass is None
    assert msgspec.structs.replace(before.guard, bypass=None).devices != scene.guard.devices
