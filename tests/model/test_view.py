"""A sign-in as its browser sees it: expiry without a sweeper, versions that only grow, what else may be picked."""

from __future__ import annotations

import msgspec
import pytest

from push_service.model.challenge import DeliveryState, MethodKind
from push_service.model.instant import Instant, after
from push_service.model.policy import READABLE_SECONDS, RESULT_SECONDS
from push_service.model.sign_in import SignInState
from push_service.model.user import UserState
from push_service.model.view import (
    as_of,
    device_version,
    other_methods,
    readable,
    result_until,
    wire_version,
    without_result,
)
from tests.support.scene import WITH_CODES, Scene

PUSH, CODE = MethodKind.APP_NOTIFICATION, MethodKind.APP_CODE


@pytest.mark.security("S-27")
@pytest.mark.parametrize("state", [UserState.ENABLED, UserState.ENFORCED])
@pytest.mark.parametrize("late", [0, 1, 3600])
def test_what_time_ended_is_seen_as_it_will_be_written(state: UserState, late: int) -> None:
    scene = Scene(*(["phone"] if state is UserState.ENFORCED else []), state=state)
    begun = scene.begun()
    scene.now = Instant(begun.sign_in.expires_at - 1)
    assert as_of(scene.memory.watch(begun.sign_in.id), scene.now).sign_in.live
    scene.now = after(begun.sign_in.expires_at, late)
    derived = as_of(scene.memory.watch(begun.sign_in.id), scene.now)
    assert derived.sign_in.state is SignInState.EXPIRED
    scene.expire()
    written = scene.memory.watch(begun.sign_in.id)
    assert (derived.sign_in, derived.challenge) == (written.sign_in, written.challenge)
    assert as_of(written, scene.now) == written


def test_a_question_that_ended_before_stays_as_it_ended() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    begun = scene.begun()
    scene.choose(begun, scene.method(CODE, "phone").id)
    scene.remove_method(scene.method(CODE, "phone").id)
    scene.pass_time(scene.policy.sign_in_seconds)
    assert as_of(scene.memory.watch(begun.sign_in.id), scene.now).challenge == scene.challenge(begun)


def test_the_version_grows_with_every_step_of_a_delivery_every_change_and_expiry() -> None:
    scene = Scene("phone")
    begun = scene.begun()
    versions = list[int]()

    def look() -> None:
        for delivery in DeliveryState:
            stored = scene.memory.watch(begun.sign_in.id)
            versions.append(wire_version(as_of(msgspec.structs.replace(stored, delivery=delivery), scene.now)))

    look()
    scene.choose(begun, scene.method(PUSH, "phone").id)
    look()
    scene.pass_time(scene.policy.sign_in_seconds)
    look()
    assert versions[:11] == sorted(set(versions))
    assert len(set(versions[10:])) == 1
    scene.expire()
    look()
    assert len(set(versions[10:])) == 1


def test_what_devices_are_asked_has_a_version_that_grows_with_decisions_and_deadlines() -> None:
    scene = Scene("phone")
    versions = list[int]()

    def look() -> None:
        versions.append(device_version(scene.user, scene.memory.snapshot().live, scene.now))

    look()
    for _ in range(2):
        scene.begun()
        look()
        scene.pass_time(1)
    scene.pass_time(scene.policy.sign_in_seconds - 2)
    look()
    scene.pass_time(1)
    look()
    scene.expire()
    look()
    assert versions == sorted(set(versions))


def test_an_outcome_is_readable_for_ten_minutes_and_its_result_for_two() -> None:
    scene = Scene("phone")
    begun = scene.begun()
    assert readable(begun.sign_in, after(scene.now, 10**6))
    assert result_until(begun.sign_in) is None
    scene.verify(begun, "phone")
    approved = scene.sign_in(begun)
    assert result_until(approved) == after(scene.now, RESULT_SECONDS)
    assert readable(approved, after(scene.now, READABLE_SECONDS - 1))
    assert not readable(approved, after(scene.now, READABLE_SECONDS))
    scene.set_blocked(blocked=True)
    assert result_until(scene.sign_in(begun)) is None


def test_a_result_that_is_withheld_leaves_the_rest_as_it_was() -> None:
    scene = Scene("phone")
    begun = scene.begun()
    scene.verify(begun, "phone")
    seen = scene.memory.watch(begun.sign_in.id)
    bare = without_result(seen)
    assert bare.sign_in == msgspec.structs.replace(seen.sign_in, result_jti=None) != seen.sign_in
    assert bare.challenge == seen.challenge


def _others(scene: Scene) -> list[tuple[MethodKind, str]]:
    (pending,) = scene.memory.snapshot().live
    return [(each.kind, each.target) for each in other_methods(scene.memory.watch(pending.sign_in.id), scene.methods)]


def test_all_phones_are_asked_together_so_they_are_one_choice() -> None:
    scene = Scene("phone", "tablet", methods=WITH_CODES)
    begun = scene.begun()
    codes = [(CODE, "Alice's phone"), (CODE, "Alice's tablet")]
    assert _others(scene) == codes
    scene.choose(begun, scene.method(CODE, "tablet").id)
    assert _others(scene) == [(PUSH, "Alice's phone"), codes[0]]
    scene.remove_method(scene.method(CODE, "tablet").id)
    scene.remove_method(scene.method(CODE, "phone").id)
    assert _others(scene) == [(PUSH, "Alice's phone")]


def test_what_is_over_or_not_yet_registered_offers_no_methods() -> None:
    scene = Scene("phone")
    begun = scene.begun()
    scene.withdraw(begun)
    assert other_methods(scene.memory.watch(begun.sign_in.id), scene.methods) == ()
    newcomer = Scene(state=UserState.ENABLED)
    assert other_methods(newcomer.begun(), newcomer.methods) == ()
