"""Addresses and networks, in the one form in which they are compared.

An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`, RFC 4291, 2.5.5.2) is that IPv4 address, wherever it comes from:
else a limit or a network could be walked around by spelling (S-62). Used for limits by address, trusted proxies and
trusted networks.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeVar

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = tuple[Network, ...]
_N = TypeVar("_N", ipaddress.IPv4Network, ipaddress.IPv6Network)

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def address_of(text: str) -> str | None:
    """The address that a text is, in its one form; None for everything else.

    Else is: ports, names, zero-padded, decimal and hexadecimal forms, digits of other scripts.
    """
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def network_of(text: str) -> Network:
    """Read a network in CIDR form. Raises ValueError, also for one that no address in its one form is in."""
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        msg = f"{text} is IPv4: write it so"
        raise ValueError(msg)
    return network


def within(address: str | None, networks: Networks) -> bool:
    """Whether an address in its one form is in one of the networks; what is no address is nowhere."""
    if address is None or not networks:
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def without(networks: Networks, taken: Networks) -> Networks:
    """What is left of the networks outside of the others."""
    left: list[Network] = list(networks)
    for each in taken:
        left = [part for network in left for part in _parts_outside(network, each)]
    return tuple(left)


def _parts_outside(network: Network, other: Network) -> Iterable[Network]:
    if isinstance(network, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return _outside(network, other)
    if isinstance(network, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return _outside(network, other)
    return (network,)


def _outside(network: _N, other: _N) -> Iterable[_N]:
    if network.subnet_of(other):
        return ()
    return network.address_exclude(other) if other.subnet_of(network) else (network,)
