"""What comes back from calls and texts: keys, fraud, and that it never reached the person."""

from __future__ import annotations

from functools import partial

import pytest

from push_service.methods import ALL
from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.decision import Actor, AuditKind
from push_service.model.ids import ChallengeId
from push_service.model.message import About, Via
from push_service.model.method import Verdict
from push_service.model.policy import Policy, Rate
from push_service.model.rules import calls
from push_service.model.sign_in import Reason, SignInState
from push_service.model.view import other_methods
from tests.support.scene import DIGITS, ONLY_PUSH, Scene

CALL, OFFICE = MethodKind.CALL_MOBILE, MethodKind.CALL_OFFICE


def _scene(policy: Policy | None = None) -> Scene:
    scene = Scene(policy=policy, methods=ALL)
    scene.add_method(OFFICE)
    scene.add_method(CALL)
    return scene


def test_a_hash_approves_and_says_that_a_telephone_did() -> None:
    scene = _scene()
    decision = scene.begin()
    seen = decision.reply
    assert [(each.via, each.about) for each in decision.messages] == [(Via.CALL, About.VERIFY)]
    assert scene.press_keys(scene.challenge(seen).id, "#").reply is Verdict.RIGHT
    assert scene.sign_in(seen).amr == ("pwd", "tel", "mfa")
    assert scene.recorded(AuditKind.SIGN_IN_OUTCOME)[-1].actor is Actor.PHONE


@pytest.mark.security("S-16")
def test_zero_hash_reports_fraud_and_nothing_is_asked_for_a_while() -> None:
    scene = _scene()
    other, seen = scene.begun(), scene.begun()
    assert scene.press_keys(scene.challenge(seen).id, "0#").reply is Verdict.FRAUD
    assert scene.sign_in(seen).reason is Reason.FRAUD_REPORTED
    assert scene.sign_in(other).state is SignInState.WITHDRAWN
    assert scene.guard.muted_until > scene.now
    assert len(scene.recorded(AuditKind.FRAUD_REPORTED)) == 1


@pytest.mark.security("S-16")
def test_zero_hash_after_the_outcome_is_heard_once_and_changes_no_outcome() -> None:
    scene = _scene()
    other, seen = scene.begun(), scene.begun()
    assert scene.press_keys(scene.challenge(seen).id, "#").reply is Verdict.RIGHT
    late = partial(calls.report_late, sign_in=scene.sign_in(seen), policy=scene.policy)
    decision = scene.run(late)
    assert decision.reply is True
    assert decision.withhold_results_since is not None
    assert scene.sign_in(seen).state is SignInState.APPROVED
    assert scene.sign_in(other).reason is Reason.FRAUD_REPORTED
    assert scene.guard.muted_until > scene.now
    repeated = scene.run(late)
    assert (repeated.reply, repeated.changes) == (False, False)
    scene.pass_time(3600)
    long_after = scene.run(late)
    assert (long_after.reply, long_after.changes) == (False, False)
    assert len(scene.recorded(AuditKind.FRAUD_REPORTED)) == 1


def test_anything_else_changes_nothing() -> None:
    scene = _scene()
    seen = scene.begun()
    decision = scene.press_keys(scene.challenge(seen).id, "9#")
    assert (decision.reply, decision.changes) == (Verdict.UNCLEAR, False)
    assert scene.sign_in(seen).state is SignInState.PENDING


@pytest.mark.security("S-45", "S-46")
def test_keys_count_only_while_the_call_is_waited_for() -> None:
    scene = _scene()
    seen = scene.begun()
    former = scene.challenge(seen)
    scene.choose(seen, next(each.id for each in scene.guard.methods if each.kind is OFFICE))
    assert scene.press_keys(former.id, "#").reply is None
    assert scene.press_keys(ChallengeId("ch_unknown"), "#").reply is None
    assert scene.sign_in(seen).state is SignInState.PENDING


def test_wrong_numbers_keyed_in_are_counted_and_the_last_ends_it() -> None:
    scene = _scene(Policy(call_pin_digits=4, wrong_codes=Rate(2, 60)))
    seen = scene.begun()
    challenge = scene.challenge(seen)
    assert (challenge.secret, challenge.digits) == (DIGITS[:4], 4)
    assert scene.press_keys(challenge.id, "9999#").reply is Verdict.WRONG
    assert scene.press_keys(challenge.id, "9999#").reply is None
    assert scene.sign_in(seen).reason is Reason.TOO_MANY_TRIES


def test_a_call_that_is_not_offered_any_more_is_not_waited_for() -> None:
    scene = _scene()
    seen = scene.begun()
    scene.methods = ONLY_PUSH
    assert scene.press_keys(scene.challenge(seen).id, "#").reply is None


@pytest.mark.parametrize("reason", [Reason.BUSY, Reason.NO_ANSWER, Reason.DELIVERY_FAILED])
def test_what_did_not_reach_the_person_ends_and_the_sign_in_stays_open_for_another_method(reason: Reason) -> None:
    scene = _scene()
    seen = scene.begun()
    version = scene.sign_in(seen).version
    assert scene.undelivered(scene.challenge(seen).id, reason, "some_code")
    challenge, sign_in = scene.challenge(seen), scene.sign_in(seen)
    assert (challenge.state, challenge.reason, challenge.code) == (ChallengeState.FAILED, reason, "some_code")
    assert (sign_in.state, sign_in.version) == (SignInState.PENDING, version + 1)
    offered = other_methods(type(seen)(sign_in, challenge, scene.user), ALL)
    assert {each.kind for each in offered} == {CALL, OFFICE}
    assert scene.recorded(AuditKind.CHALLENGE_UNDELIVERED)[0].code == "some_code"


def test_what_was_answered_before_is_not_undelivered() -> None:
    scene = _scene()
    seen = scene.begun()
    challenge_id = scene.challenge(seen).id
    scene.press_keys(challenge_id, "#")
    assert not scene.undelivered(challenge_id, Reason.NO_ANSWER, "completed")
    assert scene.sign_in(seen).state is SignInState.APPROVED
