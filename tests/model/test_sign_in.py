"""The table of how a sign-in moves, walked through state by state and event by event."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from push_service.model.instant import Instant
from push_service.model.sign_in import LIVE, TERMINAL, TRANSITIONS, SignIn, SignInEvent, SignInState
from tests.support.scene import START, Scene

MOVES = {
    "registration_required": {
        "registered": "pending",
        "spoilt": "failed",
        "timed_out": "expired",
        "cancelled": "withdrawn",
    },
    "pending": {
        "asked": "pending",
        "verified": "approved",
        "refused": "denied",
        "spoilt": "failed",
        "timed_out": "expired",
        "cancelled": "withdrawn",
    },
}
"""The whole of it, written down a second time."""


@pytest.mark.parametrize(("state", "event"), list(product(SignInState, SignInEvent)))
def test_every_event_leads_where_the_table_says_or_is_refused(state: SignInState, event: SignInEvent) -> None:
    before = _sign_in(state)
    successor = MOVES.get(state.value, {}).get(event.value)
    if successor is None:
        with pytest.raises(KeyError):
            before.after(event, START)
        return
    later = before.after(event, START, amr=("pwd",), result_jti="jti")
    assert later.state.value == successor
    assert later.version == before.version + 1
    assert later.decided_at == (START if later.state in TERMINAL else None)
    assert later.registration_hash is None


def test_the_table_has_no_other_moves() -> None:
    assert {(state.value, event.value): to.value for (state, event), to in TRANSITIONS.items()} == {
        (state, event): to for state, moves in MOVES.items() for event, to in moves.items()
    }


def test_the_five_final_states_are_never_left() -> None:
    assert {state.value for state in TERMINAL} == {"approved", "denied", "failed", "expired", "withdrawn"}
    assert not {state for state, _ in TRANSITIONS} & TERMINAL
    assert set(SignInState) == LIVE | TERMINAL


def test_every_state_but_the_two_it_is_born_in_is_reached() -> None:
    assert set(TRANSITIONS.values()) | {SignInState.REGISTRATION_REQUIRED} == set(SignInState)


@pytest.mark.security("S-27")
def test_it_is_open_until_its_deadline_and_not_at_it() -> None:
    sign_in = _sign_in(SignInState.PENDING)
    assert sign_in.open_at(Instant(sign_in.expires_at - 1))
    assert not sign_in.open_at(sign_in.expires_at)
    assert not _sign_in(SignInState.DENIED).open_at(START)


def _sign_in(state: SignInState) -> SignIn:
    begun = Scene("phone").begun().sign_in
    return msgspec.structs.replace(begun, state=state, registration_hash="hash")
