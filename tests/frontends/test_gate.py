"""At the gate begins are counted while they last, and turned away one by one when they are too many."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from push_service.frontends.gate import Gate
from push_service.model.admission import LONGEST_QUEUE
from push_service.model.errors import Busy


def full(gate: Gate) -> ExitStack:
    """As many begins as there may be."""
    stack = ExitStack()
    while gate.under_way < gate.bound:
        stack.enter_context(gate.entered())
    return stack


def test_beyond_the_bound_a_begin_is_told_when_to_come_again_and_counted() -> None:
    shed: list[None] = []
    gate = Gate(lambda: shed.append(None))
    with full(gate):
        with pytest.raises(Busy) as refused, gate.entered():
            raise AssertionError("let in")
        assert refused.value.retry_after
        assert len(shed) == 1
    assert gate.under_way == 0
    with gate.entered():
        assert gate.under_way == 1


def test_a_begin_that_fails_makes_room_like_any_other() -> None:
    gate = Gate()
    with pytest.raises(ValueError, match="defect"), gate.entered():
        raise ValueError("defect")
    assert gate.under_way == 0


def test_with_the_store_s_queue_long_nothing_is_begun_until_it_is_short_again() -> None:
    gate = Gate()
    gate.measured(0.0, LONGEST_QUEUE)
    with pytest.raises(Busy), gate.entered():
        raise AssertionError("let in")
    gate.measured(0.0, 0)
    with gate.entered():
        assert gate.under_way == 1


def test_those_whose_password_is_checked_take_nobody_s_place() -> None:
    checking = 0
    gate = Gate(checking=lambda: checking)
    with full(gate):
        checking = 1
        with gate.entered():
            assert gate.under_way == gate.bound
