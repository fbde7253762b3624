"""So many at once, so many waiting, the rest sent away; and how long a wake waits to be tried again."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_service.delivery.gate import Full, Gate
from push_service.delivery.retries import pause_before
from push_service.ports import WakeOutcome, WakeReport


async def test_so_many_are_let_in_so_many_wait_and_the_next_is_sent_away_at_once() -> None:
    gate, inside, most = Gate(2, 3), 0, 0
    leave = asyncio.Event()

    async def come() -> str:
        nonlocal inside, most
        try:
            async with gate.turn():
                inside += 1
                most = max(most, inside)
                await leave.wait()
                inside -= 1
        except Full:
            return "away"
        return "in"

    coming = [asyncio.create_task(come()) for _ in range(8)]
    await asyncio.sleep(0)
    assert [task.result() for task in coming if task.done()] == ["away"] * 3
    assert gate.room == 0
    coming[4].cancel()  # one that waited gives up, and its place is free
    await asyncio.wait({coming[4]})
    assert gate.room == 1
    leave.set()
    async with asyncio.timeout(10):
        assert [await task for task in coming if not task.cancelled()] == ["in"] * 4 + ["away"] * 3
    assert (most, gate.room) == (2, 5)


@given(
    st.sampled_from([None, 0.0, 1.0, 60.0]),
    st.integers(0, 50),
    st.floats(0, 120),
    st.integers(),
    st.sampled_from([WakeOutcome.RETRY, WakeOutcome.UNAVAILABLE]),
)
def test_a_pause_is_as_long_as_was_asked_for_and_never_longer_than_there_is_time(
    retry_after: float | None, attempts: int, left: float, seed: int, outcome: WakeOutcome
) -> None:
    pause = pause_before(WakeReport(outcome, "x", retry_after), attempts, left, random.Random(seed))  # noqa: S311
    if pause is None:
        assert left < (retry_after or 0.0) + 16
    else:
        assert (retry_after or 0.0) <= pause < left
        assert pause > 0


@pytest.mark.parametrize("outcome", [WakeOutcome.SENT, WakeOutcome.DEAD_TOKEN, WakeOutcome.REFUSED])
def test_what_is_final_is_not_tried_again(outcome: WakeOutcome) -> None:
    assert pause_before(WakeReport(outcome, "x"), 0, 120, random.Random(1)) is None  # noqa: S311
