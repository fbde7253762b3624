"""Waiting before the next connection: never longer than the bound, growing, spread evenly."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mobile_stub.backoff import Backoff


class Longest(random.Random):
    """Dice that always show the upper bound."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - random.Random's own names
        return b


@given(tries=st.integers(0, 100_000), seed=st.integers())
def test_every_wait_lies_between_zero_and_the_bound_of_its_try(tries: int, seed: int) -> None:
    backoff = Backoff(base=0.25, cap=20.0, draw=random.Random(seed), tries=tries)  # noqa: S311 - dice for jitter
    bound = min(20.0, 0.25 * 2 ** min(tries, 10))
    assert 0.0 <= backoff.next() <= bound
    assert backoff.tries == tries + 1


def test_the_bound_doubles_until_the_cap() -> None:
    backoff = Backoff(base=0.25, cap=3.0, draw=Longest())
    assert [backoff.next() for _ in range(6)] == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0]


def test_what_the_service_asks_for_comes_on_top_of_the_jitter() -> None:
    assert Backoff(base=0.25, draw=Longest()).next(at_least=7.0) == 7.25


def test_a_polite_restart_and_a_steady_connection_begin_the_growth_anew() -> None:
    backoff = Backoff(base=0.25, restart_spread=1.0, draw=Longest(), tries=5)
    assert backoff.after_restart() == 1.0
    assert backoff.next() == 0.25
    backoff.succeeded()
    assert backoff.next() == 0.25


def test_a_thousand_phones_spread_over_the_whole_bound() -> None:
    dice = random.Random(7)  # noqa: S311 - dice for jitter
    waits = [Backoff(base=1.0, draw=dice).next() for _ in range(1000)]
    quarters = [sum(quarter / 4 <= wait < (quarter + 1) / 4 for wait in waits) for quarter in range(4)]
    assert min(quarters) > 200
