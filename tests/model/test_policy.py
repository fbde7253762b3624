"""Rates as an operator writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_service.model.instant import MICROSECONDS
from push_service.model.policy import Policy, Rate

WRITTEN = st.builds(
    "{}/{}{}".format,
    st.integers(min_value=1, max_value=999_999_999),
    st.integers(min_value=1, max_value=999_999),
    st.sampled_from("smhd"),
)


@given(WRITTEN)
def test_what_is_written_is_read_again(text: str) -> None:
    rate = Rate.parse(text)
    assert Rate.parse(str(rate)) == rate
    assert Rate.parse(f" {text}\n") == rate


@pytest.mark.parametrize(
    ("text", "rate", "shown"),
    [
        ("30/5m", Rate(30, 300), "30/5m"),
        ("5/60s", Rate(5, 60), "5/1m"),
        ("10/24h", Rate(10, 86400), "10/1d"),
        ("1/90s", Rate(1, 90), "1/90s"),
    ],
)
def test_units_are_seconds_minutes_hours_and_days(text: str, rate: Rate, shown: str) -> None:
    assert Rate.parse(text) == rate
    assert str(rate) == shown


@pytest.mark.parametrize("text", ["", "30", "30/", "/5m", "0/5m", "30/0m", "30/5", "30/5w", "-1/5m", "1.5/5m", "٣/5m"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        Rate.parse(text)


@given(WRITTEN.map(Rate.parse))
def test_an_interval_is_never_too_short_for_its_rate(rate: Rate) -> None:
    assert rate.interval * rate.count >= rate.seconds * MICROSECONDS
    assert (rate.interval - 1) * rate.count < rate.seconds * MICROSECONDS


def test_the_defaults_are_those_of_the_interface() -> None:
    policy = Policy()
    shown = [str(rate) for rate in (policy.begins_per_person, policy.begins_per_address, *policy.prompts_unanswered)]
    assert shown == ["30/5m", "300/1m", "5/5m", "10/1d"]
    assert (str(policy.wrong_passwords), str(policy.wrong_numbers)) == ("10/15m", "5/1d")
    assert (policy.sign_in_seconds, policy.registration_seconds, policy.pending_per_person) == (120, 600, 3)
