"""A phone's answer: the one outcome that it brings, what is counted, and what comes too late."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.decision import Actor, AuditKind
from push_service.model.errors import InvalidActivationCode, TooLate, TooManyPrompts, UnknownDevice
from push_service.model.instant import after
from push_service.model.method import AnswerDecision
from push_service.model.policy import CONSECUTIVE_FAILURES, READABLE_SECONDS, SETTINGS_READING_SECONDS
from push_service.model.rules.answer import AnswerOutcome, is_fraud_report, reached, repeated, report_fraud_late
from push_service.model.sign_in import Reason, SignInState
from push_service.model.user import Failures
from push_service.model.view import Seen
from tests.support.scene import TAP, WITH_CODES, Scene, phone, signed

PUSH = MethodKind.APP_NOTIFICATION
VERIFY, DENY, FRAUD = AnswerDecision.VERIFY, AnswerDecision.DENY, AnswerDecision.REPORT_FRAUD


def test_the_right_number_approves_with_two_factors_and_forgives() -> None:
    scene = Scene("phone", "tablet")
    wrong = Failures(3, (scene.now,))
    scene.set_guard(failures={PUSH: wrong, MethodKind.APP_CODE: wrong})
    seen = scene.begun()
    assert scene.verify(seen, "tablet") is AnswerOutcome.COMPLETED
    sign_in, challenge = scene.sign_in(seen), scene.challenge(seen)
    assert (sign_in.state, sign_in.reason, sign_in.amr) == (SignInState.APPROVED, None, ("pwd", "swk", "mfa"))
    assert sign_in.result_jti
    assert (challenge.state, challenge.answered_by) == (ChallengeState.COMPLETED, phone("tablet").id)
    assert scene.guard.prompts == ()
    # None is in a row any more, but the tries of the day stay counted; another method's are left alone.
    assert scene.guard.failures == {PUSH: Failures(0, wrong.at), MethodKind.APP_CODE: wrong}
    (record,) = scene.recorded(AuditKind.SIGN_IN_OUTCOME)
    assert (record.actor, record.code, record.source) == (Actor.DEVICE, "approved", phone("tablet").id)


@pytest.mark.security("S-17")
def test_a_vouched_sign_in_never_says_two_factors() -> None:
    scene = Scene("phone", policy=TAP)
    seen = scene.begin(proven=()).reply
    scene.press(seen, "phone", VERIFY)
    assert scene.sign_in(seen).amr == ("swk",)


@pytest.mark.security("S-12")
def test_a_wrong_number_fails_the_sign_in_and_counts() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    assert scene.verify(seen, "phone", "00") is AnswerOutcome.WRONG_NUMBER
    sign_in = scene.sign_in(seen)
    assert (sign_in.state, sign_in.reason, sign_in.result_jti) == (SignInState.FAILED, Reason.WRONG_NUMBER, None)
    assert scene.challenge(seen).state is ChallengeState.FAILED
    assert scene.guard.failures[PUSH] == Failures(1, (scene.now,))
    assert scene.guard.prompts


def test_a_denial_ends_it_and_counts_as_an_unanswered_prompt() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    assert scene.press(seen, "phone", DENY) is AnswerOutcome.DENIED
    assert (scene.sign_in(seen).state, scene.sign_in(seen).reason) == (SignInState.DENIED, Reason.DENIED_ON_PHONE)
    assert len(scene.guard.prompts) == 1
    assert scene.guard.failures == {}


@pytest.mark.security("S-16")
def test_a_fraud_report_ends_everything_of_the_stranger_and_mutes() -> None:
    scene = Scene("phone")
    scene.issue("code")
    seen, other = scene.begun(), scene.begun()
    assert scene.press(seen, "phone", FRAUD) is AnswerOutcome.FRAUD_REPORTED
    assert (scene.sign_in(seen).state, scene.sign_in(seen).reason) == (SignInState.DENIED, Reason.FRAUD_REPORTED)
    assert (scene.sign_in(other).state, scene.sign_in(other).reason) == (SignInState.WITHDRAWN, Reason.FRAUD_REPORTED)
    assert scene.guard.muted_until == after(scene.now, scene.policy.fraud_mute_seconds)
    assert isinstance(scene.begin().refusal, TooManyPrompts)
    assert isinstance(scene.activate("code", phone("stranger")).refusal, InvalidActivationCode)
    (record,) = scene.recorded(AuditKind.FRAUD_REPORTED)
    assert record.data == {"ip": "192.0.2.7", "application": "app_mail"}


@pytest.mark.security("S-04")
@pytest.mark.parametrize("thumbprint", ["thumb_phone", "thumb_of_another_key"])
def test_a_phone_that_is_not_enrolled_or_has_another_key_decides_nothing(thumbprint: str) -> None:
    scene = Scene("phone", "tablet")
    seen = scene.begun()
    if thumbprint == "thumb_phone":
        scene.remove_device("phone")
    given = signed(scene.challenge(seen), phone("phone"), VERIFY, scene.challenge(seen).secret)
    decision = scene.answer(msgspec.structs.replace(given, thumbprint=thumbprint))
    assert isinstance(decision.refusal, UnknownDevice)
    assert scene.sign_in(seen).state is SignInState.PENDING
    assert scene.recorded(AuditKind.ANSWER_REFUSED)[0].code == "unknown_device"


@pytest.mark.security("S-27")
def test_an_answer_at_the_deadline_is_too_late() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    scene.pass_time(scene.policy.sign_in_seconds)
    assert scene.verify(seen, "phone") is None
    assert scene.sign_in(seen).state is SignInState.EXPIRED
    assert scene.challenge(seen).state is ChallengeState.EXPIRED


@pytest.mark.security("S-13", "S-29")
def test_after_a_hundred_failures_in_a_row_the_method_is_off_everywhere_until_registered_anew() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    scene.set_guard(failures={PUSH: Failures(CONSECUTIVE_FAILURES - 1)})
    spoilt, waiting = scene.begun(), scene.begun()
    scene.verify(spoilt, "phone", "00")
    assert scene.method(PUSH, "phone").disabled
    assert not scene.method(MethodKind.APP_CODE, "phone").disabled
    assert scene.recorded(AuditKind.METHOD_DISABLED)
    assert scene.verify(waiting, "phone") is None
    assert scene.sign_in(waiting).state is SignInState.PENDING
    assert scene.challenge(waiting).reason is Reason.METHODS_CHANGED
    assert scene.challenge(scene.begun()).kind is MethodKind.APP_CODE
    scene.issue("code")
    scene.activate("code", phone("new"))
    assert scene.guard.failures == {}
    assert not scene.method(PUSH, "new").disabled


def test_where_nothing_else_is_left_the_other_sign_ins_have_failed() -> None:
    scene = Scene("phone")
    scene.set_guard(failures={PUSH: Failures(CONSECUTIVE_FAILURES - 1)})
    spoilt, waiting = scene.begun(), scene.begun()
    scene.verify(spoilt, "phone", "00")
    assert (scene.sign_in(waiting).state, scene.sign_in(waiting).reason) == (SignInState.FAILED, Reason.NO_METHOD)


@pytest.mark.security("S-13")
def test_the_last_wrong_number_of_the_day_ends_what_was_asked_before_it() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    scene.set_guard(failures={PUSH: Failures(4, (scene.now,) * 4)})
    spoilt, waiting, by_code = scene.begun(), scene.begun(), scene.begun()
    scene.choose(by_code, scene.method(MethodKind.APP_CODE, "phone").id)
    scene.verify(spoilt, "phone", "00")
    assert (scene.sign_in(waiting).state, scene.sign_in(waiting).reason) == (SignInState.FAILED, Reason.TOO_MANY_TRIES)
    assert scene.verify(waiting, "phone") is None
    assert scene.sign_in(by_code).state is SignInState.PENDING


# --- again, and too late ----------------------------------------------------------------------------------------------


def _repeat(scene: Scene, seen: Seen, decision: AnswerDecision, number: str | None = None) -> AnswerOutcome:
    challenge = scene.challenge(seen)
    return repeated(challenge, scene.sign_in(seen), signed(challenge, phone("phone"), decision, number), scene.now)


@pytest.mark.security("S-01")
@pytest.mark.parametrize(
    ("decision", "number", "outcome"),
    [
        (VERIFY, "73", AnswerOutcome.COMPLETED),
        (VERIFY, "00", AnswerOutcome.WRONG_NUMBER),
        (DENY, None, AnswerOutcome.DENIED),
        (FRAUD, None, AnswerOutcome.FRAUD_REPORTED),
    ],
)
def test_the_same_answer_is_told_the_same_while_the_outcome_is_readable(
    decision: AnswerDecision, number: str | None, outcome: AnswerOutcome
) -> None:
    scene = Scene("phone")
    seen = scene.begun()
    given = signed(scene.challenge(seen), phone("phone"), decision, number)
    assert scene.answer(given).reply is outcome
    before = scene.user
    assert scene.answer(given).reply is None
    assert scene.user == before
    scene.pass_time(READABLE_SECONDS - 1)
    assert _repeat(scene, seen, decision, number) is outcome
    with pytest.raises(TooLate):
        _repeat(scene, seen, VERIFY if decision is DENY else DENY)
    scene.pass_time(1)
    with pytest.raises(TooLate) as refusal:
        _repeat(scene, seen, decision, number)
    assert refusal.value.state == scene.sign_in(seen).state


def test_what_is_too_late_names_the_state_that_a_reader_sees() -> None:
    scene = Scene("phone")
    seen = scene.begun()
    assert reached(scene.sign_in(seen), scene.now) is SignInState.PENDING
    scene.pass_time(scene.policy.sign_in_seconds)
    assert reached(scene.sign_in(seen), scene.now) is SignInState.EXPIRED
    scene.expire()
    with pytest.raises(TooLate) as refusal:
        _repeat(scene, seen, VERIFY, "73")
    assert refusal.value.state == "expired"


def test_only_a_fraud_report_is_heard_late() -> None:
    challenge = Scene("phone").begun().challenge
    assert challenge
    assert is_fraud_report(signed(challenge, phone("phone"), FRAUD))
    assert not is_fraud_report(signed(challenge, phone("phone"), DENY))


@pytest.mark.security("S-16", "S-35")
def test_a_fraud_report_after_the_approval_takes_the_results_back_and_shuts_the_settings() -> None:
    scene = Scene("phone")
    opened = scene.begun()
    scene.verify(opened, "phone")
    scene.pass_time(SETTINGS_READING_SECONDS - 60)
    seen, other = scene.begun(), scene.begun()
    scene.verify(seen, "phone")
    given = signed(scene.challenge(seen), phone("phone"), FRAUD)
    late = partial(report_fraud_late, given=given, sign_in=scene.sign_in(seen), policy=scene.policy)
    decision = scene.run(late)
    assert isinstance(decision.refusal, TooLate)
    assert (decision.refusal.state, decision.refusal.reported) == ("approved", True)
    assert scene.sign_in(seen).state is SignInState.APPROVED
    assert scene.sign_in(seen).result_jti is None
    assert scene.sign_in(opened).result_jti is None
    assert scene.sign_in(other).reason is Reason.FRAUD_REPORTED
    assert scene.guard.muted_until > scene.now


@pytest.mark.parametrize(
    ("phones", "decision", "alone"),
    [(("phone",), VERIFY, True), (("phone", "tablet"), VERIFY, False), (("phone",), FRAUD, False)],
)
def test_nobody_is_rung_where_the_answering_phone_is_the_only_one_concerned(
    phones: tuple[str, ...], decision: AnswerDecision, *, alone: bool
) -> None:
    scene = Scene(*phones)
    seen, _ = scene.begun(), scene.begun()
    given = signed(scene.challenge(seen), phone("phone"), decision, scene.challenge(seen).secret)
    assert scene.answer(given).devices_know is alone
