"""Leaving the second step out: at a trusted network, in a remembered browser, and when neither counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from push_service.model import ids
from push_service.model.application import ADMINISTRATION, SETTINGS
from push_service.model.challenge import MethodKind
from push_service.model.decision import Actor, AuditKind, Decision
from push_service.model.errors import NotRememberable, TooManyPending
from push_service.model.ids import ApplicationId, BrowserId
from push_service.model.instant import after
from push_service.model.method import AnswerDecision
from push_service.model.network import network_of
from push_service.model.policy import REMEMBERED_AGAIN_SECONDS, REMEMBERED_BROWSERS, RESULT_SECONDS, Policy
from push_service.model.rules import administration, trust
from push_service.model.rules.changes import Changes
from push_service.model.rules.trust import DAY, Presented, days_to_remember
from push_service.model.sign_in import Asker, SignIn, SignInState
from push_service.model.tokens import browser_of, remembered_token, token_after
from push_service.model.user import Method, RememberedBrowser, UserState
from push_service.model.view import Seen
from tests.support.scene import MAIL, Scene, phone

OFFICE = Policy(trusted_networks=(network_of("192.0.2.0/24"),))
REMEMBERING = Policy(remember_browser_days=30)
BOTH = msgspec.structs.replace(OFFICE, remember_browser_days=30)
ELSEWHERE = Asker(ip="198.51.100.9", browser="Firefox on Linux")


def approved(seen: Seen) -> bool:
    """By the password alone."""
    sign_in = seen.sign_in
    return (sign_in.state, sign_in.amr) == (SignInState.APPROVED, ("pwd",)) and sign_in.result_jti is not None


class Browser:
    """A browser's jar, as a page of ours would keep it."""

    def __init__(self, scene: Scene, kept_by: ApplicationId = MAIL) -> None:
        self.scene, self.kept_by = scene, kept_by
        self.token = remembered_token(ids.browser_id())

    @property
    def id(self) -> BrowserId:
        """As which it is remembered."""
        return browser_of(self.token)

    @property
    def known(self) -> RememberedBrowser | None:
        """As what it is remembered."""
        return next((each for each in self.scene.guard.browsers if each.id == self.id), None)

    def be_remembered(self, sign_in: SignIn) -> bool:
        """Ask for it; whether it was granted."""
        rule = partial(
            trust.remember,
            sign_in=sign_in,
            browser_id=self.id,
            token_hash=ids.digest(self.token),
            kept_by=self.kept_by,
            policy=self.scene.policy,
        )
        decision = self.scene.run(rule)
        assert decision.refusal is None or isinstance(decision.refusal, NotRememberable)
        return decision.refusal is None

    def present(self, token: str | None = None) -> Presented:
        """What comes with a begin."""
        token, salt = token or self.token, ids.secret_token("salt")
        return Presented(
            browser_id=browser_of(token),
            token_hash=ids.digest(token),
            kept_by=self.kept_by,
            salt=salt,
            next_hash=ids.digest(token_after(token, salt)),
        )

    def begin(self, token: str | None = None, **more: Any) -> Seen:  # noqa: ANN401 - members of the request
        """Begin with the token of the jar, or another, and keep what the answer gives in its place."""
        token = token or self.token
        seen = self.scene.begin(remembered=self.present(token), **more).reply
        for each in seen.user.guard.browsers:
            if each.token_hash == ids.digest(token_after(token, each.salt)):
                self.token = token_after(token, each.salt)
        return seen


def remembered(policy: Policy = REMEMBERING, *phones: str) -> tuple[Scene, Browser]:
    """Somebody who verified once, in a browser that is remembered for it."""
    scene = Scene("phone", *phones, policy=policy)
    scene.pass_time(60)
    browser = Browser(scene)
    assert browser.be_remembered(two_steps(scene))
    return scene, browser


def two_steps(scene: Scene, **more: Any) -> SignIn:  # noqa: ANN401 - members of the request
    """A sign-in that was just verified on the phone."""
    seen = scene.begin(**more).reply
    scene.verify(seen, "phone")
    return scene.sign_in(seen)


# --- trusted networks -------------------------------------------------------------------------------------------------


def test_from_a_trusted_network_the_password_of_a_registered_person_is_enough() -> None:
    scene = Scene("phone", policy=OFFICE)
    assert approved(scene.begun())
    assert not scene.memory.challenges
    assert not scene.guard.prompts
    left_out, outcome = scene.memory.audit
    assert (left_out.kind, left_out.code) == (AuditKind.SECOND_STEP_LEFT_OUT, "trusted_network")
    assert (left_out.source, left_out.data) == ("192.0.2.7", {"application": MAIL})
    assert (outcome.kind, outcome.code) == (AuditKind.SIGN_IN_OUTCOME, "approved")


@pytest.mark.parametrize("ip", ["192.0.3.7", "::ffff:192.0.2.7", "2001:db8::1", None])
def test_from_anywhere_else_the_second_step_is_asked(ip: str | None) -> None:
    assert Scene("phone", policy=OFFICE).begin(asker=Asker(ip=ip)).reply.sign_in.state is SignInState.PENDING


def test_without_a_policy_no_network_is_trusted() -> None:
    assert Scene("phone").begun().sign_in.state is SignInState.PENDING


@pytest.mark.security("S-62", "S-60")
@pytest.mark.parametrize("application", [SETTINGS, ADMINISTRATION])
def test_settings_and_administration_always_take_two_steps(application: ApplicationId) -> None:
    scene, browser = remembered()
    scene.policy = BOTH
    before = browser.token
    assert browser.begin(application_id=application).sign_in.state is SignInState.PENDING
    assert browser.token == before
    assert not scene.recorded(AuditKind.SECOND_STEP_LEFT_OUT)


def test_who_is_only_vouched_for_takes_the_second_step() -> None:
    scene, browser = remembered()
    scene.policy = BOTH
    assert browser.begin(proven=()).sign_in.state is SignInState.PENDING


def test_who_has_nothing_registered_registers_from_a_trusted_network_too() -> None:
    assert Scene(policy=OFFICE, state=UserState.ENABLED).begun().sign_in.state is SignInState.REGISTRATION_REQUIRED
    scene = Scene("phone", policy=OFFICE)
    scene.reset_methods()
    scene.pass_time(OFFICE.reset_grace_seconds)
    assert scene.begun().sign_in.state is SignInState.FAILED


def test_a_blocked_person_is_refused_wherever_they_are() -> None:
    scene = Scene("phone", policy=OFFICE)
    scene.set_blocked(blocked=True)
    assert scene.begun().sign_in.state is SignInState.FAILED


def test_while_a_fraud_report_mutes_prompts_no_network_is_trusted() -> None:
    scene = Scene("phone", policy=OFFICE)
    seen = scene.begin(asker=ELSEWHERE).reply
    scene.press(seen, "phone", AnswerDecision.REPORT_FRAUD)
    assert scene.begin().refusal
    scene.pass_time(OFFICE.fraud_mute_seconds)
    assert approved(scene.begun())


# --- remembering ------------------------------------------------------------------------------------------------------


def test_a_remembered_browser_asks_for_the_password_alone_until_its_days_are_over() -> None:
    scene, browser = remembered()
    made = browser.known
    assert made is not None
    assert (made.label, made.expires_at) == ("Firefox on Linux", after(scene.now, 30 * DAY))
    assert approved(browser.begin())
    (left_out,) = scene.recorded(AuditKind.SECOND_STEP_LEFT_OUT)
    assert left_out.code == "remembered_browser"
    scene.pass_time(30 * DAY - 1)
    assert approved(browser.begin())
    scene.pass_time(1)
    assert browser.begin().sign_in.state is SignInState.PENDING
    assert not scene.recorded(AuditKind.BROWSER_COPIED)


def test_a_policy_that_says_less_by_now_counts_at_once() -> None:
    scene, browser = remembered()
    scene.pass_time(8 * DAY)
    scene.policy = Policy(remember_browser_days=7)
    assert browser.begin().sign_in.state is SignInState.PENDING
    scene.policy = Policy()
    assert browser.begin().sign_in.state is SignInState.PENDING
    assert trust.remembered_browsers(scene.guard, scene.now, scene.policy) == ()


@pytest.mark.security("S-60")
def test_the_token_changes_with_each_use_and_the_one_before_ends_the_browser() -> None:
    scene, browser = remembered()
    stolen = browser.token
    assert approved(browser.begin())
    assert browser.token != stolen
    scene.pass_time(REMEMBERED_AGAIN_SECONDS)
    thief = Browser(scene)
    assert thief.begin(stolen).sign_in.state is SignInState.PENDING
    (record,) = scene.recorded(AuditKind.BROWSER_COPIED)
    assert (record.source, record.actor) == ("192.0.2.7", Actor.BROWSER)
    assert browser.known is None
    assert browser.begin().sign_in.state is SignInState.PENDING
    assert len(scene.recorded(AuditKind.BROWSER_COPIED)) == 1


@pytest.mark.security("S-60")
def test_a_thief_who_is_first_is_found_out_by_the_owner_however_often_the_token_changed() -> None:
    scene, owner = remembered()
    thief = Browser(scene)
    thief.token = owner.token
    for _ in range(3):
        assert approved(thief.begin())
        scene.pass_time(60)
    assert owner.begin().sign_in.state is SignInState.PENDING
    assert thief.begin().sign_in.state is SignInState.PENDING
    assert len(scene.recorded(AuditKind.BROWSER_COPIED)) == 1


@pytest.mark.security("S-60")
def test_a_copy_is_a_copy_whatever_it_is_tried_for_and_also_when_the_begin_is_refused() -> None:
    scene, browser = remembered()
    stolen = browser.token
    browser.begin()
    scene.pass_time(60)
    for _ in range(scene.policy.pending_per_person):
        scene.begun()
    assert isinstance(scene.begin(remembered=browser.present(stolen), application_id=SETTINGS).refusal, TooManyPending)
    assert scene.guard.browsers == ()
    assert scene.recorded(AuditKind.BROWSER_COPIED)


def test_two_tabs_that_begin_at_once_are_no_theft_and_end_with_the_same_token() -> None:
    scene, browser = remembered()
    tab = Browser(scene)
    tab.token = browser.token
    assert approved(browser.begin())
    scene.pass_time(REMEMBERED_AGAIN_SECONDS - 1)
    assert approved(tab.begin())
    assert tab.token == browser.token
    scene.pass_time(60)
    assert approved(browser.begin())


@pytest.mark.security("S-60")
@pytest.mark.parametrize("forged", ["", "rb_.", "rb_unknown.secret", "bt_si_1.secret", "eyJhbGciOiJub25lIn0.e30."])
def test_a_token_of_no_browser_asks_for_the_second_step(forged: str) -> None:
    scene, browser = remembered()
    assert scene.begin(remembered=browser.present(forged or "x")).reply.sign_in.state is SignInState.PENDING
    assert browser.known


@pytest.mark.security("S-60")
def test_the_right_name_with_another_secret_is_a_copy() -> None:
    scene, browser = remembered()
    assert browser.begin(remembered_token(browser.id)).sign_in.state is SignInState.PENDING
    assert browser.known is None
    assert scene.recorded(AuditKind.BROWSER_COPIED)


@pytest.mark.security("S-60")
def test_in_a_browser_of_another_kind_the_second_step_is_asked_and_the_right_one_goes_on() -> None:
    _, browser = remembered()
    assert browser.begin(asker=Asker(ip="192.0.2.7", browser="Chrome on Windows")).sign_in.state is SignInState.PENDING
    assert approved(browser.begin())
    _, nameless = remembered()
    assert nameless.begin(asker=Asker()).sign_in.state is SignInState.PENDING


@pytest.mark.security("S-60")
def test_what_one_application_keeps_opens_nothing_at_another() -> None:
    _, browser = remembered()
    other = msgspec.structs.replace(browser.present(), kept_by=ApplicationId("app_other"))
    scene = browser.scene
    assert scene.begin(remembered=other, application_id=ApplicationId("app_other")).reply.sign_in.live
    assert approved(browser.begin())


def test_ten_browsers_are_remembered_and_the_one_remembered_longest_ago_makes_room() -> None:
    scene, first = remembered()
    others = [Browser(scene) for _ in range(REMEMBERED_BROWSERS)]
    for each in others:
        scene.pass_time(60)
        assert each.be_remembered(two_steps(scene))
    assert len(scene.guard.browsers) == REMEMBERED_BROWSERS
    assert first.known is None
    assert all(each.known for each in others)


def test_browsers_whose_days_are_over_make_room_first() -> None:
    scene, first = remembered()
    scene.pass_time(31 * DAY)
    second = Browser(scene)
    assert second.be_remembered(two_steps(scene))
    assert [each.id for each in scene.guard.browsers] == [second.id]
    assert first.known is None


# --- what one can be remembered by ------------------------------------------------------------------------------------


def _two_steps(scene: Scene) -> SignIn:
    return two_steps(scene)


def _settings(scene: Scene) -> SignIn:
    return two_steps(scene, application_id=SETTINGS)


def _vouched(scene: Scene) -> SignIn:
    return two_steps(scene, proven=())


def _pending(scene: Scene) -> SignIn:
    return scene.begun().sign_in


def _denied(scene: Scene) -> SignIn:
    seen = scene.begun()
    scene.press(seen, "phone", AnswerDecision.DENY)
    return scene.sign_in(seen)


def _at_the_office(scene: Scene) -> SignIn:
    scene.policy = BOTH
    return scene.begun().sign_in


def _too_long_ago(scene: Scene) -> SignIn:
    sign_in = two_steps(scene)
    scene.pass_time(RESULT_SECONDS)
    return sign_in


def _taken_back_meanwhile(scene: Scene) -> SignIn:
    sign_in = two_steps(scene)
    scene.set_blocked(blocked=True)
    return sign_in


def _taken_back(scene: Scene) -> SignIn:
    sign_in = _taken_back_meanwhile(scene)
    return scene.memory.sign_ins[sign_in.id]


def _not_offered(scene: Scene) -> SignIn:
    scene.policy = Policy()
    return two_steps(scene)


@pytest.mark.security("S-60")
@pytest.mark.parametrize(
    ("done", "granted", "shown"),
    [
        (_two_steps, True, 30),
        (_settings, False, 0),
        (_vouched, False, 0),
        (_pending, False, 30),
        (_denied, False, 0),
        (_at_the_office, False, 0),
        (_too_long_ago, False, 0),
        (_taken_back_meanwhile, False, 30),
        (_taken_back, False, 0),
        (_not_offered, False, 0),
    ],
)
def test_only_two_steps_just_now_are_remembered(done: Callable[[Scene], SignIn], granted: bool, shown: int) -> None:  # noqa: FBT001
    scene = Scene("phone", policy=REMEMBERING)
    scene.pass_time(60)
    sign_in = done(scene)
    assert days_to_remember(sign_in, scene.now, scene.policy) == shown
    assert Browser(scene).be_remembered(sign_in) is granted
    records = scene.recorded(AuditKind.BROWSER_REMEMBERED if granted else AuditKind.BROWSER_REFUSED)
    assert [each.code for each in records] == [None if granted else "not_rememberable"]


# --- what ends it -----------------------------------------------------------------------------------------------------


def _fraud(scene: Scene) -> None:
    scene.press(scene.begin(asker=ELSEWHERE).reply, "phone", AnswerDecision.REPORT_FRAUD)


def _unblocked(scene: Scene) -> None:
    scene.set_blocked(blocked=True)
    scene.set_blocked(blocked=False)


def _off_and_on(scene: Scene) -> None:
    scene.set_state(UserState.DISABLED)
    scene.set_state(UserState.ENFORCED)


def _another_phone(scene: Scene) -> None:
    scene.issue("another", actor=Actor.OPERATOR)
    scene.activate("another", phone("another"))


def _new_password(scene: Scene) -> None:
    scene.run(partial(administration.set_password, password_hash="new"))


def _reset(scene: Scene) -> None:
    scene.reset_methods()
    scene.issue("anew", actor=Actor.OPERATOR)
    scene.activate("anew", phone("anew"))


def _method_off(scene: Scene) -> None:
    off = tuple(
        msgspec.structs.replace(each, disabled=each.kind is MethodKind.APP_CODE) for each in scene.guard.methods
    )
    scene.run(lambda snapshot, now: _with_methods(Changes(snapshot, now), off))


def _with_methods(changes: Changes, methods: tuple[Method, ...]) -> Decision[None]:
    changes.update_guard(methods=methods)
    return changes.decision(None)


@pytest.mark.security("S-60", "S-54")
@pytest.mark.parametrize(
    "happening",
    [
        _new_password,
        _another_phone,
        lambda scene: scene.remove_device("tablet"),
        _method_off,
        _reset,
        _fraud,
        _unblocked,
        _off_and_on,
        lambda scene: scene.run(partial(trust.forget, actor=Actor.BROWSER, source=None)),
    ],
    ids=["password", "added", "removed", "off", "reset", "fraud", "block", "state", "forgotten"],
)
def test_what_ends_every_remembering(happening: Callable[[Scene], object]) -> None:
    scene, browser = remembered(REMEMBERING, "tablet")
    pending = two_steps(scene)
    scene.pass_time(60)
    happening(scene)
    assert scene.guard.browsers == ()
    scene.pass_time(scene.policy.fraud_mute_seconds)
    assert browser.begin().sign_in.state is SignInState.PENDING
    assert not Browser(scene).be_remembered(pending)


def test_choosing_what_is_asked_first_or_renaming_a_phone_ends_nothing() -> None:
    scene, browser = remembered(REMEMBERING, "tablet")
    scene.set_state(UserState.ENABLED)
    scene.set_guard(primary=scene.guard.methods[-1].id)
    assert approved(browser.begin())


def test_forgetting_says_how_many_were_forgotten() -> None:
    scene, _ = remembered()
    assert scene.run(partial(trust.forget, actor=Actor.OPERATOR, source=None)).reply == 1
    (record,) = scene.recorded(AuditKind.BROWSERS_FORGOTTEN)
    assert (record.actor, record.data) == (Actor.OPERATOR, {"count": "1"})
