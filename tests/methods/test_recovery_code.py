"""A code from the person's own list: each once."""

from __future__ import annotations

import pytest

from push_service.methods.recovery_code import RecoveryCode
from push_service.model.codes import PRINTED_CODE_BYTES, normal_code, printed_code
from push_service.model.ids import MethodId
from push_service.model.method import Answer, Asked, Judgement, KeyPress, TypedCode, Verdict
from push_service.model.policy import Policy
from push_service.model.user import Guard, RecoveryCodes
from tests.support.scene import START, Scene

METHOD = RecoveryCode()
LIST = Guard(recovery=RecoveryCodes(MethodId("mth_list"), ("mac 1", "mac 2", "mac 3")))
CODE = printed_code(bytes(range(PRINTED_CODE_BYTES)))


def _judged(guard: Guard, answer: Answer) -> Judgement:
    scene = Scene("phone")
    return METHOD.judge(Asked(scene.challenge(scene.begun()), guard, START), answer)


def _typed(mac: str) -> TypedCode:
    return TypedCode(code=CODE, secret=None, mac=mac)


def test_a_code_of_the_list_is_right_and_struck_from_it() -> None:
    verdict, guard = _judged(LIST, _typed("mac 2"))
    assert verdict is Verdict.RIGHT
    assert guard.recovery == RecoveryCodes(MethodId("mth_list"), ("mac 1", "mac 3"))
    assert _judged(guard, _typed("mac 2")) == (Verdict.WRONG, guard)


def test_with_its_last_code_the_list_is_gone() -> None:
    guard = LIST
    for mac in ("mac 1", "mac 3", "mac 2"):
        verdict, guard = _judged(guard, _typed(mac))
        assert verdict is Verdict.RIGHT
    assert guard == Guard()
    assert guard.without_recovery_code("mac 1") == guard


@pytest.mark.parametrize(
    ("guard", "answer"), [(LIST, _typed("mac 4")), (LIST, KeyPress("#")), (Guard(), _typed("mac 1"))]
)
def test_whatever_else_is_typed_is_wrong(guard: Guard, answer: Answer) -> None:
    assert _judged(guard, answer) == (Verdict.WRONG, guard)


def test_a_code_is_printed_in_groups_and_typed_as_one_likes() -> None:
    assert CODE == "aaaq-eaye-auda-ocaj"
    for typed in (CODE, CODE.upper(), CODE.replace("-", ""), CODE.replace("-", " ")):
        assert METHOD.fits(typed)
        assert normal_code(typed) == "aaaqeayeaudaocaj"


@pytest.mark.parametrize("code", ["", "123456", CODE[:-1], CODE + "a", "ä" + CODE[1:]])
def test_what_has_another_length_or_other_letters_is_no_try(code: str) -> None:
    assert not METHOD.fits(code)


def test_it_is_asked_as_any_code_and_makes_nobody_registered() -> None:
    scene = Scene("phone")
    method = LIST.emergency_methods[0]
    question = METHOD.ask(LIST, method, scene.draft(), (), Policy())
    assert (question.secret, question.digits, question.target) == (None, 0, "3 left")
    assert (METHOD.seconds(Policy()), METHOD.tries(Policy())) == (120, Policy().wrong_codes)
    assert not METHOD.counts
