"""Where and how a phone runs: by socket or by polling, under which address, with whose connections and which clock.

Given to `Phone.activate` and `Phone.load`; the defaults are those of an ordinary phone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

import aiohttp

from mobile_stub.backoff import Backoff
from mobile_stub.clock import PhoneClock

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from mobile_stub.firebase import Firebase


class Reach(Enum):
    """How a phone hears of challenges once it is open."""

    SOCKET = auto()
    """It keeps a socket."""
    POLL = auto()
    """It has no socket until `connect` is called, and asks by `poll`."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The surroundings of a phone.

    `address` is where the service is reached if that isn't PUBLIC_URL (one of several processes, say); proofs name
    PUBLIC_URL all the same. A `session` may be shared by many phones and stays open after them; without one the phone
    makes its own. With a `firebase` it gets its push token there and is woken by it; `push_token` is a made-up one.
    """

    reach: Reach = Reach.SOCKET
    address: str | None = None
    session: aiohttp.ClientSession | None = None
    tls: ssl.SSLContext | None = None
    clock: type[PhoneClock] = PhoneClock
    backoff: Callable[[], Backoff] = field(default=Backoff)
    push_token: str | None = None
    firebase: Firebase | None = None


ORDINARY = Setup()


def new_session(setup: Setup) -> aiohttp.ClientSession:
    """A session without a limit on connections: long polls hold theirs."""
    connector = aiohttp.TCPConnector(limit=0) if setup.tls is None else aiohttp.TCPConnector(limit=0, ssl=setup.tls)
    return aiohttp.ClientSession(connector=connector)
