"""App passwords: their form, who may have one, and what revokes them."""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_service.model.app_password import LETTERS, MAX_APP_PASSWORDS, keyed, normal, opened_by, shown
from push_service.model.decision import Actor, AuditKind, Decision
from push_service.model.errors import (
    FreshSignInRequired,
    RegistrationIncomplete,
    ServiceError,
    TooManyAppPasswords,
    UnknownAppPassword,
)
from push_service.model.ids import AppPasswordId, UserId
from push_service.model.rules import administration, app_passwords
from push_service.model.user import AppPasswordKey, User, UserState
from tests.support.scene import Scene, phone

PASSWORD = "abcdefghijklmnop"
letters = st.text(string.ascii_lowercase, min_size=LETTERS, max_size=LETTERS)


def key(name: str) -> AppPasswordKey:
    """An app password that is called so."""
    return AppPasswordKey(AppPasswordId(f"apw_{name}"), f"mac of {name}", name)


def add(scene: Scene, name: str, maker: User | None = None) -> Decision[object]:
    """Make one; the maker's sign-in was just looked at, unless it is said when."""
    new = app_passwords.NewAppPassword(key(name), maker or scene.user, "192.0.2.7")
    return scene.run(partial(app_passwords.add, new=new))


def with_two() -> Scene:
    """Somebody registered, with two app passwords."""
    scene = Scene("phone")
    for name in ("mail", "chat"):
        assert add(scene, name).refusal is None
    scene.memory.audit.clear()
    return scene


# --- their form -------------------------------------------------------------------------------------------------------


def test_it_is_shown_in_groups_of_four() -> None:
    assert shown(PASSWORD) == "abcd efgh ijkl mnop"


@pytest.mark.security("S-52")
def test_sixteen_letters_are_seventy_five_bits() -> None:
    assert len(string.ascii_lowercase) ** LETTERS > 2**75


@given(letters, st.lists(st.sampled_from([" ", "-", "\u00a0", "\t"]), min_size=LETTERS, max_size=LETTERS))
def test_spaces_hyphens_and_capitals_are_forgiven(password: str, between: list[str]) -> None:
    assert normal(shown(password)) == password
    assert normal(password.upper()) == password
    assert normal("".join(map("".join, zip(password, between, strict=True)))) == password


@pytest.mark.parametrize(
    "typed", ["", PASSWORD[:-1], PASSWORD + "a", PASSWORD[:-1] + "1", PASSWORD[:-1] + "ß", "\u0130" * 16]
)
def test_what_has_not_sixteen_latin_letters_is_none(typed: str) -> None:
    assert normal(typed) is None


@pytest.mark.security("S-52")
def test_its_hash_is_bound_to_its_user() -> None:
    assert keyed(UserId("usr_alice"), PASSWORD) != keyed(UserId("usr_bob"), PASSWORD)


def test_it_opens_by_its_keyed_hash_alone() -> None:
    guard = with_two().guard
    assert opened_by(guard, "mac of chat") == key("chat")
    assert opened_by(guard, "mac of nothing") is None


# --- making and revoking ----------------------------------------------------------------------------------------------


def test_one_is_made_listed_and_recorded() -> None:
    scene = Scene("phone")
    decision = add(scene, "mail")
    assert scene.guard.app_passwords == (key("mail"),)
    assert decision.app_password is decision.reply
    made = decision.app_password
    assert made
    assert (made.id, made.name, made.created_at, made.last_used_at) == ("apw_mail", "mail", scene.now, None)
    (record,) = scene.memory.audit
    assert (record.kind, record.actor, record.source) == (AuditKind.APP_PASSWORD_ADDED, Actor.BROWSER, "192.0.2.7")
    assert record.data == {"app_password": "apw_mail"}


def refused(scene: Scene, decision: Decision[object], kind: type[ServiceError]) -> None:
    """It is refused, recorded, and nothing is made."""
    assert isinstance(decision.refusal, kind)
    assert decision.app_password is None
    assert decision.removed_app_passwords == ()
    (record,) = scene.recorded(AuditKind.APP_PASSWORD_REFUSED)
    assert (record.code, record.source) == (kind.code, "192.0.2.7")


@pytest.mark.security("S-52")
def test_the_forty_first_is_refused() -> None:
    scene = Scene("phone")
    scene.set_guard(app_passwords=tuple(key(str(number)) for number in range(MAX_APP_PASSWORDS - 1)))
    assert add(scene, "fortieth").refusal is None
    refused(scene, add(scene, "forty-first"), TooManyAppPasswords)
    assert len(scene.guard.app_passwords) == MAX_APP_PASSWORDS == 40


@pytest.mark.parametrize("state", [UserState.DISABLED, UserState.ENABLED])
def test_none_is_made_before_registration_is_complete(state: UserState) -> None:
    scene = Scene(state=state)
    refused(scene, add(scene, "mail"), RegistrationIncomplete)


Event = Callable[[Scene], object]
TAKES_TRUST_AWAY: dict[str, Event] = {
    "block": lambda scene: scene.set_blocked(blocked=True),
    "new password": lambda scene: scene.run(partial(administration.set_password, password_hash="new")),
    "reset of methods": lambda scene: scene.reset_methods(),
}
REVOKES_ALL: dict[str, Event] = {
    **TAKES_TRUST_AWAY,
    "delete all": lambda scene: scene.run(administration.delete_app_passwords),
}


@pytest.mark.security("S-52")
@pytest.mark.parametrize("event", TAKES_TRUST_AWAY.values(), ids=TAKES_TRUST_AWAY)
def test_none_is_made_by_a_sign_in_that_was_taken_back_meanwhile(event: Event) -> None:
    scene = Scene("phone")
    maker = scene.user
    event(scene)
    refused(scene, add(scene, "mail", maker), FreshSignInRequired)
    assert scene.guard.app_passwords == ()


@pytest.mark.security("S-52")
@pytest.mark.parametrize("event", REVOKES_ALL.values(), ids=REVOKES_ALL)
def test_all_are_revoked_at_once_each_with_its_record(event: Event) -> None:
    scene = with_two()
    decision = event(scene)
    assert isinstance(decision, Decision)
    assert scene.guard.app_passwords == ()
    assert decision.removed_app_passwords == ("apw_mail", "apw_chat")
    records = scene.recorded(AuditKind.APP_PASSWORD_REMOVED)
    assert [(each.actor, each.data) for each in records] == [
        (Actor.OPERATOR, {"app_password": "apw_mail"}),
        (Actor.OPERATOR, {"app_password": "apw_chat"}),
    ]


def test_deleting_all_of_none_changes_nothing() -> None:
    scene = Scene("phone")
    decision = scene.run(administration.delete_app_passwords)
    assert (decision.reply, decision.changes) == (0, False)
    assert with_two().run(administration.delete_app_passwords).reply == 2


def test_unblocking_brings_none_back() -> None:
    scene = with_two()
    scene.set_blocked(blocked=True)
    scene.set_blocked(blocked=False)
    assert scene.guard.app_passwords == ()


def test_whoever_is_merely_enabled_has_none() -> None:
    scene = with_two()
    assert scene.set_state(UserState.DISABLED).removed_app_passwords == ()
    scene.set_guard(methods=())
    decision = scene.set_state(UserState.ENABLED)
    assert scene.user.state is UserState.ENABLED
    assert scene.guard.app_passwords == ()
    assert len(decision.removed_app_passwords) == 2


def test_adding_and_removing_ones_own_methods_leaves_them_alone() -> None:
    scene = with_two()
    before = scene.guard.app_passwords
    scene.issue("code for tablet", actor=Actor.OPERATOR)
    scene.activate("code for tablet", phone("tablet"))
    scene.remove_device("phone")
    assert scene.guard.app_passwords == before


def test_one_is_revoked_and_the_others_stay() -> None:
    scene = with_two()
    revoke = partial(app_passwords.revoke, revoked=AppPasswordId("apw_mail"), source="192.0.2.7")
    decision = scene.run(revoke)
    assert scene.guard.app_passwords == (key("chat"),)
    assert decision.removed_app_passwords == ("apw_mail",)
    assert [each.data for each in scene.recorded(AuditKind.APP_PASSWORD_REMOVED)] == [{"app_password": "apw_mail"}]
    refused(scene, scene.run(revoke), UnknownAppPassword)


def test_the_name_that_is_answered_stands_beside_the_hash() -> None:
    assert msgspec.json.decode(msgspec.json.encode(key("mail"))) == {
        "id": "apw_mail",
        "mac": "mac of mail",
        "name": "mail",
    }
