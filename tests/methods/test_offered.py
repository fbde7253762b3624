"""Which methods there are, with a telephony provider and without."""

from __future__ import annotations

from push_service.methods import ALL, offered
from push_service.model.challenge import CALLS, MethodKind


def test_texts_and_calls_are_offered_where_somebody_carries_them() -> None:
    assert offered(telephony=True) == ALL
    assert ALL.keys() == {*MethodKind}
    assert ALL.keys() - offered(telephony=False).keys() == {MethodKind.TEXT_MOBILE, *CALLS}
