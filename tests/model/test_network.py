"""Addresses and networks in the one form in which they are compared."""

from __future__ import annotations

import ipaddress

import pytest

from push_service.model.network import address_of, network_of, within, without

pytestmark = pytest.mark.security("S-62")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:0201", "192.0.2.1"),
        ("0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"),
        ("2001:0DB8::0001", "2001:db8::1"),
        ("::192.0.2.1", "::c000:201"),
    ],
)
def test_an_address_has_one_form(text: str, address: str) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "unknown", "192.0.2.1:80", "[::1]", "010.0.0.1", "10.0.0.01", "3232235777", "0xC0A80101", "10.1", "1０.0.0.1"],  # noqa: RUF001
)
def test_whatever_else_is_written_is_no_address(text: str) -> None:
    assert address_of(text) is None
    assert not within(text, (network_of("0.0.0.0/1"), network_of("128.0.0.0/1"), network_of("::/1")))


def test_an_address_is_in_a_network_of_its_own_family() -> None:
    office = (network_of("192.0.2.0/24"), network_of("2001:db8::/32"))
    assert within("192.0.2.255", office)
    assert within("2001:db8::7", office)
    assert not within("192.0.3.0", office)
    assert not within("::192.0.2.1", office)
    assert not within(None, office)
    assert not within("192.0.2.1", ())


@pytest.mark.parametrize("text", ["::ffff:10.0.0.0/104", "::ffff:192.0.2.1/128", "::ffff:0:0/96"])
def test_a_network_that_no_address_in_its_one_form_is_in_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is IPv4: write it so"):
        network_of(text)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "example.org", "", "10.0.0.0-10.0.0.9"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        network_of(text)


def test_a_network_without_another_is_what_is_outside_of_it() -> None:
    ten, six = network_of("10.0.0.0/30"), network_of("2001:db8::/127")
    assert without((ten, six), ()) == (ten, six)
    assert without((ten,), (network_of("10.0.0.0/8"),)) == ()
    assert without((six,), (six,)) == ()
    assert without((ten, six), (network_of("192.0.2.0/24"), network_of("2001:db9::/32"))) == (ten, six)
    left = without((ten, six), (network_of("10.0.0.1"), network_of("2001:db8::1")))
    assert {str(each) for network in left for each in network} == {"10.0.0.0", "10.0.0.2", "10.0.0.3", "2001:db8::"}
    assert not within("10.0.0.1", left)
    assert isinstance(left[0], ipaddress.IPv4Network)
