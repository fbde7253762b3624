"""Registering and removing what a person verifies with, and what that does to the sign-ins under way."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.decision import Actor, AuditKind
from push_service.model.device import DeviceState
from push_service.model.errors import InvalidActivationCode, LastMethod, UnknownDevice, UnknownMethod
from push_service.model.ids import DeviceId, MethodId
from push_service.model.instant import after
from push_service.model.policy import MAX_SIGN_IN_SECONDS
from push_service.model.rules.registration import choose_primary, rename_device
from push_service.model.sign_in import Notice, Reason, SignInState
from push_service.model.user import EnrolledDevice, UserState, primary_method, usable_methods
from tests.support.scene import WITH_CODES, Scene, phone

PUSH, CODE = MethodKind.APP_NOTIFICATION, MethodKind.APP_CODE


def _registering() -> Scene:
    return Scene(state=UserState.ENABLED)


def test_the_first_phone_enforces_the_account_and_lets_the_waiting_sign_in_go_on() -> None:
    scene = _registering()
    seen, other = scene.begun(), scene.begun()
    scene.issue("code", seen)
    assert scene.activate("code", phone("phone")).reply == phone("phone")
    assert scene.user.state is UserState.ENFORCED
    assert [(each.kind, each.target) for each in scene.guard.methods] == [
        (PUSH, "Alice's phone"),
        (CODE, "Alice's phone"),
    ]
    assert scene.guard.primary == scene.method(PUSH, "phone").id
    assert scene.guard.devices == (EnrolledDevice(phone("phone").id, "thumb_phone", "Alice's phone"),)
    assert scene.memory.devices[phone("phone").id] == phone("phone")
    assert scene.memory.activations["code"].device_id == phone("phone").id
    sign_in = scene.sign_in(seen)
    assert (sign_in.state, sign_in.registration_hash) == (SignInState.PENDING, None)
    assert sign_in.expires_at == after(scene.now, scene.policy.sign_in_seconds)
    assert sign_in.version == seen.sign_in.version + 1
    assert scene.challenge(seen).state is ChallengeState.PENDING
    assert scene.memory.deliveries
    ended = scene.sign_in(other)
    assert (ended.state, ended.reason) == (SignInState.WITHDRAWN, Reason.REGISTERED_ELSEWHERE)
    assert scene.verify(seen, "phone") is not None


def test_a_later_phone_leaves_the_first_choice_and_the_sign_ins_under_way() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    scene.issue("code")
    scene.activate("code", phone("tablet"))
    assert scene.guard.primary == scene.method(PUSH, "phone").id
    assert scene.sign_in(seen) == seen.sign_in
    assert len(scene.guard.devices) == 2


def test_a_sign_in_that_waits_for_another_code_is_made_pointless() -> None:
    scene = _registering()
    seen = scene.begun()
    scene.issue("code", actor=Actor.OPERATOR)
    scene.activate("code", phone("phone"))
    assert scene.sign_in(seen).reason is Reason.REGISTERED_ELSEWHERE


def test_where_nobody_may_be_asked_now_the_registered_sign_in_waits() -> None:
    scene = _registering()
    scene.set_guard(muted_until=after(scene.now, 60))
    seen = scene.begun()
    scene.issue("code", seen)
    scene.activate("code", phone("phone"))
    sign_in = scene.sign_in(seen)
    assert (sign_in.state, sign_in.notice, sign_in.challenge_id) == (SignInState.PENDING, Notice.PROMPT_LIMIT, None)
    scene.pass_time(60)
    assert scene.choose(seen, scene.method(PUSH, "phone").id).reply is not None


def test_the_challenge_after_a_long_registration_ends_with_the_sign_ins_longest_time() -> None:
    scene = _registering()
    seen = scene.begun()
    scene.pass_time(599)
    scene.issue("code", seen)
    scene.activate("code", phone("phone"))
    assert scene.sign_in(seen).expires_at < after(seen.sign_in.begun_at, MAX_SIGN_IN_SECONDS)


# --- activation codes -------------------------------------------------------------------------------------------------


@pytest.mark.security("S-56")
def test_a_code_binds_one_phone_and_is_void_then() -> None:
    scene = Scene("phone")
    scene.issue("code")
    assert scene.activate("code", phone("tablet")).refusal is None
    assert isinstance(scene.activate("code", phone("other")).refusal, InvalidActivationCode)
    assert len(scene.guard.devices) == 2


@pytest.mark.security("S-56")
def test_a_newer_code_voids_the_one_before_it() -> None:
    scene = Scene("phone")
    scene.issue("first")
    scene.issue("second")
    decision = scene.activate("first", phone("tablet"))
    assert isinstance(decision.refusal, InvalidActivationCode)
    assert scene.recorded(AuditKind.ACTIVATION_REFUSED)[0].code == "invalid_activation_code"
    assert scene.activate("second", phone("tablet")).refusal is None


@pytest.mark.security("S-27", "S-56")
def test_a_code_is_over_at_its_time() -> None:
    scene = Scene("phone")
    scene.issue("code")
    scene.pass_time(scene.policy.activation_seconds)
    assert isinstance(scene.activate("code", phone("tablet")).refusal, InvalidActivationCode)


@pytest.mark.security("S-55")
def test_a_code_dies_with_the_sign_in_that_it_serves() -> None:
    scene = _registering()
    seen = scene.begun()
    scene.issue("code", seen)
    scene.withdraw(seen)
    assert isinstance(scene.activate("code", phone("phone")).refusal, InvalidActivationCode)
    assert isinstance(scene.issue("another", seen).refusal, InvalidActivationCode)
    assert "another" not in scene.memory.activations


def test_a_code_that_nobody_issued_opens_nothing() -> None:
    scene = _registering()
    assert isinstance(scene.activate("code", phone("phone")).refusal, InvalidActivationCode)


# --- removing ---------------------------------------------------------------------------------------------------------


@pytest.mark.security("S-04")
def test_a_removed_phone_goes_with_all_that_it_confirms() -> None:
    scene = Scene("phone", "tablet")
    seen = scene.begun()
    assert scene.remove_device("phone").refusal is None
    assert scene.memory.devices[phone("phone").id].state is DeviceState.REMOVED
    assert {each.device_id for each in scene.guard.methods} == {phone("tablet").id}
    assert scene.guard.primary == scene.method(PUSH, "tablet").id
    assert scene.challenge(seen).state is ChallengeState.PENDING
    assert scene.verify(seen, "tablet") is not None
    assert isinstance(scene.remove_device("phone").refusal, UnknownDevice)


@pytest.mark.security("S-58")
@pytest.mark.parametrize("actor", [Actor.BROWSER, Actor.DEVICE])
def test_the_last_method_of_an_enforced_account_stays(actor: Actor) -> None:
    scene = Scene("phone")
    assert isinstance(scene.remove_device("phone", actor).refusal, LastMethod)
    assert isinstance(scene.remove_method(scene.method(PUSH, "phone").id).refusal, LastMethod)
    assert len(scene.guard.devices) == 1


def test_an_operator_may_remove_the_last_phone_and_fails_what_waits_for_it() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    assert scene.remove_device("phone", Actor.OPERATOR).refusal is None
    assert (scene.sign_in(seen).state, scene.sign_in(seen).reason) == (SignInState.FAILED, Reason.NO_METHOD)
    assert (scene.guard.methods, scene.guard.primary) == ((), None)


def test_the_phone_of_a_password_only_account_may_go() -> None:
    scene = Scene("phone", state=UserState.DISABLED)
    assert scene.user.state is UserState.DISABLED
    assert scene.remove_device("phone", Actor.DEVICE).refusal is None


def test_an_apps_notification_goes_with_its_phone_and_a_code_alone() -> None:
    scene = Scene("phone", "tablet", methods=WITH_CODES)
    assert scene.remove_method(scene.method(CODE, "phone").id).refusal is None
    assert len(scene.guard.devices) == 2
    assert scene.recorded(AuditKind.METHOD_REMOVED)[0].data == {"method": "app_code"}
    assert scene.remove_method(scene.method(PUSH, "phone").id).refusal is None
    assert [each.id for each in scene.guard.devices] == [phone("tablet").id]


def test_a_method_that_is_not_there_cannot_be_removed() -> None:
    assert isinstance(Scene("phone").remove_method(MethodId("mth_none")).refusal, UnknownMethod)


def test_the_last_usable_code_stays_too() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    push = scene.method(PUSH, "phone")
    scene.set_guard(methods=(msgspec.structs.replace(push, disabled=True), scene.method(CODE, "phone")))
    assert isinstance(scene.remove_method(scene.method(CODE, "phone").id).refusal, LastMethod)


def test_a_question_that_no_method_is_left_to_answer_is_withdrawn() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    seen, none_yet = scene.begun(), scene.begun()
    code = scene.method(CODE, "phone").id
    scene.choose(seen, code)
    scene.remove_method(code)
    sign_in = scene.sign_in(seen)
    assert (sign_in.state, scene.challenge(seen).reason) == (SignInState.PENDING, Reason.METHODS_CHANGED)
    assert scene.sign_in(none_yet) == none_yet.sign_in
    version = sign_in.version
    assert version == seen.sign_in.version + 2  # asked by the code, and the code withdrawn
    assert scene.remove_method(code).refusal is not None
    assert scene.sign_in(seen).version == version
    assert scene.choose(seen, scene.method(PUSH, "phone").id).reply is not None


def test_a_question_that_ended_before_is_not_ended_again() -> None:
    scene = Scene("phone", "tablet", methods=WITH_CODES)
    seen = scene.begun()
    scene.choose(seen, scene.method(CODE, "phone").id)
    scene.remove_method(scene.method(CODE, "tablet").id)
    scene.remove_method(scene.method(CODE, "phone").id)
    withdrawn = scene.sign_in(seen)
    scene.remove_device("tablet")
    assert scene.sign_in(seen) == withdrawn


# --- changing ---------------------------------------------------------------------------------------------------------


def test_a_phones_new_name_is_shown_everywhere() -> None:
    scene = Scene("phone", "tablet")
    renamed = msgspec.structs.replace(phone("phone"), name="Blue one")
    assert scene.run(partial(rename_device, device=renamed)).reply == renamed
    assert scene.memory.devices[renamed.id].name == "Blue one"
    assert [each.name for each in scene.guard.devices] == ["Blue one", "Alice's tablet"]
    assert {each.target for each in scene.guard.methods} == {"Blue one", "Alice's tablet"}


def test_a_removed_phone_cannot_bring_itself_back_by_a_change() -> None:
    scene = Scene("phone", "tablet")
    scene.remove_device("phone")
    assert isinstance(scene.run(partial(rename_device, device=phone("phone"))).refusal, UnknownDevice)
    assert scene.memory.devices[DeviceId("dev_phone")].state is DeviceState.REMOVED


def test_the_primary_method_is_one_of_the_usable_ones() -> None:
    scene = Scene("phone", "tablet")
    tablet, code = scene.method(PUSH, "tablet"), scene.method(CODE, "tablet")
    choose = partial(choose_primary, methods=scene.methods, source=None)
    assert scene.run(partial(choose, method_id=tablet.id)).refusal is None
    assert scene.guard.primary == tablet.id
    assert primary_method(scene.guard, usable_methods(scene.guard, scene.methods)) == tablet
    assert isinstance(scene.run(partial(choose, method_id=code.id)).refusal, UnknownMethod)
    assert scene.guard.primary == tablet.id


def test_where_the_primary_is_off_the_next_usable_is_asked_first() -> None:
    scene = Scene("phone", "tablet")
    scene.set_guard(methods=(msgspec.structs.replace(scene.guard.methods[0], disabled=True), *scene.guard.methods[1:]))
    assert primary_method(scene.guard, usable_methods(scene.guard, scene.methods)) == scene.method(PUSH, "tablet")
    assert primary_method(scene.guard, ()) is None
