"""Enrolling phones and authenticator apps: how they are confirmed, what follows, and which doors stay shut."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest

from push_service.methods import ALL
from push_service.model.challenge import ChallengeState, MethodKind
from push_service.model.decision import Actor, AuditKind
from push_service.model.errors import (
    InvalidToken,
    NotConfirmed,
    NotDelivered,
    TooManyMethods,
    TooManyPrompts,
    TooManyRequests,
    UnknownEnrolment,
    UnknownMethod,
    WrongCode,
)
from push_service.model.ids import MethodId, SignInId, message_id
from push_service.model.instant import after
from push_service.model.message import About, Via
from push_service.model.method import AnswerDecision, KeyPress, Verdict
from push_service.model.policy import Policy, Rate
from push_service.model.rules import confirmation
from push_service.model.rules.enrolment import (
    ENROLMENT_SECONDS,
    MAX_APPS,
    MAX_PHONES,
    Opened,
    open_enrolment,
    require_typed,
)
from push_service.model.sign_in import Reason, SignInState
from push_service.model.totp import TotpKey
from push_service.model.user import Method, TotpUse, UserState
from tests.support.scene import WITH_CODES, Scene, phone

TEXT, CALL, OFFICE = MethodKind.TEXT_MOBILE, MethodKind.CALL_MOBILE, MethodKind.CALL_OFFICE
APP, PUSH = MethodKind.APP_CODE, MethodKind.APP_NOTIFICATION
KEY = TotpKey("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
WRONG = "000000"


def _settled(policy: Policy | None = None) -> Scene:
    """Somebody who is registered, in their settings."""
    return Scene("phone", methods=ALL, policy=policy)


def _registering() -> Scene:
    return Scene(state=UserState.ENABLED, methods=ALL)


def _code(opened: Opened) -> str:
    assert opened.challenge.secret
    return opened.challenge.secret


def _undelivered(scene: Scene, opened: Opened, reason: Reason) -> bool:
    challenge = scene.memory.challenges[opened.challenge.id]
    return scene.run(partial(confirmation.undelivered, challenge=challenge, reason=reason, code="word")).reply


# --- phones -----------------------------------------------------------------------------------------------------------


def test_a_mobile_phone_is_confirmed_by_its_code_and_takes_texts_and_calls_then() -> None:
    scene = _settled()
    opened = scene.enrolling(TEXT)
    (message,) = scene.memory.messages
    assert message.id == message_id(opened.challenge.id)
    assert (message.method_id, message.via, message.about) == ("mth_new", Via.TEXT, About.CODE)
    assert scene.memory.secrets == {"mth_new": "+491701234589", "mth_new_twin": "+491701234589"}
    assert list(scene.guard.enrolments) == [opened.enrolment]
    assert scene.confirm(opened, _code(opened)).refusal is None
    text, call = scene.guard.methods[-2:]
    assert (text.id, text.kind, text.twin) == ("mth_new", TEXT, "mth_new_twin")
    assert (call.id, call.kind, call.twin) == ("mth_new_twin", CALL, "mth_new")
    assert {text.target, call.target} == {"target of new"}
    assert not scene.guard.enrolments
    assert scene.guard.primary == scene.method(PUSH, "phone").id
    assert scene.memory.challenges[opened.challenge.id].state is ChallengeState.COMPLETED
    assert scene.recorded(AuditKind.METHOD_ADDED)[0].data == {"method": "text_mobile"}
    assert scene.memory.secrets.keys() == {"mth_new", "mth_new_twin"}


def test_a_phone_is_confirmed_by_pressing_the_key_in_its_call() -> None:
    scene = _settled()
    mobile = scene.enrolling(CALL, "mobile")
    assert scene.press_to_enrol(mobile, "").reply is Verdict.UNCLEAR
    assert scene.press_to_enrol(mobile, "#").reply is Verdict.RIGHT
    office = scene.enrolling(OFFICE, "office")
    assert scene.press_to_enrol(office, "#").reply is Verdict.RIGHT
    assert [each.kind for each in scene.guard.methods[2:]] == [CALL, TEXT, OFFICE]
    assert scene.guard.methods[-1].twin is None
    assert scene.press_to_enrol(office, "#").reply is None


def test_the_number_on_the_page_is_keyed_in_where_the_policy_asks_for_it() -> None:
    scene = _settled(Policy(call_pin_digits=4, wrong_codes=Rate(2, 3600)))
    opened = scene.enrolling(OFFICE)
    assert scene.press_to_enrol(opened, "0000#").reply is Verdict.WRONG
    assert scene.press_to_enrol(opened, f"{_code(opened)}#").reply is Verdict.RIGHT


@pytest.mark.security("S-23")
def test_the_tries_in_a_call_are_limited_as_everywhere() -> None:
    scene = _settled(Policy(call_pin_digits=4, wrong_codes=Rate(2, 3600)))
    opened = scene.enrolling(OFFICE)
    for _ in range(2):
        assert scene.press_to_enrol(opened, "0000#").reply is Verdict.WRONG
    assert scene.press_to_enrol(opened, f"{_code(opened)}#").reply is None
    assert not [each for each in scene.guard.methods if each.kind is OFFICE]


def test_whoever_says_in_the_call_that_it_is_not_theirs_ends_the_enrolment() -> None:
    scene = _settled()
    opened = scene.enrolling(OFFICE)
    assert scene.press_to_enrol(opened, "0#").reply is Verdict.FRAUD
    assert scene.guard.enrolments == ()
    assert scene.memory.secrets == {}
    assert scene.memory.challenges[opened.challenge.id].state is ChallengeState.DENIED
    assert scene.recorded(AuditKind.ENROLMENT_REFUSED)[0].code == "fraud_reported"
    assert scene.guard.muted_until == 0, "a stranger's phone says nothing about this person's sign-ins"


@pytest.mark.parametrize("reason", [Reason.BUSY, Reason.NO_ANSWER, Reason.DELIVERY_FAILED])
def test_what_did_not_reach_the_phone_is_said_and_can_not_be_confirmed(reason: Reason) -> None:
    scene = _settled()
    opened = scene.enrolling(TEXT)
    assert _undelivered(scene, opened, reason)
    assert not _undelivered(scene, opened, reason)
    ended = scene.memory.challenges[opened.challenge.id]
    assert (ended.state, ended.reason, ended.code) == (ChallengeState.FAILED, reason, "word")
    with pytest.raises(NotDelivered):
        scene.confirm(opened, _code(opened))
    late = msgspec.structs.replace(scene.attempt(opened, KeyPress("#")), challenge=opened.challenge)
    pressed = partial(confirmation.press, attempt=late, methods=scene.methods, policy=scene.policy)
    assert scene.run(pressed).reply is None
    assert scene.recorded(AuditKind.CHALLENGE_UNDELIVERED)[0].code == "word"


def test_what_was_confirmed_stays_so_whatever_comes_after_it() -> None:
    scene = _settled()
    opened = scene.enrolling(TEXT)
    scene.confirm(opened, _code(opened))
    before = scene.user
    assert scene.confirm(opened, _code(opened)).refusal is None
    assert scene.user == before
    assert not _undelivered(scene, opened, Reason.BUSY)


def test_what_a_service_does_not_offer_is_not_enrolled() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    assert isinstance(scene.enrol(TEXT).refusal, UnknownMethod)
    assert not scene.memory.messages


# --- authenticator apps -----------------------------------------------------------------------------------------------


@pytest.mark.security("S-25")
def test_an_app_is_confirmed_by_a_code_which_opens_nothing_else_then() -> None:
    scene = _settled()
    opened = scene.enrol(APP, secret=KEY.stored).reply
    step = KEY.step(scene.now)
    assert not scene.memory.messages
    assert scene.confirm(opened, KEY.code(step)).refusal is None
    assert scene.guard.totp == {"mth_new": TotpUse(step)}
    assert scene.guard.methods[-1] == Method(id=MethodId("mth_new"), kind=APP, target="target of new")
    seen = scene.begun()
    scene.choose(seen, MethodId("mth_new"))
    assert isinstance(scene.type_code(seen, KEY.code(step), KEY.stored).refusal, WrongCode)
    assert scene.type_code(seen, KEY.code(step + 1), KEY.stored).refusal is None


def test_what_is_known_of_an_apps_clock_goes_with_it() -> None:
    scene = _settled()
    opened = scene.enrol(APP, secret=KEY.stored).reply
    scene.confirm(opened, KEY.code(KEY.step(scene.now)))
    assert scene.remove_method(opened.enrolment.id).refusal is None
    assert (scene.guard.totp, scene.memory.secrets) == ({}, {})


# --- tries and limits -------------------------------------------------------------------------------------------------


@pytest.mark.security("S-21", "S-23")
def test_wrong_codes_are_counted_across_enrolments_and_sign_ins_until_no_door_is_open() -> None:
    scene = _settled(Policy(wrong_codes=Rate(3, 3600), send_again_seconds=0))
    opened = scene.enrolling(TEXT)
    refusal = scene.confirm(opened, WRONG).refusal
    assert isinstance(refusal, WrongCode)
    assert refusal.tries_left == 2
    again = scene.enrolling(TEXT, "again")
    for left in (1, 0):
        refusal = scene.confirm(again, WRONG).refusal
        assert refusal
        assert refusal.tries_left == left
    for each in (opened, again):
        refusal = scene.confirm(each, _code(each)).refusal
        assert isinstance(refusal, TooManyRequests)
        assert refusal.retry_after
    assert isinstance(scene.enrol(TEXT, "third").refusal, TooManyPrompts)
    assert scene.enrol(OFFICE, "office").refusal is None, "other methods' tries count by themselves"
    assert scene.recorded(AuditKind.ENROLMENT_REFUSED)[-1].code == "too_many_prompts"


@pytest.mark.security("S-19")
def test_texts_and_calls_have_their_pauses_and_a_confirmation_ends_none() -> None:
    scene = _settled()
    opened = scene.enrolling(TEXT)
    assert isinstance(scene.enrol(TEXT, "second").refusal, TooManyPrompts)
    scene.confirm(opened, _code(opened))
    refusal = scene.enrol(TEXT, "second").refusal
    assert isinstance(refusal, TooManyPrompts)
    assert refusal.retry_after == scene.policy.send_again_seconds
    scene.pass_time(15)
    scene.enrolling(TEXT, "second")
    scene.pass_time(15)
    assert isinstance(scene.enrol(TEXT, "third").refusal, TooManyPrompts)
    assert len([each for each in scene.memory.messages if each.about is About.CODE]) == 2


@pytest.mark.security("S-19")
def test_the_oldest_of_three_enrolments_gives_way_and_its_number_is_forgotten() -> None:
    scene = _settled(Policy(send_again_seconds=0))
    first = scene.enrolling(TEXT, "first")
    others = [scene.enrolling(TEXT, name) for name in ("second", "third", "fourth")]
    assert scene.guard.enrolments == tuple(each.enrolment for each in others)
    assert "mth_first" not in scene.memory.secrets
    assert "mth_first_twin" not in scene.memory.secrets
    with pytest.raises(UnknownEnrolment):
        scene.confirm(first, _code(first))


@pytest.mark.parametrize(("kind", "most"), [(OFFICE, MAX_PHONES), (TEXT, MAX_PHONES), (APP, MAX_APPS)])
def test_so_many_phones_and_apps_are_enough(kind: MethodKind, most: int) -> None:
    scene = _settled()
    methods = [Method(id=MethodId(f"mth_{count}"), kind=kind, target="") for count in range(most)]
    scene.set_guard(methods=(*scene.guard.methods, *methods[1:]))
    assert scene.enrol(kind, "one", session="si_1").refusal is None
    scene.set_guard(methods=(*scene.guard.methods, methods[0]))
    assert isinstance(scene.enrol(kind, "more").refusal, TooManyMethods)


@pytest.mark.security("S-27")
def test_an_enrolment_is_over_at_its_time_and_its_number_is_forgotten() -> None:
    scene = _settled()
    opened = scene.enrolling(TEXT)
    scene.pass_time(ENROLMENT_SECONDS)
    with pytest.raises(UnknownEnrolment):
        scene.confirm(opened, _code(opened))
    scene.begun()
    assert (scene.guard.enrolments, scene.memory.secrets) == ((), {})


@pytest.mark.security("S-28")
def test_the_code_of_one_phone_confirms_no_other() -> None:
    scene = _settled(Policy(send_again_seconds=0))
    first = scene.enrolling(TEXT, "first")
    challenge = msgspec.structs.replace(first.challenge, secret="123456")
    scene.memory.challenges[challenge.id] = challenge
    second = scene.enrolling(TEXT, "second")
    assert isinstance(scene.confirm(second, "123456").refusal, WrongCode)
    assert scene.confirm(first, "123456").refusal is None


# --- whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.security("S-58")
def test_an_enrolment_is_confirmed_in_the_session_that_began_it() -> None:
    scene = _settled()
    opened = scene.enrolling(TEXT)
    found = partial(open_enrolment, scene.guard, opened.enrolment.id)
    assert found(SignInId("si_settings"), scene.now) == opened.enrolment
    with pytest.raises(UnknownEnrolment):
        found(SignInId("si_other"), scene.now)
    with pytest.raises(UnknownEnrolment):
        found(SignInId("si_settings"), after(scene.now, ENROLMENT_SECONDS))
    scene.confirm(opened, _code(opened))
    assert open_enrolment(scene.guard, opened.enrolment.id, SignInId("si_settings"), scene.now) is None


def test_what_is_confirmed_in_a_call_takes_no_code() -> None:
    scene = _settled()
    require_typed(scene.enrolling(TEXT, "text").enrolment, ALL)
    with pytest.raises(NotConfirmed):
        require_typed(scene.enrolling(OFFICE, "office").enrolment, ALL)


@pytest.mark.security("S-58")
def test_a_fraud_report_gives_up_what_is_being_enrolled() -> None:
    scene = _settled()
    scene.enrolling(TEXT)
    scene.press(scene.begun(), "phone", AnswerDecision.REPORT_FRAUD)
    assert (scene.guard.enrolments, scene.memory.secrets) == ((), {})


@pytest.mark.security("S-58")
def test_an_operators_word_gives_up_what_is_being_enrolled() -> None:
    scene = _settled()
    scene.enrolling(TEXT)
    scene.set_blocked(blocked=True)
    assert scene.guard.enrolments == ()


@pytest.mark.security("S-58")
def test_what_another_session_enrols_is_given_up_when_something_is_removed() -> None:
    scene = _settled()
    opened = scene.enrolling(TEXT)
    scene.confirm(opened, _code(opened))
    office = scene.enrol(OFFICE, "office", session="si_mine").reply
    app = scene.enrol(APP, "app", session="si_theirs", secret=KEY.stored).reply
    assert scene.remove_method(opened.enrolment.id, within=office.enrolment.sign_in_id).refusal is None
    assert scene.guard.enrolments == (office.enrolment,)
    assert scene.memory.secrets.keys() == {"mth_office"}
    with pytest.raises(UnknownEnrolment):
        scene.confirm(app, KEY.code(KEY.step(scene.now)))


# --- the first registration -------------------------------------------------------------------------------------------


@pytest.mark.security("S-55")
@pytest.mark.parametrize("kind", [TEXT, OFFICE, APP])
def test_the_first_method_enforces_the_account_and_lets_the_waiting_sign_in_go_on(kind: MethodKind) -> None:
    scene = _registering()
    seen, other = scene.begun(), scene.begun()
    opened = scene.enrol(kind, seen=seen, secret=KEY.stored if kind is APP else "+491701234589").reply
    if kind is OFFICE:
        scene.press_to_enrol(opened, "#")
    else:
        scene.confirm(opened, KEY.code(KEY.step(scene.now)) if kind is APP else _code(opened))
    assert scene.user.state is UserState.ENFORCED
    assert scene.guard.primary == opened.enrolment.id
    assert (scene.sign_in(seen).state, scene.challenge(seen).kind) == (SignInState.PENDING, kind)
    assert scene.sign_in(other).reason is Reason.REGISTERED_ELSEWHERE


@pytest.mark.security("S-55")
def test_an_enrolment_dies_with_the_sign_in_that_it_serves() -> None:
    scene = _registering()
    seen = scene.begun()
    opened = scene.enrolling(TEXT, "text", seen=seen)
    called = scene.enrolling(OFFICE, "office", seen=seen)
    scene.withdraw(seen)
    with pytest.raises(UnknownEnrolment):
        scene.confirm(opened, _code(opened))
    assert scene.press_to_enrol(called, "#").reply is None
    assert isinstance(scene.enrol(APP, seen=seen).refusal, InvalidToken)
    assert scene.guard.methods == ()


@pytest.mark.security("S-55")
def test_whoever_registers_second_finds_the_door_shut() -> None:
    scene = _registering()
    seen, thief = scene.begun(), scene.begun()
    opened, stolen = scene.enrolling(TEXT, "text", seen=seen), scene.enrolling(OFFICE, "theirs", seen=thief)
    scene.confirm(opened, _code(opened))
    assert scene.press_to_enrol(stolen, "#").reply is None
    assert [each.kind for each in scene.guard.methods] == [TEXT, CALL]


def test_where_the_waiting_sign_in_can_not_be_found_the_phone_is_registered_all_the_same() -> None:
    scene = _registering()
    seen = scene.begun()
    opened = scene.enrolling(OFFICE, seen=seen)
    attempt = msgspec.structs.replace(scene.attempt(opened, KeyPress("#"), Actor.PHONE), draft=None)
    scene.run(partial(confirmation.press, attempt=attempt, methods=scene.methods, policy=scene.policy))
    assert scene.user.state is UserState.ENFORCED
    assert scene.sign_in(seen).reason is Reason.REGISTERED_ELSEWHERE


# --- removal and notices ----------------------------------------------------------------------------------------------


@pytest.mark.security("S-58")
def test_a_mobile_phone_is_removed_as_a_whole_and_never_as_the_last() -> None:
    scene = _settled()
    opened = scene.enrolling(TEXT)
    scene.confirm(opened, _code(opened))
    assert scene.remove_method(MethodId("mth_new_twin")).refusal is None
    assert {each.kind for each in scene.guard.methods} == {PUSH, APP}
    assert scene.memory.secrets == {}
    alone = _registering()
    alone.set_guard(methods=(), ever_registered=False)
    seen = alone.begun()
    opened = alone.enrolling(TEXT, seen=seen)
    alone.confirm(opened, _code(opened))
    refusal = alone.remove_method(opened.enrolment.id).refusal
    assert refusal
    assert refusal.code == "last_method"


@pytest.mark.security("S-58")
def test_the_persons_other_phones_are_told_of_what_comes_and_goes() -> None:
    scene = _settled(Policy(send_again_seconds=0))
    first, second = scene.enrolling(TEXT, "first"), scene.enrolling(TEXT, "second")
    scene.confirm(first, _code(first))
    scene.confirm(second, _code(second))
    scene.issue("code")
    scene.activate("code", phone("tablet"))
    scene.remove_method(second.enrolment.id)
    scene.remove_device("tablet")
    told = [(each.about, each.method_id, each.detail) for each in scene.memory.messages if each.about is not About.CODE]
    assert told == [
        (About.METHOD_ADDED, "mth_first", "target of second"),
        (About.METHOD_ADDED, "mth_first", "Alice's tablet"),
        (About.METHOD_ADDED, "mth_second", "Alice's tablet"),
        (About.METHOD_REMOVED, "mth_first", "target of second"),
        (About.METHOD_REMOVED, "mth_first", "Alice's tablet"),
    ]
