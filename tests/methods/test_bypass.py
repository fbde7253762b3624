"""An administrator's code: once, within its minutes, and no factor."""

from __future__ import annotations

import pytest

from push_service.methods.bypass import OneTimeBypass
from push_service.model.ids import MethodId
from push_service.model.instant import Instant, after
from push_service.model.method import Answer, Asked, Judgement, KeyPress, TypedCode, Verdict
from push_service.model.policy import Policy
from push_service.model.user import Bypass, Guard
from tests.support.scene import START, Scene

METHOD = OneTimeBypass()
ISSUED = Guard(bypass=Bypass(id=MethodId("mth_bypass"), mac="mac", expires_at=after(START, 60)))
RIGHT = TypedCode(code="aaaq-eaye-auda-ocaj", secret=None, mac="mac")
WRONG = TypedCode(code="aaaq-eaye-auda-ocaj", secret=None, mac="another mac")


def _judged(guard: Guard, answer: Answer, now: Instant = START) -> Judgement:
    scene = Scene("phone")
    return METHOD.judge(Asked(scene.challenge(scene.begun()), guard, now), answer)


@pytest.mark.security("S-61")
def test_it_is_right_once() -> None:
    verdict, guard = _judged(ISSUED, RIGHT)
    assert (verdict, guard) == (Verdict.RIGHT, Guard())
    assert _judged(guard, RIGHT) == (Verdict.WRONG, guard)


@pytest.mark.security("S-27")
@pytest.mark.parametrize(("seconds", "verdict"), [(59, "right"), (60, "wrong"), (61, "wrong")])
def test_from_its_end_on_it_is_wrong(seconds: float, verdict: str) -> None:
    assert _judged(ISSUED, RIGHT, after(START, seconds)).verdict == verdict


@pytest.mark.parametrize("answer", [WRONG, KeyPress("#")])
def test_whatever_else_is_typed_is_wrong_and_uses_nothing_up(answer: Answer) -> None:
    assert _judged(ISSUED, answer) == (Verdict.WRONG, ISSUED)


def test_it_is_asked_as_any_code_and_is_no_factor() -> None:
    scene = Scene("phone")
    question = METHOD.ask(ISSUED, ISSUED.emergency_methods[0], scene.draft(), (), Policy())
    assert (question.secret, question.digits, question.target) == (None, 0, "")
    assert (METHOD.seconds(Policy()), METHOD.tries(Policy())) == (120, Policy().wrong_codes)
    assert METHOD.fits(RIGHT.code)
    assert not METHOD.counts
    assert METHOD.amr == ()
