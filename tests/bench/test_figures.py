"""The statistics that every published figure goes through."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Latency, Spread, percentile

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


def test_the_median_of_an_even_number_of_rounds_lies_between_the_middle_two() -> None:
    assert Spread.of([4.0, 1.0, 2.0, 3.0]) == Spread(2.5, 1.0, 4.0, 4)


def test_a_spread_without_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])


def test_a_spread_reads_as_median_and_range() -> None:
    assert Spread(1640.4, 1602.0, 1829.0, 3).text(0) == "1,640 [1,602-1,829]"


def test_a_single_round_shows_no_range() -> None:
    assert Spread.of([0.5]).text(2) == "0.50"


@pytest.mark.parametrize(
    ("percent", "value"),
    [(5, 15), (30, 20), (40, 20), (50, 35), (100, 50), (0.001, 15), (20, 15), (20.001, 20)],
)
def test_the_nearest_rank_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile([50, 15, 40, 20, 35], percent) == value


def test_the_99th_of_a_hundred_values_leaves_out_one() -> None:
    assert percentile(list(range(1, 101)), 99) == 99


def test_no_values_have_no_percentile() -> None:
    assert math.isnan(percentile([], 50))


@pytest.mark.parametrize("percent", [0, -1, 100.5, math.nan])
def test_a_percentile_outside_its_range_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile([1.0], percent)


@given(st.lists(FINITE, min_size=1), st.floats(min_value=0.01, max_value=100))
def test_at_least_that_share_does_not_exceed_a_percentile_and_less_lies_below_it(
    values: list[float], percent: float
) -> None:
    found = percentile(values, percent)
    assert sum(value <= found for value in values) >= percent / 100 * len(values)
    assert sum(value < found for value in values) < percent / 100 * len(values)


def test_latencies_are_given_in_seconds_and_told_in_milliseconds() -> None:
    assert Latency.of([0.001, 0.002, 0.100]) == Latency(2.0, 100.0)
