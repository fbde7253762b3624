"""A code by text: which is sent, and what is taken for it."""

from __future__ import annotations

import msgspec
import pytest

from push_service.methods.text_mobile import TextMobile
from push_service.model.challenge import MethodKind
from push_service.model.message import Via
from push_service.model.method import Answer, Asked, KeyPress, TypedCode, Verdict
from push_service.model.policy import Policy, Rate
from push_service.model.user import Guard
from tests.support.scene import DIGITS, START, Scene

METHOD = TextMobile()


def _worth(answer: Answer) -> Verdict:
    scene = Scene("phone")
    challenge = msgspec.structs.replace(scene.challenge(scene.begun()), secret="048162")
    guard = Guard()
    judgement = METHOD.judge(Asked(challenge, guard, START), answer)
    assert judgement.guard is guard
    return judgement.verdict


def _typed(code: str) -> TypedCode:
    return TypedCode(code=code, secret=None, mac="")


def test_six_random_digits_go_to_the_number_by_text() -> None:
    scene = Scene()
    method = scene.add_method(MethodKind.TEXT_MOBILE)
    question = METHOD.ask(scene.guard, method, scene.draft(), (), scene.policy)
    assert (question.secret, question.digits, question.via) == (DIGITS[:6], 6, Via.TEXT)
    assert (question.target, question.devices) == ("+XX XXXXXXX89", ())


def test_it_lasts_as_long_as_texts_do_and_has_the_tries_of_codes() -> None:
    policy = Policy(text_seconds=170, wrong_codes=Rate(3, 60))
    assert METHOD.seconds(policy) == 170
    assert METHOD.tries(policy) == Rate(3, 60)


@pytest.mark.security("S-21", "S-26")
@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("048162", Verdict.RIGHT),
        ("048163", Verdict.WRONG),
        ("48162", Verdict.WRONG),
        ("0481627", Verdict.WRONG),
        ("", Verdict.WRONG),
    ],
)
def test_only_the_very_code_verifies(code: str, verdict: Verdict) -> None:
    assert _worth(_typed(code)) is verdict


@pytest.mark.security("S-28")
def test_keys_are_no_answer_to_a_text() -> None:
    assert _worth(KeyPress("#")) is Verdict.UNCLEAR


@pytest.mark.security("S-26")
@pytest.mark.parametrize(
    ("code", "fits"),
    [("012345", True), ("12345", False), ("1234567", False), ("-12345", False), ("١٢٣٤٥٦", False), ("12345 ", False)],
)
def test_six_ascii_digits_have_the_form_of_a_code(code: str, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    assert METHOD.fits(code) is fits
