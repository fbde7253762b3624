"""A call: what is asked, and which keys are what."""

from __future__ import annotations

import msgspec
import pytest

from push_service.methods.call import PhoneCall
from push_service.model.challenge import MethodKind
from push_service.model.message import Via
from push_service.model.method import Answer, Asked, KeyPress, TypedCode, Verdict
from push_service.model.policy import Policy
from push_service.model.user import Guard
from tests.support.scene import DIGITS, START, Scene

METHOD = PhoneCall(MethodKind.CALL_OFFICE)
RIGHT, WRONG, FRAUD, UNCLEAR = Verdict.RIGHT, Verdict.WRONG, Verdict.FRAUD, Verdict.UNCLEAR


def _worth(answer: Answer, pin: str | None = None) -> Verdict:
    scene = Scene("phone")
    challenge = msgspec.structs.replace(scene.challenge(scene.begun()), secret=pin, digits=len(pin or ""))
    return METHOD.judge(Asked(challenge, Guard(), START), answer).verdict


@pytest.mark.parametrize(("digits", "secret"), [(0, None), (4, DIGITS[:4])])
def test_the_number_is_called_and_asks_for_the_pages_number_where_policy_says_so(
    digits: int, secret: str | None
) -> None:
    scene = Scene(policy=Policy(call_pin_digits=digits))
    method = scene.add_method(MethodKind.CALL_OFFICE)
    question = METHOD.ask(scene.guard, method, scene.draft(), (), scene.policy)
    assert (question.secret, question.digits, question.via) == (secret, digits, Via.CALL)


def test_a_call_lasts_as_long_as_a_sign_in_waits() -> None:
    assert METHOD.seconds(Policy(sign_in_seconds=77)) == 77


@pytest.mark.security("S-46")
@pytest.mark.parametrize(
    ("keys", "verdict"),
    [("#", RIGHT), ("0#", FRAUD), ("", UNCLEAR), ("9#", UNCLEAR), ("##", UNCLEAR), ("0", UNCLEAR), ("*", UNCLEAR)],
)
def test_only_a_lone_hash_verifies(keys: str, verdict: Verdict) -> None:
    assert _worth(KeyPress(keys)) is verdict


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ("4711#", RIGHT),
        ("4712#", WRONG),
        ("#", UNCLEAR),
        ("4711", UNCLEAR),
        ("47110", UNCLEAR),
        ("0#", FRAUD),
        ("04711#", UNCLEAR),
    ],
)
def test_with_a_number_asked_only_that_number_and_the_hash_verify(keys: str, verdict: Verdict) -> None:
    assert _worth(KeyPress(keys), "4711") is verdict


@pytest.mark.security("S-28")
def test_nothing_is_typed_in_the_browser() -> None:
    assert not METHOD.fits("123456")
    assert _worth(TypedCode(code="#", secret=None, mac="")) is UNCLEAR
