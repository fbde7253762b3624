"""The app's prompt: which number is asked for, and what an answer is worth."""

from __future__ import annotations

import hmac

import msgspec
import pytest

from push_service.methods import ALL
from push_service.methods.app_notification import AppNotification
from push_service.model.challenge import Challenge, MethodKind
from push_service.model.ids import MethodId
from push_service.model.method import Answer, AnswerDecision, Asked, KeyPress, Question, Verdict
from push_service.model.policy import Policy
from push_service.model.user import Guard, Method
from tests.support.scene import NUMBERS, START, TAP, Scene, phone, signed

METHOD = AppNotification()
VERIFY, DENY, FRAUD = AnswerDecision.VERIFY, AnswerDecision.DENY, AnswerDecision.REPORT_FRAUD


def _asked(scene: Scene, taken: tuple[str, ...] = ()) -> Question:
    method = scene.method(MethodKind.APP_NOTIFICATION, "phone")
    return METHOD.ask(scene.guard, method, scene.draft(), taken, scene.policy)


def _challenge(secret: str | None) -> Challenge:
    scene = Scene("phone")
    return msgspec.structs.replace(scene.challenge(scene.begun()), secret=secret)


def _worth(challenge: Challenge, answer: Answer) -> Verdict:
    guard = Guard()
    judgement = METHOD.judge(Asked(challenge, guard, START), answer)
    assert judgement.guard is guard
    return judgement.verdict


def test_it_is_offered_under_its_kind() -> None:
    assert isinstance(ALL[MethodKind.APP_NOTIFICATION], AppNotification)


def test_every_phone_is_asked_for_the_number_of_the_policys_digits() -> None:
    question = _asked(Scene("phone", "tablet", policy=Policy(number_digits=6)))
    assert question.devices == (phone("phone").id, phone("tablet").id)
    assert question.target == "Alice's phone, Alice's tablet"
    assert (question.secret, question.digits) == (NUMBERS[0][:6], 6)


def test_a_phone_whose_notifications_were_switched_off_is_not_asked_with_the_others() -> None:
    scene = Scene("phone", "tablet")
    off = scene.method(MethodKind.APP_NOTIFICATION, "tablet")
    methods = tuple(msgspec.structs.replace(each, disabled=each.id == off.id) for each in scene.guard.methods)
    scene.set_guard(methods=methods)
    assert _asked(scene).devices == (phone("phone").id,)


def test_the_number_is_none_that_another_prompt_of_the_person_shows() -> None:
    scene = Scene("phone")
    shown: tuple[str, ...] = ()
    for _ in range(scene.policy.pending_per_person):
        number = _asked(scene, shown).secret
        assert number is not None
        assert number not in shown
        shown = (*shown, number)


def test_where_a_tap_is_enough_there_is_no_number() -> None:
    question = _asked(Scene("phone", policy=TAP))
    assert (question.secret, question.digits) == (None, 0)
    assert question.devices == (phone("phone").id,)


def test_a_method_without_any_phone_left_is_named_by_its_own_target() -> None:
    method = Method(id=MethodId("mth_1"), kind=MethodKind.APP_NOTIFICATION, target="a phone")
    for policy in (Policy(), TAP):
        question = METHOD.ask(Guard(), method, Scene().draft(), (), policy)
        assert (question.target, question.devices) == ("a phone", ())


@pytest.mark.security("S-12", "S-14")
@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ("42", Verdict.RIGHT),
        ("43", Verdict.WRONG),
        ("4", Verdict.WRONG),
        ("042", Verdict.WRONG),
        (" 42", Verdict.WRONG),
        ("４２", Verdict.WRONG),  # noqa: RUF001 - full width
        ("", Verdict.WRONG),
        (None, Verdict.WRONG),
    ],
)
def test_only_the_very_number_verifies(given: str | None, verdict: Verdict) -> None:
    challenge = _challenge("42")
    assert _worth(challenge, signed(challenge, phone("phone"), VERIFY, given)) is verdict


@pytest.mark.parametrize("secret", ["42", None])
def test_saying_no_needs_no_number(secret: str | None) -> None:
    challenge = _challenge(secret)
    assert _worth(challenge, signed(challenge, phone("phone"), DENY, "42")) is Verdict.DENIED
    assert _worth(challenge, signed(challenge, phone("phone"), FRAUD, "42")) is Verdict.FRAUD


def test_a_tap_verifies_where_no_number_was_asked_for() -> None:
    challenge = _challenge(None)
    assert _worth(challenge, signed(challenge, phone("phone"), VERIFY)) is Verdict.RIGHT


@pytest.mark.parametrize("given", ["42", "43", "73", "0", None])
def test_every_number_goes_the_same_constant_time_way(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    challenge = _challenge("42")
    _worth(challenge, signed(challenge, phone("phone"), VERIFY, given))
    assert compared == [(b"42", (given or "").encode())]


def test_it_is_not_answered_in_the_browser_nor_by_a_call() -> None:
    assert not METHOD.fits("123456")
    assert _worth(_challenge(None), KeyPress("#")) is Verdict.UNCLEAR
