"""When a refused push token is a lost phone, and when it is a mistake in the settings; the test tells the time."""

from __future__ import annotations

import pytest

from push_service.delivery.losses import HOLD_SECONDS, MANY, WINDOW_SECONDS, Losses, Suspect
from push_service.model.ids import DeviceId, UserId


def suspect(n: int) -> Suspect:
    return Suspect(DeviceId(f"dev_{n}"), UserId(f"usr_{n}"), f"token {n}", "unregistered")


def refused(losses: Losses, count: int, at: float = 0.0) -> list[Suspect]:
    suspects = [suspect(n) for n in range(count)]
    for each in suspects:
        losses.lost(at, each)
    return suspects


def test_one_token_is_retired_after_a_moment_once() -> None:
    losses = Losses()
    suspects = refused(losses, 1)
    assert losses.ripe(HOLD_SECONDS - 0.1) == []
    assert losses.ripe(HOLD_SECONDS) == suspects
    assert losses.ripe(HOLD_SECONDS + 100) == []


@pytest.mark.reliability("R-11")
def test_many_at_once_are_an_alarm_and_none_of_them_is_retired_then_or_later() -> None:
    losses = Losses()
    refused(losses, MANY)
    assert losses.alarming(0)
    assert losses.ripe(HOLD_SECONDS) == []
    assert not losses.alarming(WINDOW_SECONDS)
    assert losses.ripe(WINDOW_SECONDS) == []


def test_as_many_among_more_that_are_good_are_lost_phones() -> None:
    losses = Losses()
    for n in range(MANY):
        losses.sent(n)
    suspects = refused(losses, MANY)
    assert not losses.alarming(10)
    assert losses.ripe(10) == suspects
    refused(losses, 1, at=11)
    assert losses.alarming(11)  # more than half of all


def test_what_was_long_ago_does_not_count() -> None:
    losses = Losses()
    for n in range(1000):
        losses.sent(n / 10)
    refused(losses, MANY, at=WINDOW_SECONDS + 50)
    assert not losses.alarming(WINDOW_SECONDS + 50)
    assert losses.alarming(WINDOW_SECONDS + 110)


def test_fewer_than_many_are_never_an_alarm_and_it_ends_by_itself() -> None:
    losses = Losses()
    refused(losses, MANY - 1)
    assert not losses.alarming(1)
    refused(losses, 1, at=2)
    assert losses.alarming(3)
    assert not losses.alarming(WINDOW_SECONDS + 20)
