"""A code from the app: within a step, and each step once."""

from __future__ import annotations

import msgspec
import pytest

from push_service.methods.app_code import AppCode
from push_service.model.challenge import MethodKind
from push_service.model.ids import MethodId
from push_service.model.instant import Instant, after
from push_service.model.method import Answer, Asked, Judgement, KeyPress, TypedCode, Verdict
from push_service.model.policy import Policy
from push_service.model.totp import TotpKey
from push_service.model.user import Guard
from tests.support.scene import START, WITH_CODES, Scene

METHOD = AppCode()
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
KEY = TotpKey(SECRET)
ASKED_OF = MethodId("mth_code")


def _judged(guard: Guard, answer: Answer, now: Instant = START) -> Judgement:
    scene = Scene("phone")
    challenge = msgspec.structs.replace(scene.challenge(scene.begun()), method_id=ASKED_OF)
    return METHOD.judge(Asked(challenge, guard, now), answer)


def _typed(step: int, secret: str | None = SECRET) -> TypedCode:
    return TypedCode(code=KEY.code(step), secret=secret, mac="")


@pytest.mark.security("S-26")
@pytest.mark.parametrize(
    ("off", "verdict"), [(-3, "wrong"), (-2, "wrong"), (-1, "right"), (0, "right"), (1, "right"), (2, "wrong")]
)
def test_the_codes_of_this_step_and_its_neighbours_verify(off: int, verdict: str) -> None:
    assert _judged(Guard(), _typed(KEY.step(START) + off)).verdict == verdict


@pytest.mark.security("S-24", "S-25")
def test_a_step_is_accepted_once_and_none_before_it_afterwards() -> None:
    step = KEY.step(START)
    verdict, guard = _judged(Guard(), _typed(step))
    assert verdict is Verdict.RIGHT
    for again in (step, step - 1):
        assert _judged(guard, _typed(again)) == (Verdict.WRONG, guard)
    assert _judged(guard, _typed(step + 1), after(START, 30)).verdict is Verdict.RIGHT


def test_apps_are_remembered_one_by_one() -> None:
    _, guard = _judged(Guard(), _typed(KEY.step(START)))
    assert list(guard.totp) == [ASKED_OF]


def test_nothing_verifies_where_there_is_no_secret() -> None:
    assert _judged(Guard(), _typed(KEY.step(START), None)).verdict is Verdict.WRONG


def test_keys_are_no_code() -> None:
    assert _judged(Guard(), KeyPress("#")).verdict is Verdict.WRONG


def test_the_app_is_asked_without_anything_being_sent() -> None:
    scene = Scene("phone", methods=WITH_CODES)
    method = scene.method(MethodKind.APP_CODE, "phone")
    question = METHOD.ask(scene.guard, method, scene.draft(), (), scene.policy)
    assert (question.secret, question.digits, question.via, question.devices) == (None, 6, None, ())
    assert question.target == "Alice's phone"
    assert METHOD.seconds(Policy(sign_in_seconds=99)) == 99
    assert METHOD.fits("000000")
