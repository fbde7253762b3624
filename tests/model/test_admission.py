"""Begins are let in by how late the event loop is, and by how long the store's queue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from push_service.model.admission import (
    FEWEST,
    LATE_SECONDS,
    LONGEST_QUEUE,
    MOST,
    PUNCTUAL_SECONDS,
    Admission,
)


def after(rule: Admission, lag: float, times: int, queued: int = 0) -> Admission:
    for _ in range(times):
        rule = rule.measured(lag, queued)
    return rule


def test_a_punctual_loop_lets_in_as_many_as_there_may_be() -> None:
    rule = after(Admission(), 0.0, 10)
    assert rule.admits(MOST - 1)
    assert not rule.admits(MOST)


def test_a_late_loop_turns_away_more_and_more_but_never_the_few() -> None:
    rule = Admission()
    once = rule.measured(2 * LATE_SECONDS, 0)
    assert FEWEST < once.bound < rule.bound
    long = after(rule, 2 * LATE_SECONDS, 100)
    assert long.admits(FEWEST - 1)
    assert not long.admits(FEWEST)


def test_one_late_beat_turns_nobody_away_where_few_begin() -> None:
    assert Admission().measured(10.0, 0).admits(FEWEST)


def test_between_late_and_punctual_the_bound_stays() -> None:
    rule = after(Admission(), 1.0, 3)
    assert rule.measured((LATE_SECONDS + PUNCTUAL_SECONDS) / 2, 0) == rule


def test_when_the_load_ends_everybody_is_let_in_again() -> None:
    rule = after(Admission(), 1.0, 100)
    assert after(rule, 0.0, MOST).bound == MOST


def test_a_long_queue_stops_every_begin_at_once_and_no_longer_than_it_is_long() -> None:
    rule = Admission().measured(0.0, LONGEST_QUEUE)
    assert not rule.admits(0)
    assert rule.measured(0.0, LONGEST_QUEUE - 1).admits(0)


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10_000))))
def test_whatever_was_measured_the_bound_keeps_its_limits(measurements: list[tuple[float, int]]) -> None:
    rule = Admission()
    for lag, queued in measurements:
        rule = rule.measured(lag, queued)
        assert FEWEST <= rule.bound <= MOST
