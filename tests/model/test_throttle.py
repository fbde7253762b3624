"""The two counters, against models that are too simple to be wrong."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from push_service.model.instant import MICROSECONDS, Instant
from push_service.model.policy import Rate
from push_service.model.throttle import Charge, remembered, room_at, spend, wait_seconds

RATES = st.builds(Rate, st.integers(min_value=1, max_value=7), st.integers(min_value=1, max_value=30))
STEPS = st.lists(st.integers(min_value=0, max_value=4 * MICROSECONDS), min_size=1, max_size=60)


def _times(steps: list[int]) -> list[Instant]:
    return [Instant(each) for each in accumulate(steps, initial=10**15)]


@given(RATES, STEPS)
def test_what_is_spent_is_never_more_than_the_burst_and_what_refills(rate: Rate, steps: list[int]) -> None:
    charge = Charge.one("key", rate)
    tat, spent = Instant(0), list[Instant]()
    for now in _times(steps):
        later = spend(tat, now, charge.cost, charge.burst)
        if later is not None:
            tat, spent = later, [*spent, now]
    for first, began in enumerate(spent):
        for last, ended in enumerate(spent[first:], first):
            assert (last - first + 1) * charge.cost <= charge.burst + (ended - began)


@given(RATES, st.integers(min_value=0, max_value=10**15))
def test_a_rested_counter_admits_exactly_its_count_at_once(rate: Rate, start: int) -> None:
    charge, now, tat = Charge.one("key", rate), Instant(start), Instant(0)
    for _ in range(rate.count):
        later = spend(tat, now, charge.cost, charge.burst)
        assert later is not None
        tat = later
    assert spend(tat, now, charge.cost, charge.burst) is None


@given(RATES, STEPS)
def test_it_waits_exactly_as_long_as_it_says(rate: Rate, steps: list[int]) -> None:
    charge, tat = Charge.one("key", rate), Instant(0)
    for now in _times(steps):
        wait = round(wait_seconds(tat, now, charge.cost, charge.burst) * MICROSECONDS)
        assert (spend(tat, now, charge.cost, charge.burst) is None) == (wait > 0)
        later = spend(tat, Instant(now + wait), charge.cost, charge.burst)
        assert later is not None
        if wait:
            assert spend(tat, Instant(now + wait - 1), charge.cost, charge.burst) is None
        tat = later if not wait else tat


@given(RATES, STEPS)
def test_what_is_given_back_was_never_spent(rate: Rate, steps: list[int]) -> None:
    charge, tat = Charge.one("key", rate), Instant(0)
    back = charge.given_back()
    for now in _times(steps):
        later = spend(tat, now, charge.cost, charge.burst)
        assert later is not None
        returned = spend(later, now, back.cost, back.burst)
        assert returned == max(tat, now)
        tat = returned


@given(st.lists(RATES, min_size=1, max_size=3), STEPS)
def test_prompts_fit_their_windows_as_a_model_that_forgets_nothing_says(rates: list[Rate], steps: list[int]) -> None:
    kept: tuple[Instant, ...] = ()
    ever: list[Instant] = []
    for now in _times(steps):
        fits = all(sum(now - each < rate.seconds * MICROSECONDS for each in ever) < rate.count for rate in rates)
        allowed_at = room_at(kept, rates, now)
        assert (allowed_at <= now) == fits
        if fits:
            kept, ever = remembered(kept, rates, now), [*ever, now]
        else:
            just_before = Instant(allowed_at - 1)
            assert room_at(kept, rates, allowed_at) == allowed_at
            assert room_at(kept, rates, just_before) == allowed_at
    assert len(kept) <= max(rate.count for rate in rates)
