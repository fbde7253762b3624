"""What an operator does to an account, and to what is under way."""

from __future__ import annotations

from functools import partial

import pytest

from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.decision import Actor, AuditKind
from push_service.model.device import DeviceState
from push_service.model.errors import InvalidActivationCode, UnknownUser
from push_service.model.instant import Instant, after
from push_service.model.rules.administration import remove_user, set_password
from push_service.model.sign_in import Reason, SignInState
from push_service.model.user import Failures, UserState
from push_service.model.view import Seen
from tests.support.scene import Scene, phone

PUSH = MethodKind.APP_NOTIFICATION


def _under_way() -> tuple[Scene, Seen, Seen]:
    """A sign-in that was approved a minute ago, and one that waits."""
    scene = Scene("phone")
    approved = scene.begun()
    scene.verify(approved, "phone")
    scene.pass_time(60)
    return scene, approved, scene.begun()


@pytest.mark.security("S-54")
@pytest.mark.parametrize("before", UserState)
@pytest.mark.parametrize("to", UserState)
def test_a_registered_person_is_never_merely_enabled(before: UserState, to: UserState) -> None:
    scene = Scene("phone", state=before)
    stored = scene.set_state(to).reply
    assert stored is scene.user.state
    assert stored is (UserState.DISABLED if to is UserState.DISABLED else UserState.ENFORCED)


@pytest.mark.parametrize("to", UserState)
def test_an_unregistered_person_is_what_was_said(to: UserState) -> None:
    scene = Scene()
    assert scene.set_state(to).reply is scene.user.state is to


@pytest.mark.security("S-54", "S-35")
def test_turning_verification_off_ends_what_was_judged_by_the_old_state() -> None:
    scene, approved, waiting = _under_way()
    scene.set_state(UserState.DISABLED)
    assert (scene.sign_in(waiting).state, scene.sign_in(waiting).reason) == (
        SignInState.WITHDRAWN,
        Reason.ACCOUNT_CHANGED,
    )
    assert scene.sign_in(approved).result_jti is None
    assert scene.sign_in(approved).version == 3
    assert scene.recorded(AuditKind.USER_CHANGED)[0].data == {"state": "disabled"}


@pytest.mark.security("S-54")
def test_turning_verification_on_takes_password_only_results_back() -> None:
    scene = Scene(state=UserState.DISABLED)
    approved = scene.begun()
    scene.set_state(UserState.ENFORCED)
    assert scene.sign_in(approved).result_jti is None


def test_the_same_state_again_changes_nothing() -> None:
    scene, _, waiting = _under_way()
    before = scene.user
    assert scene.set_state(UserState.ENFORCED).reply is UserState.ENFORCED
    assert scene.user == before
    assert scene.sign_in(waiting).state is SignInState.PENDING


def test_between_enabled_and_enforced_nothing_ends() -> None:
    scene = Scene(state=UserState.ENABLED)
    seen = scene.begun()
    scene.set_state(UserState.ENFORCED)
    assert scene.sign_in(seen).state is SignInState.REGISTRATION_REQUIRED


@pytest.mark.security("S-35")
def test_a_new_password_ends_what_the_old_one_began() -> None:
    scene, approved, waiting = _under_way()
    scene.run(partial(set_password, password_hash="new"))
    assert scene.user.password_hash == "new"
    assert scene.sign_in(waiting).reason is Reason.ACCOUNT_CHANGED
    assert scene.sign_in(approved).result_jti is None
    assert scene.recorded(AuditKind.USER_CHANGED)[0].data == {"changed": "password"}


@pytest.mark.security("S-35")
def test_a_block_ends_everything_that_is_under_way() -> None:
    scene, approved, waiting = _under_way()
    scene.issue("code")
    scene.set_blocked(blocked=True)
    assert (scene.sign_in(waiting).state, scene.sign_in(waiting).reason) == (
        SignInState.FAILED,
        Reason.USER_BLOCKED,
    )
    assert scene.challenge(waiting).state is ChallengeState.FAILED
    assert scene.sign_in(approved).result_jti is None
    assert isinstance(scene.activate("code", phone("tablet")).refusal, InvalidActivationCode)
    assert scene.recorded(AuditKind.USER_CHANGED)[0].data == {"blocked": "true"}


@pytest.mark.security("S-13", "S-29")
def test_lifting_a_block_lifts_every_pause_but_forgives_no_failure() -> None:
    scene = Scene("phone")
    scene.set_guard(
        muted_until=after(scene.now, 999),
        prompts=(scene.now,) * 5,
        failures={PUSH: Failures(5, (scene.now,) * 5)},
        blocked=True,
    )
    scene.set_blocked(blocked=False)
    assert (scene.guard.muted_until, scene.guard.prompts) == (Instant(0), ())
    assert scene.guard.failures == {PUSH: Failures(5)}
    assert scene.begun().sign_in.state is SignInState.PENDING


@pytest.mark.security("S-35", "S-58")
def test_a_reset_forgets_everything_registered() -> None:
    scene, approved, waiting = _under_way()
    scene.set_guard(failures={PUSH: Failures(5, (scene.now,))})
    scene.issue("code")
    scene.reset_methods()
    guard = scene.guard
    assert (guard.methods, guard.devices, guard.primary, guard.activation) == ((), (), None, None)
    assert (guard.failures, guard.reset_at, guard.ever_registered) == ({}, scene.now, True)
    assert scene.memory.devices[phone("phone").id].state is DeviceState.REMOVED
    assert scene.sign_in(waiting).reason is Reason.NO_METHOD
    assert scene.sign_in(approved).result_jti is None
    assert scene.recorded(AuditKind.DEVICE_REMOVED)[0].data == {"device": phone("phone").id}
    assert len(scene.recorded(AuditKind.METHODS_RESET)) == 1


def test_a_removed_person_takes_everything_along() -> None:
    scene, approved, waiting = _under_way()
    scene.run(remove_user)
    assert scene.sign_in(waiting).state is SignInState.FAILED
    assert scene.sign_in(approved).result_jti is None
    assert scene.recorded(AuditKind.USER_REMOVED)[0].actor is Actor.OPERATOR
    with pytest.raises(UnknownUser):
        scene.begin()


def test_another_reset_leaves_the_registration_under_way() -> None:
    scene = Scene("phone")
    scene.reset_methods()
    seen = scene.begun()
    scene.reset_methods()
    assert scene.sign_in(seen).state is SignInState.REGISTRATION_REQUIRED
