"""Where a request comes from: the peer, unless that is a listed proxy; nobody talks themselves elsewhere (S-62)."""

from __future__ import annotations

import ipaddress
from unittest import mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from push_service.frontends.http import client_address
from push_service.model.network import Networks

pytestmark = pytest.mark.security("S-62")

PROXIES: Networks = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "2001:db8:ffff::/48")))
PEER = "198.51.100.7"
PROXY = "10.0.0.1"


def request(peer: str | None, *headers: tuple[str, str]) -> web.Request:
    transport = mock.Mock()
    transport.get_extra_info.side_effect = {"peername": (peer, 40000) if peer else None}.get
    return make_mocked_request("GET", "/v1/sign-ins", headers=CIMultiDict(headers), transport=transport)


def address(peer: str | None, *forwarded: str, proxies: Networks = PROXIES) -> str | None:
    return client_address(request(peer, *(("X-Forwarded-For", each) for each in forwarded)), proxies)


@pytest.mark.parametrize("proxies", [(), PROXIES])
@pytest.mark.parametrize(
    "header",
    [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-For", "10.0.0.9"),
        ("Forwarded", "for=192.0.2.1"),
        ("X-Real-IP", "192.0.2.1"),
        ("X-Client-IP", "192.0.2.1"),
        ("True-Client-IP", "192.0.2.1"),
        ("CF-Connecting-IP", "192.0.2.1"),
        ("X-Forwarded-Host", "192.0.2.1"),
    ],
)
def test_a_stranger_is_where_they_are_whatever_they_say(header: tuple[str, str], proxies: Networks) -> None:
    assert client_address(request(PEER, header), proxies) == PEER


@pytest.mark.parametrize("name", ["Forwarded", "X-Real-IP", "X-Client-IP", "CF-Connecting-IP"])
def test_of_a_proxys_headers_one_is_read(name: str) -> None:
    assert client_address(request(PROXY, (name, "192.0.2.1")), PROXIES) == PROXY


def test_without_listed_proxies_nobody_is_one() -> None:
    assert address(PROXY, "192.0.2.1", proxies=()) == PROXY


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        (("192.0.2.1",), "192.0.2.1"),
        (("203.0.113.5, 192.0.2.1",), "192.0.2.1"),
        (("203.0.113.5,192.0.2.1, 10.1.1.1",), "192.0.2.1"),
        (("203.0.113.5", "192.0.2.1"), "192.0.2.1"),
        (("192.0.2.1", "10.1.1.1", "10.2.2.2"), "192.0.2.1"),
        (("10.3.3.3, 10.1.1.1",), "10.3.3.3"),
        (("2001:db8::1",), "2001:db8::1"),
        (("2001:0DB8:0:0::0001",), "2001:db8::1"),
        (("192.0.2.1, 2001:db8:ffff::5",), "192.0.2.1"),
        (("::ffff:192.0.2.1",), "192.0.2.1"),
        (("192.0.2.1, ::ffff:10.1.1.1",), "192.0.2.1"),
    ],
)
def test_behind_proxies_it_is_the_right_most_hop_that_is_none(forwarded: tuple[str, ...], found: str) -> None:
    assert address(PROXY, *forwarded) == found


GARBAGE = (
    "",
    "unknown",
    "_hidden",
    "localhost",
    "192.0.2.1:4711",
    "[2001:db8::1]:80",
    "192.0.2.256",
    "192.0.2",
    "192.0.2.1/32",
    "010.1.1.1",
    "0300.0.2.1",
    "3221225985",
    "0xC0000201",
    "for=192.0.2.1",
    "'; DROP TABLE",
    "１９２.0.2.1",  # noqa: RUF001 - the look-alike is the point
)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_is_no_address_ends_the_search_at_the_last_that_was_one(garbage: str) -> None:
    """Never further left: that part was written by whoever came first."""
    assert address(PROXY, f"192.0.2.1, {garbage}") == PROXY
    assert address(PROXY, f"192.0.2.1, {garbage}, 10.1.1.1") == "10.1.1.1"


def test_a_peer_on_a_socket_of_both_families_is_read_as_what_it_is() -> None:
    assert address(f"::ffff:{PEER}") == PEER
    assert address(f"::ffff:{PEER}", proxies=()) == PEER
    assert address(f"::ffff:{PROXY}", "192.0.2.1") == "192.0.2.1"


def test_a_peer_without_an_address_has_none() -> None:
    assert address(None) is None
    assert address(None, proxies=()) is None


def test_thousands_of_hops_are_walked_and_no_more() -> None:
    assert address(PROXY, ", ".join(["192.0.2.1", *["10.0.0.1"] * 1000])) == "192.0.2.1"
