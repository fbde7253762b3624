"""What a server process holds at a moment: its own gauges, its descriptors and its memory as the system counts them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.wire import HttpConnection, request
from tests.soak.browsers import address_of
from tests.support.service import Service


@dataclass(frozen=True)
class Held:
    """Listeners on the bell, device sockets, open descriptors, anonymous memory in bytes."""

    listeners: int
    sockets: int
    descriptors: int
    memory: int


async def held(service: Service) -> Held:
    """What the server holds now. The connection that asks is gone again when this returns."""
    address = address_of(service)
    http = await HttpConnection.open(address)
    try:
        answer = await http.send(request("GET", "/metrics", address, {}))
    finally:
        http.close()
    values = {}
    for line in answer.body.decode().splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("push_service_") and "{" not in name:
            values[name] = float(value)
    descriptors = len(list((Path("/proc") / str(service.pid) / "fd").iterdir()))
    return Held(
        listeners=int(values["push_service_listeners"]),
        sockets=int(values["push_service_device_sockets"]),
        descriptors=descriptors,
        memory=_own_memory(service.pid),
    )


async def until(
    service: Service, fits: Callable[[Held], bool], within: float, every: float = 0.1
) -> tuple[Held, float]:
    """Look until it fits, or the time is over; what was held last, and after how many seconds."""
    began = time.monotonic()
    while True:
        now = await held(service)
        taken = time.monotonic() - began
        if fits(now) or taken > within:
            return now, taken
        await asyncio.sleep(every)


async def eventually(fits: Callable[[], Awaitable[bool]], within: float) -> bool:
    """Ask until it is so, or the time is over; whether it is."""
    deadline = time.monotonic() + within
    while True:
        if await fits():
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)


def _own_memory(pid: int) -> int:
    """Anonymous memory, in bytes: pages of the database file that the process has mapped are the system's."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "RssAnon":
            return int(value.split()[0]) * 1024
    raise AssertionError("the system says nothing of anonymous memory")
