"""A phone as a person gives it: which number and method it becomes."""

from __future__ import annotations

import msgspec
import pytest

from push_service.model.challenge import MethodKind
from push_service.model.errors import InvalidRequest
from push_service.model.message import Via
from push_service.model.new_phone import NewPhone
from push_service.model.policy import Policy
from push_service.model.user import PhoneKind
from tests.support.scene import Scene

MOBILE, OFFICE = PhoneKind.MOBILE, PhoneKind.OFFICE
ALICE = msgspec.structs.replace(Scene().user, mobile="+491701234589", office="+4930123456;ext=12")


@pytest.mark.parametrize(
    ("phone", "number", "method"),
    [
        (NewPhone(kind=MOBILE, number="+49 170 1234589"), "+491701234589", MethodKind.TEXT_MOBILE),
        (NewPhone(kind=MOBILE, number="+491701234589", by=Via.CALL), "+491701234589", MethodKind.CALL_MOBILE),
        (NewPhone(kind=OFFICE, number="+4930123456", extension="7"), "+4930123456;ext=7", MethodKind.CALL_OFFICE),
        (NewPhone(kind=OFFICE, number="+4930123456", by=Via.CALL), "+4930123456", MethodKind.CALL_OFFICE),
        (NewPhone(kind=MOBILE, by=Via.TEXT), "+491701234589", MethodKind.TEXT_MOBILE),
        (NewPhone(kind=OFFICE), "+4930123456;ext=12", MethodKind.CALL_OFFICE),
    ],
)
def test_a_phone_becomes_a_number_and_a_method(phone: NewPhone, number: str, method: MethodKind) -> None:
    assert (phone.number_for(ALICE, Policy()), phone.method) == (number, method)


@pytest.mark.security("S-19")
@pytest.mark.parametrize(
    ("phone", "why"),
    [
        (NewPhone(kind=MOBILE, number="+19005550123"), "costs extra"),
        (NewPhone(kind=MOBILE, number="+4930123456"), "no texts"),
        (NewPhone(kind=MOBILE, number="+4930123456", by=Via.CALL), "no texts"),
        (NewPhone(kind=MOBILE, number="+491701234589", extension="1"), "no extension"),
        (NewPhone(kind=OFFICE, number="+4930123456", extension="1,2"), "1 to 10 digits"),
        (NewPhone(kind=OFFICE, extension="1"), "needs a number"),
        (NewPhone(kind=OFFICE, number="+12025550123"), "country"),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_reason(phone: NewPhone, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        phone.number_for(ALICE, Policy(phone_countries=("DE",)))


def test_an_office_takes_no_texts() -> None:
    with pytest.raises(InvalidRequest, match="takes no texts"):
        _ = NewPhone(kind=OFFICE, number="+4930123456", by=Via.TEXT).method


@pytest.mark.parametrize("kind", PhoneKind)
def test_where_no_number_is_known_one_must_be_given(kind: PhoneKind) -> None:
    with pytest.raises(InvalidRequest, match="give one"):
        NewPhone(kind=kind).number_for(Scene().user, Policy())


def test_a_number_that_the_operator_knows_is_held_to_the_policy_as_well() -> None:
    with pytest.raises(InvalidRequest, match="country"):
        NewPhone(kind=MOBILE).number_for(ALICE, Policy(phone_countries=("CH",)))
