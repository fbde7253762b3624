"""What opens what: every row of the table, and every account's place in it."""

from __future__ import annotations

import pytest

from push_service.model.account_states import (
    REFUSALS,
    TABLE,
    Credential,
    Door,
    Outcome,
    Purpose,
    Standing,
    at_clients_door,
    in_browser,
    standing,
)
from push_service.model.sign_in import SignInState
from push_service.model.user import UserState
from tests.support.scene import Scene

EXPECTED = """
| disabled               | approved              | allowed               | allowed                   | allowed      | app_password_not_for_administration |
| enabled, unregistered  | registration_required | allowed               | two_step_sign_in_required | none exists  | none exists                         |
| enforced, unregistered | registration_required | app_password_required | two_step_sign_in_required | allowed      | app_password_not_for_administration |
| enforced, registered   | pending               | app_password_required | two_step_sign_in_required | allowed      | app_password_not_for_administration |
| blocked                | failed                | user_blocked          | user_blocked              | user_blocked | user_blocked                        |
"""  # noqa: E501 - a table
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in EXPECTED.strip().splitlines()]


@pytest.mark.security("S-50", "S-51")
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_standing_opens_what_was_agreed_and_nothing_else(row: list[str]) -> None:
    account = Standing(row[0])
    assert [TABLE[account, door].value for door in Door] == row[1:]
    assert in_browser(account).value == row[1]
    by_client = [
        at_clients_door(account, credential, purpose).value for credential in Credential for purpose in Purpose
    ]
    assert by_client == row[2:]


def test_the_table_has_every_standing_at_every_door() -> None:
    assert len(ROWS) == len(Standing)
    assert set(TABLE) == {(account, door) for account in Standing for door in Door}


@pytest.mark.security("S-50")
def test_no_app_password_ever_administers() -> None:
    assert Outcome.ALLOWED not in {TABLE[account, Door.APP_PASSWORD_TO_ADMINISTER] for account in Standing}


def test_whatever_a_client_is_not_allowed_is_an_error_of_that_name() -> None:
    told = {TABLE[account, door] for account in Standing for door in Door if door is not Door.BROWSER}
    assert told - {Outcome.ALLOWED} == set(REFUSALS)
    named = {outcome: kind for outcome, kind in REFUSALS.items() if outcome is not Outcome.NONE_EXISTS}
    assert all(kind.code == outcome.value and kind.status == 403 for outcome, kind in named.items())
    assert (REFUSALS[Outcome.NONE_EXISTS].code, REFUSALS[Outcome.NONE_EXISTS].status) == ("invalid_credentials", 403)


@pytest.mark.parametrize("state", UserState)
@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("blocked", [False, True])
def test_every_account_has_its_place(state: UserState, *, registered: bool, blocked: bool) -> None:
    scene = Scene(state=state)
    scene.set_guard(blocked=blocked)
    place = {
        (UserState.DISABLED, False): Standing.DISABLED,
        (UserState.DISABLED, True): Standing.DISABLED,
        (UserState.ENABLED, False): Standing.ENABLED,
        (UserState.ENABLED, True): Standing.REGISTERED,
        (UserState.ENFORCED, False): Standing.UNREGISTERED,
        (UserState.ENFORCED, True): Standing.REGISTERED,
    }[state, registered]
    assert standing(scene.user, registered=registered) is (Standing.BLOCKED if blocked else place)


@pytest.mark.security("S-50")
@pytest.mark.parametrize("state", UserState)
@pytest.mark.parametrize("phones", [(), ("phone",)], ids=["unregistered", "registered"])
@pytest.mark.parametrize("blocked", [False, True], ids=["free", "blocked"])
def test_a_browser_begins_as_the_table_says(state: UserState, phones: tuple[str, ...], *, blocked: bool) -> None:
    scene = Scene(*phones, state=state)
    scene.set_guard(blocked=blocked)
    expected = in_browser(standing(scene.user, registered=bool(phones)))
    assert scene.begin().reply.sign_in.state is SignInState(expected.value)
