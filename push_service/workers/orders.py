"""When this process is to be left alone by new work, and when it is to end.

Alone, the first SIGTERM or SIGINT gives both, `drain_seconds` apart, so that a proxy notices in between. A worker hears
the first from its supervisor, when the whole machine ends: while its siblings accept from the same socket, nobody else
need know that one of them goes. A second signal ends the process hard, which loses nothing that was acknowledged.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from push_service.config import Endpoint
from push_service.workers import notify
from push_service.workers.seat import READY, Seat


class Orders:
    """What was ordered so far, and how to say that everything is ready."""

    def __init__(self, ready: Callable[[], None]) -> None:
        """Nothing yet."""
        self.ready = ready
        self.leave = asyncio.Event()
        """Not ready any more, for whoever asks; everything else goes on."""
        self.end = asyncio.Event()
        """Accept nothing new, finish what is begun, and end."""

    def end_now(self) -> None:
        """Both at once."""
        self.leave.set()
        self.end.set()


@contextmanager
def orders_alone(address: Endpoint, drain_seconds: float) -> Iterator[Orders]:
    """The orders of a process that serves alone at that address."""
    orders = Orders(ready=lambda: announce(address))
    loop = asyncio.get_running_loop()

    def first() -> None:
        notify.stopping()
        orders.leave.set()
        if drain_seconds:
            loop.call_later(drain_seconds, orders.end.set)
        else:
            orders.end.set()

    _on_signals(first)
    yield orders


@contextmanager
def orders_at(seat: Seat) -> Iterator[Orders]:
    """The orders of a worker. Without its supervisor it ends."""
    loop = asyncio.get_running_loop()
    with seat.open_line() as line:
        orders = Orders(ready=lambda: line.sendall(READY))
        _on_signals(orders.end_now)
        loop.add_reader(line, _hear, line, orders)
        try:
            yield orders
        finally:
            loop.remove_reader(line)


def announce(address: Endpoint) -> None:
    """Say that the service is ready: to whoever reads standard output, and to systemd."""
    print(f"push-service listening on http://{address}", flush=True)  # noqa: T201 - the promised line
    notify.ready()


def _hear(line: socket.socket, orders: Orders) -> None:
    try:
        said = line.recv(64)
    except ConnectionError:
        said = b""
    if said:
        orders.leave.set()
    else:
        asyncio.get_running_loop().remove_reader(line)
        orders.end_now()


def _on_signals(first: Callable[[], None]) -> None:
    seen = False

    def stop(number: int) -> None:
        nonlocal seen
        if seen:
            sys.exit(128 + number)
        seen = True
        first()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
