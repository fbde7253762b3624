"""Notices: who is told of a change, and who is not."""

from __future__ import annotations

from functools import partial

import pytest

from push_service.methods import ALL
from push_service.model.challenge import MethodKind
from push_service.model.ids import MethodId
from push_service.model.instant import after
from push_service.model.message import About, Message, Via
from push_service.model.rules import recovery
from push_service.model.rules.changes import Changes
from push_service.model.rules.notices import NOTICE_SECONDS, NOTICES, tell
from push_service.model.user import Bypass, Method
from tests.support.scene import Scene


def _with(*methods: Method) -> Scene:
    scene = Scene(methods=ALL)
    scene.set_guard(methods=methods)
    return scene


def _text(name: str, *, twin: str | None = None, disabled: bool = False) -> Method:
    return Method(
        id=MethodId(name),
        kind=MethodKind.TEXT_MOBILE,
        target="+XX XXXXXXX89",
        twin=MethodId(twin) if twin else None,
        disabled=disabled,
    )


def _told(scene: Scene, except_method: str | None = None) -> tuple[Message, ...]:
    changes = Changes(scene.memory.snapshot(), scene.now)
    tell(changes, About.METHOD_ADDED, "+XX XXXXXXX55", MethodId(except_method) if except_method else None)
    decision = changes.decision(None)
    scene.run(lambda _snapshot, _now: decision)
    return decision.messages


@pytest.mark.security("S-58")
def test_the_persons_other_mobile_phones_are_told_each_by_a_text() -> None:
    office = Method(id=MethodId("office"), kind=MethodKind.CALL_OFFICE, target="+XX XXXXXX56")
    scene = _with(_text("first"), office, _text("second"), _text("off", disabled=True), _text("new", twin="new call"))
    told = _told(scene, "new")
    assert [each.method_id for each in told] == ["first", "second"]
    assert {(each.via, each.about, each.detail) for each in told} == {(Via.TEXT, About.METHOD_ADDED, "+XX XXXXXXX55")}
    assert {each.expires_at for each in told} == {after(scene.now, NOTICE_SECONDS)}
    assert len({each.id for each in told}) == 2


def test_a_phone_is_spared_by_either_of_its_methods() -> None:
    scene = _with(_text("text", twin="call"), _text("other"))
    assert [each.method_id for each in _told(scene, "call")] == ["other"]


def test_what_is_about_no_method_is_told_to_all() -> None:
    assert [each.method_id for each in _told(_with(_text("text")))] == ["text"]


@pytest.mark.security("S-61")
def test_a_bypass_and_a_report_of_fraud_are_told_too() -> None:
    scene = _with(_text("text"))
    bypass = Bypass(id=MethodId("mth_bypass"), mac="mac", expires_at=after(scene.now, 60))
    issued = scene.run(partial(recovery.issue_bypass, bypass=bypass, issuer="root", reason="lost phone"))
    assert [(each.about, each.method_id) for each in issued.messages] == [(About.BYPASS_ISSUED, "text")]
    own = scene.run(partial(recovery.issue_bypass, bypass=bypass, issuer=scene.user.id, reason="mine"))
    assert own.messages == ()
    scene = _with()
    scene.add_method(MethodKind.TEXT_MOBILE)
    call = scene.add_method(MethodKind.CALL_MOBILE)
    seen = scene.begun()
    assert scene.challenge(seen).method_id == call.id
    reported = scene.press_keys(scene.challenge(seen).id, "0#")
    assert [(each.about, each.method_id) for each in reported.messages] == [(About.FRAUD_REPORTED, "mth_text_mobile")]


def test_each_notice_has_an_id_of_its_own() -> None:
    scene = _with(_text("text"))
    (first,), (second,) = _told(scene), _told(scene)
    assert first.id != second.id


def test_a_day_has_only_so_many_notices() -> None:
    scene = _with(_text("text"))
    for _ in range(NOTICES.count):
        assert _told(scene)
    assert not _told(scene)
    scene.pass_time(NOTICES.seconds)
    assert _told(scene)
