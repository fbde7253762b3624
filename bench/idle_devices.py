"""`idle-devices`: what a connected phone that has nothing to do costs in memory, service beside prototype.

A fresh server each time; some phones come and go first, so that what a server loads once is not counted as theirs. Then
memory before and after so many phones have connected, proved their key and been told that they are ready.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from bench import processes
from bench.contestants import PROTOTYPE, SERVICE, prototype, registered
from bench.driver import CONNECTING_AT_ONCE
from bench.exchange import Phone
from bench.figures import Spread
from bench.machine import allow_open_files, cores, pinned
from bench.people import People
from bench.results import Options, Table
from bench.service_phone import ServicePhone

DEVICES = (1_000, 5_000)
ROUNDS = 2

WARM_UP = 50
"""Phones that connect and leave before memory is first read."""

SETTLE = 3.0
"""Seconds that a server gets to put away what connecting took."""


@dataclass(frozen=True)
class Idle:
    """One server with that many idle phones; bytes and seconds for each of them."""

    contestant: str
    devices: int
    rss_each: float
    pss_each: float
    connect_cpu_seconds_each: float


@dataclass(frozen=True)
class IdleResult:
    """Every measurement."""

    measured: Sequence[Idle]

    def tables(self) -> Sequence[Table]:
        """One table."""
        columns = ("", "phones", "RSS KiB each", "PSS KiB each", "CPU ms to connect")
        rows = []
        for name, devices in dict.fromkeys((idle.contestant, idle.devices) for idle in self.measured):
            taken = [idle for idle in self.measured if (idle.contestant, idle.devices) == (name, devices)]
            rows.append(
                (
                    name,
                    f"{devices:,}",
                    Spread.of(idle.rss_each / 1024 for idle in taken).text(),
                    Spread.of(idle.pss_each / 1024 for idle in taken).text(),
                    Spread.of(idle.connect_cpu_seconds_each * 1e3 for idle in taken).text(2),
                )
            )
        return [Table("Memory of idle connected phones", columns, rows)]


def run(options: Options, console: Console) -> IdleResult:
    """Measure. Raises `StartError` if a server does not start, `LimitError` if too few files may be open."""
    sizes, settle = options.devices or DEVICES, options.seconds_or(SETTLE)
    most = max(sizes)
    allow_open_files(most + WARM_UP + 500)
    measured: list[Idle] = []
    with processes.data_directory() as directory:
        data = directory / "data"
        people = None if options.prototype_only else registered(most, data, console)
        for _ in range(options.rounds_or(ROUNDS)):
            for devices in sizes:
                with console.status(f"{devices:,} phones on the {PROTOTYPE}"):
                    measured.append(_prototype(devices, settle))
                if people is not None:
                    with console.status(f"{devices:,} phones on the {SERVICE}"):
                        measured.append(_service(data, people, devices, settle))
    return IdleResult(measured)


def _prototype(devices: int, settle: float) -> Idle:
    with prototype(devices) as contestant, pinned(cores().load):
        return uvloop.run(
            _measure(PROTOTYPE, contestant.server, lambda number: contestant.pair(number).phone, devices, settle)
        )


def _service(data: Path, people: People, devices: int, settle: float) -> Idle:
    with processes.service(data, cores().server) as server, pinned(cores().load):
        persons = people.persons
        return uvloop.run(
            _measure(SERVICE, server, lambda number: ServicePhone(server.address, persons[number]), devices, settle)
        )


async def _measure(
    name: str, server: processes.Server, phone: Callable[[int], Phone], devices: int, settle: float
) -> Idle:
    warm = [phone(number) for number in range(min(WARM_UP, devices))]
    await _connect(warm)
    for visitor in warm:
        visitor.close()
    await asyncio.sleep(settle)
    memory, cpu = server.memory(), server.cpu_seconds()
    phones = [phone(number) for number in range(devices)]
    await _connect(phones)
    spent = server.cpu_seconds() - cpu
    await asyncio.sleep(settle)
    after = server.memory()
    for idle in phones:
        idle.close()
    return Idle(name, devices, (after.rss - memory.rss) / devices, (after.pss - memory.pss) / devices, spent / devices)


async def _connect(phones: Sequence[Phone]) -> None:
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def one(phone: Phone) -> None:
        async with gate:
            await phone.connect()

    async with asyncio.TaskGroup() as group:
        for phone in phones:
            group.create_task(one(phone))
