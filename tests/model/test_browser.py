"""What a browser can do to its own sign-in, and what time does to it."""

from __future__ import annotations

import msgspec
import pytest

from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.decision import Actor, AuditKind
from push_service.model.errors import ChallengeChanged, TooManyPrompts, UnknownMethod
from push_service.model.ids import ChallengeId, MethodId
from push_service.model.instant import after
from push_service.model.policy import CONSECUTIVE_FAILURES, MAX_SIGN_IN_SECONDS
from push_service.model.rules.browser import withdraw
from push_service.model.sign_in import Reason, SignInEvent, SignInState
from push_service.model.user import Failures, UserState
from tests.support.scene import WITH_CODES, Scene

PUSH, CODE = MethodKind.APP_NOTIFICATION, MethodKind.APP_CODE


def _push(scene: Scene) -> MethodId:
    return scene.method(PUSH, "phone").id


def test_a_cancelled_sign_in_takes_its_question_along() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    over = scene.withdraw(seen).reply
    assert over is not None
    assert (over.sign_in.state, over.sign_in.reason) == (SignInState.WITHDRAWN, Reason.CANCELLED)
    assert over.challenge == scene.challenge(seen)
    assert scene.challenge(seen).state is ChallengeState.WITHDRAWN


def test_cancelling_what_is_over_changes_nothing() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    scene.withdraw(seen)
    before, records = scene.user, len(scene.memory.audit)
    assert scene.withdraw(seen).reply is None
    assert (scene.user, len(scene.memory.audit)) == (before, records)


def test_a_cancelled_sign_in_shows_the_question_that_had_ended_before() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    scene.set_guard(failures={PUSH: Failures(CONSECUTIVE_FAILURES - 1)})
    seen, spoilt = scene.begun(), scene.begun()
    scene.verify(spoilt, "phone", "00")
    assert scene.challenge(seen).state is ChallengeState.WITHDRAWN
    over = scene.withdraw(seen).reply
    assert over is not None
    assert (over.sign_in, over.challenge) == (scene.sign_in(seen), scene.challenge(seen))


def test_sending_again_withdraws_the_question_and_asks_a_new_one() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    first = scene.challenge(seen)
    scene.pass_time(30)
    again = scene.choose(seen, _push(scene)).reply
    assert again is not None
    assert again.challenge == scene.challenge(seen) != first
    assert again.sign_in.version == seen.sign_in.version + 1
    assert again.sign_in.expires_at == after(scene.now, scene.policy.sign_in_seconds)
    ended = scene.memory.challenges[first.id]
    assert (ended.state, ended.reason) == (ChallengeState.WITHDRAWN, Reason.ASKED_AGAIN)
    assert len(scene.guard.prompts) == 2
    (record,) = scene.recorded(AuditKind.SIGN_IN_ASKED)
    assert (record.code, record.data) == (SignInEvent.ASKED, {"method": PUSH})
    assert scene.verify(seen, "phone") is not None


@pytest.mark.security("S-32")
def test_another_method_takes_the_questions_place() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    seen = scene.begun()
    first = scene.challenge(seen)
    code = scene.method(CODE, "phone")
    chosen = scene.choose(seen, code.id, instead_of=first.id).reply
    assert chosen is not None
    assert (scene.challenge(seen).kind, scene.challenge(seen).method_id) == (CODE, code.id)
    assert scene.memory.challenges[first.id].reason is Reason.OTHER_METHOD
    assert isinstance(scene.choose(seen, code.id, instead_of=first.id).refusal, ChallengeChanged)
    back = scene.choose(seen, _push(scene)).reply
    assert back is not None
    assert scene.challenge(seen).kind is PUSH


def test_a_picked_method_ends_the_wait_for_one() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    scene.set_guard(muted_until=after(scene.now, 60))
    seen = scene.begun()
    refusal = scene.choose(seen, _push(scene)).refusal
    assert isinstance(refusal, TooManyPrompts)
    assert refusal.retry_after == 60
    assert isinstance(scene.choose(seen, _push(scene), ChallengeId("ch_none")).refusal, ChallengeChanged)
    scene.choose(seen, scene.method(CODE, "phone").id)
    assert scene.sign_in(seen).notice is None
    assert scene.challenge(seen).state is ChallengeState.PENDING


@pytest.mark.security("S-33")
@pytest.mark.parametrize("method", ["mth_of_another_person", "mth_code_dev_phone", "mth_push_dev_phone"])
def test_a_method_that_is_foreign_not_offered_or_off_is_unknown(method: str) -> None:
    scene = Scene("phone")
    seen = scene.begun()
    methods = tuple(msgspec.structs.replace(each, disabled=True) for each in scene.guard.methods)
    scene.set_guard(methods=methods)
    decision = scene.choose(seen, MethodId(method))
    assert isinstance(decision.refusal, UnknownMethod)
    assert scene.challenge(seen).state is ChallengeState.PENDING


@pytest.mark.security("S-34")
def test_an_unregistered_browser_cannot_pick_a_method() -> None:
    scene = Scene(state=UserState.ENABLED)
    assert isinstance(scene.choose(scene.begun(), MethodId("mth_1")).refusal, UnknownMethod)


def test_a_sign_in_that_is_over_is_asked_nothing() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    scene.verify(seen, "phone")
    assert scene.choose(seen, _push(scene)).reply is None


def test_a_sign_in_is_never_prolonged_beyond_its_longest_time() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    for _ in range(8):
        scene.pass_time(110)
        scene.set_guard(prompts=())
        assert scene.choose(seen, _push(scene)).reply is not None
    assert scene.sign_in(seen).expires_at == after(seen.sign_in.begun_at, MAX_SIGN_IN_SECONDS)
    scene.pass_time(110)
    assert scene.choose(seen, _push(scene)).reply is None


@pytest.mark.security("S-27")
def test_what_time_has_ended_is_written_down_once_as_it_was_seen() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    assert scene.expire() == 0
    scene.pass_time(scene.policy.sign_in_seconds + 3600)
    assert scene.expire() == 1
    assert scene.expire() == 0
    sign_in, challenge = scene.sign_in(seen), scene.challenge(seen)
    assert (sign_in.state, sign_in.decided_at) == (SignInState.EXPIRED, seen.sign_in.expires_at)
    assert (challenge.state, challenge.ended_at) == (ChallengeState.EXPIRED, seen.sign_in.expires_at)
    (record,) = scene.recorded(AuditKind.SIGN_IN_OUTCOME)
    assert (record.actor, record.code) == (Actor.TIME, "expired")


def test_a_loser_of_a_race_runs_again_on_what_the_winner_left() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    stale = scene.memory.snapshot()
    scene.verify(seen, "phone")
    lost = withdraw(stale, scene.now, seen.sign_in.id, None)
    assert not scene.memory.commit(stale, lost)
    assert scene.withdraw(seen).reply is None
    assert scene.sign_in(seen).state is SignInState.APPROVED
