"""The circuit breaker by itself: the test tells it the time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from push_service.delivery.breaker import FAILURES, PAUSES, PROBE_SECONDS, Breaker


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker = breaker.called(at).failed(at, called_at=at)
    return breaker


def test_it_opens_after_several_failures_in_a_row_and_one_answer_in_between_counts_for_all() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker = breaker.failed(1.0, called_at=0.0)
    assert not breaker.open
    assert breaker.succeeded().failed(1.0, called_at=0.0).wait(1.0) == 0
    breaker = breaker.failed(1.0, called_at=0.0)
    assert breaker.open
    assert breaker.wait(1.0) == PAUSES[0]


def test_after_the_pause_one_probe_goes_and_the_others_wait_for_what_it_brings() -> None:
    at = PAUSES[0]
    breaker = opened()
    assert breaker.wait(at) == 0
    probing = breaker.called(at)
    assert probing.wait(at) == PROBE_SECONDS
    assert probing.succeeded() == Breaker()
    assert probing.failed(at + 3, called_at=at).wait(at + 3) == PAUSES[1]


def test_a_probe_that_never_comes_back_is_forgotten() -> None:
    at = PAUSES[0]
    probing = opened().called(at)
    assert probing.wait(at + PROBE_SECONDS) == 0


def test_the_pauses_grow_to_a_bound() -> None:
    breaker, at, seen = opened(), 0.0, []
    for _ in range(len(PAUSES) + 2):
        pause = breaker.wait(at)
        seen.append(round(pause, 6))
        at += pause
        breaker = breaker.called(at).failed(at, called_at=at)
    assert seen == [*PAUSES, PAUSES[-1], PAUSES[-1]]


def test_calls_that_were_under_way_when_it_opened_make_nothing_longer() -> None:
    breaker = opened(at=1.0)
    for n in range(100):
        breaker = breaker.failed(1.0 + n / 100, called_at=0.5)
    assert breaker == opened(at=1.0)


@given(st.lists(st.tuples(st.sampled_from(["call", "fail", "answer"]), st.floats(0, 40)), max_size=60))
def test_whatever_happens_a_call_is_let_through_within_the_longest_pause(events: list[tuple[str, float]]) -> None:
    breaker, at, called = Breaker(), 0.0, 0.0
    for event, passes in events:
        at += passes
        match event:
            case "call" if breaker.wait(at) == 0:
                breaker, called = breaker.called(at), at
            case "fail":
                breaker = breaker.failed(at, called_at=called)
            case "answer":
                breaker = breaker.succeeded()
            case _:
                pass
        assert 0 <= breaker.wait(at) <= max(PAUSES)
        assert breaker.wait(at + max(PAUSES)) == 0
