"""Codes typed in the browser: counted across challenges and sign-ins, each good for its own challenge alone."""

from __future__ import annotations

from functools import partial

import pytest

from push_service.methods import ALL
from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.errors import NoCodeDue, TooManyPrompts, WrongCode
from push_service.model.ids import ChallengeId, message_id
from push_service.model.instant import after
from push_service.model.message import About, Message, Via
from push_service.model.method import TypedCode
from push_service.model.policy import MAX_SIGN_IN_SECONDS, Policy, Rate
from push_service.model.rules import typed
from push_service.model.sign_in import Notice, Reason, SignInState
from push_service.model.view import Seen
from tests.support.scene import DIGITS, ONLY_PUSH, Scene

TEXT, CALL, CODE = MethodKind.TEXT_MOBILE, MethodKind.CALL_MOBILE, DIGITS[:6]


def _scene(*kinds: MethodKind, policy: Policy | None = None) -> Scene:
    scene = Scene(policy=policy, methods=ALL)
    for kind in reversed(kinds):
        scene.add_method(kind)
    return scene


def _refused(scene: Scene, seen: Seen, code: str) -> int | None:
    refusal = scene.type_code(seen, code).refusal
    assert isinstance(refusal, WrongCode)
    return refusal.tries_left


def test_the_right_code_approves_with_two_factors() -> None:
    scene = _scene(TEXT)
    seen = scene.begun()
    done = scene.type_code(seen, CODE).reply
    assert done is not None
    assert (done.sign_in.state, done.sign_in.amr) == (SignInState.APPROVED, ("pwd", "sms", "mfa"))
    assert scene.challenge(seen).state is ChallengeState.COMPLETED
    assert scene.guard.prompts == ()
    assert scene.guard.sent == {}


def test_a_text_is_written_with_its_challenge_and_says_how_long_it_is_of_use() -> None:
    scene = _scene(TEXT, policy=Policy(text_seconds=100))
    decision = scene.begin()
    challenge = scene.challenge(decision.reply)
    (message,) = decision.messages
    assert message == Message(
        id=message.id,
        method_id=challenge.method_id,
        via=Via.TEXT,
        about=About.CODE,
        expires_at=after(scene.now, 100),
        lease_until=after(scene.now, 3),
    )
    assert message.id == message_id(challenge.id)
    assert decision.reply.sign_in.expires_at == message.expires_at
    assert (challenge.context, challenge.secret) == ("", CODE)


def test_a_code_outlives_no_sign_in() -> None:
    scene = _scene(TEXT)
    seen = scene.begun()
    scene.pass_time(60)
    for _ in range(5):
        scene.pass_time(120)
        scene.choose(seen, scene.challenge(seen).method_id)
        seen = Seen(scene.sign_in(seen), scene.challenge(seen), scene.user)
    assert seen.sign_in.expires_at <= after(seen.sign_in.begun_at, MAX_SIGN_IN_SECONDS)


@pytest.mark.security("S-21")
def test_each_wrong_code_leaves_one_try_less_and_the_last_ends_the_sign_in() -> None:
    scene = _scene(TEXT, policy=Policy(wrong_codes=Rate(3, 3600)))
    seen = scene.begun()
    assert _refused(scene, seen, "111111") == 2
    assert _refused(scene, seen, "222222") == 1
    assert scene.sign_in(seen).state is SignInState.PENDING
    assert _refused(scene, seen, "333333") == 0
    assert scene.sign_in(seen).reason is Reason.TOO_MANY_TRIES
    assert scene.type_code(seen, CODE).reply is None


@pytest.mark.security("S-22", "S-29")
def test_a_new_code_or_sign_in_is_no_new_try_and_other_methods_still_work() -> None:
    scene = _scene(TEXT, CALL, policy=Policy(wrong_codes=Rate(2, 3600)))
    first = scene.begun()
    assert _refused(scene, first, "111111") == 1
    scene.pass_time(60)
    scene.choose(first, scene.challenge(first).method_id)
    second = scene.begun()
    assert _refused(scene, second, "111111") == 0
    assert {scene.sign_in(each).reason for each in (first, second)} == {Reason.TOO_MANY_TRIES}
    third = scene.begun()
    assert (third.sign_in.state, third.sign_in.notice) == (SignInState.PENDING, Notice.PROMPT_LIMIT)
    text, call = (each.id for each in sorted(scene.guard.methods, key=lambda each: each.kind is CALL))
    assert isinstance(scene.choose(third, text).refusal, TooManyPrompts)
    assert scene.choose(third, call).refusal is None
    scene.pass_time(3600)
    assert scene.begun().challenge is not None


@pytest.mark.security("S-28")
def test_only_the_newest_code_of_that_very_challenge_counts() -> None:
    scene = _scene(TEXT)
    seen = scene.begun()
    former = scene.challenge(seen)
    scene.pass_time(20)
    scene.choose(seen, former.method_id, former.id)
    stale = partial(
        typed.type_code,
        sign_in_id=seen.sign_in.id,
        challenge_id=former.id,
        typed=TypedCode(code=CODE, secret=None, mac=""),
        methods=ALL,
        policy=scene.policy,
    )
    assert isinstance(scene.run(stale).refusal, NoCodeDue)
    assert scene.guard.failures == {}


@pytest.mark.security("S-28")
@pytest.mark.parametrize("kind", [CALL, MethodKind.APP_NOTIFICATION])
def test_where_no_code_is_due_none_is_taken(kind: MethodKind) -> None:
    scene = Scene("phone", methods=ALL) if kind is MethodKind.APP_NOTIFICATION else _scene(kind)
    seen = scene.begun()
    assert isinstance(scene.type_code(seen, CODE).refusal, NoCodeDue)
    assert scene.sign_in(seen).state is SignInState.PENDING


def test_a_method_that_is_not_offered_any_more_takes_no_code() -> None:
    scene = _scene(TEXT)
    seen = scene.begun()
    scene.methods = ONLY_PUSH
    assert isinstance(scene.type_code(seen, CODE).refusal, NoCodeDue)


def test_a_challenge_that_has_ended_takes_no_code() -> None:
    scene = _scene(TEXT)
    seen = scene.begun()
    assert scene.undelivered(scene.challenge(seen).id, Reason.DELIVERY_FAILED, "dead_number")
    assert isinstance(scene.type_code(seen, CODE).refusal, NoCodeDue)


def test_each_further_text_waits_twice_as_long_as_the_one_before() -> None:
    scene = _scene(TEXT, CALL, policy=Policy(send_again_seconds=15, prompts_unanswered=(Rate(50, 60),)))
    seen = scene.begun()
    text = scene.challenge(seen).method_id
    for pause in (15, 30, 60, 120):
        scene.pass_time(pause - 1)
        refusal = scene.choose(seen, text).refusal
        assert isinstance(refusal, TooManyPrompts)
        assert refusal.retry_after == 1
        scene.pass_time(1)
        assert scene.choose(seen, text).refusal is None
    call = next(each.id for each in scene.guard.methods if each.kind is CALL)
    assert scene.choose(seen, call).refusal is None, "another method has pauses of its own"


def test_texts_of_more_than_an_hour_ago_make_no_pause() -> None:
    scene = _scene(TEXT)
    scene.begun()
    scene.pass_time(3600)
    seen = scene.begun()
    scene.pass_time(15)
    assert scene.choose(seen, scene.challenge(seen).method_id).refusal is None


def test_whoever_asks_too_late_is_told_that_it_is_over() -> None:
    scene = _scene(TEXT)
    seen = scene.begun()
    challenge_id: ChallengeId = scene.challenge(seen).id
    scene.withdraw(seen)
    assert scene.type_code(seen, CODE).reply is None
    assert scene.challenge(seen).id == challenge_id
