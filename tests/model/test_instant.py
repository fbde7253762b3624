"""Points in time, and how they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from push_service.model.instant import MICROSECONDS, Instant, after, rfc3339, seconds_between, unix

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(min_value=0, max_value=4_102_444_800 * MICROSECONDS).map(Instant)


@given(INSTANTS)
def test_the_wire_form_is_utc_cut_to_milliseconds(instant: Instant) -> None:
    exact = EPOCH + timedelta(microseconds=instant)
    assert rfc3339(instant) == exact.strftime("%Y-%m-%dT%H:%M:%S.") + f"{exact.microsecond // 1000:03d}Z"


@given(INSTANTS, st.integers(min_value=-(10**6), max_value=10**6))
def test_going_and_measuring_agree(instant: Instant, seconds: int) -> None:
    assert seconds_between(instant, after(instant, seconds)) == seconds


def test_parts_of_a_second_count_and_whole_ones_are_rounded_down() -> None:
    assert after(Instant(0), 1.5) == 1_500_000
    assert unix(Instant(1_999_999)) == 1
