"""Clients that go away, by every way there is, leave nothing behind.

R-08, R-13: after polls, event streams and device sockets were ended by FIN, by RST, by kill, or froze with their
process, the server's listeners, sockets and descriptors are back where they were. Memory can't be: the first visit
shows the allocator how much is needed, a closed socket's objects stay until its heartbeat timer fires, and a cycle
waits for its collection. So memory is looked at when the timers have fired, and what must not be is a slope from the
second visit on. What froze is found out by the heartbeat, and by deadlines. Both take long: only the whole story does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.machine import allow_open_files
from bench.results import Table
from tests.soak.browsers import Begun, Caller, address_of, begin
from tests.soak.crowd import Owner, enrol
from tests.soak.gauges import Held, held, until
from tests.soak.story import WIDE_OPEN, Report, Say, at_most
from tests.soak.visitor import Phone, Visit, Watched
from tests.support.browser import App
from tests.support.people import office
from tests.support.service import Service

WAYS = ("fin", "reset", "kill")
FROZEN = "freeze"
OPEN_SECONDS = 120.0
GONE_SECONDS = 30.0
THAWED_SECONDS = 240.0
"""A frozen client's socket misses its heartbeat; its poll and its stream end with the sign-in, its connection with the
keep-alive time."""
RESTING_SECONDS = 36.0
"""Longer than a heartbeat: then the timers of closed sockets have fired and let go of them."""
GROWTH_SHARE = 0.5
GROWTH_BYTES = 4 * 2**20
"""How much more memory the last visit may leave than the second: this share of what a visit takes while it stands, and
in any case these bytes. Over eight visits more, a sixteenth of what each opened would be noticed."""
LIFETIME_SECONDS = 60


@dataclass(frozen=True)
class Cycle:
    """One visit: how it ended, what was held while it stood and afterwards, and how long that took.

    `memory` is what was left after the rest, in bytes.
    """

    way: str
    full: Held
    after: Held
    seconds: float
    memory: int


async def run(folder: Path, *, rounds: int, seed: int, say: Say, frozen: bool = True) -> Report:
    """`rounds` connections a visit, three visits for each way of ending them, and at last one that freezes.

    Not `frozen`: two visits for each way, without rest between them.
    """
    allow_open_files(3 * rounds + 500)
    del seed
    lasting = {"POLICY__SIGN_IN_SECONDS": str(LIFETIME_SECONDS), "POLICY__PENDING_PER_PERSON": "20"}
    service = Service(folder, **WIDE_OPEN, **lasting)
    await service.start()
    third = max(1, rounds // 3)
    cycles: list[Cycle] = []
    try:
        async with office(service) as desk:
            app = await desk.application()
            owners = await enrol(desk, address_of(service), third)
        before = await _quiet(service)
        rest = RESTING_SECONDS if frozen else 0.0
        for way in (*(WAYS * (3 if frozen else 2)), *((FROZEN,) if frozen else ())):
            cycles.append(await _visit(service, app, owners, way, before, rest))
            say(f"{way}: back to {cycles[-1].after.descriptors} descriptors after {cycles[-1].seconds:.1f} s")
        await service.stop()
    finally:
        await service.kill()
    faults = [fault for cycle in cycles for fault in _judge(cycle, before, 3 * third)]
    growth = cycles[-1].memory - cycles[1].memory
    allowed = max(GROWTH_BYTES, GROWTH_SHARE * (cycles[0].full.memory - before.memory))
    if growth > allowed:
        faults.append(
            f"memory grew by {growth / 2**20:.1f} MiB from the second visit's end to the last's;"
            f" {allowed / 2**20:.1f} are no slope"
        )
    return Report([_table(cycles, before, 3 * third)], at_most(faults))


async def _quiet(service: Service) -> Held:
    """What the server holds with nobody there."""
    now, _ = await until(service, lambda now: now.listeners <= 2 and now.sockets == 0, GONE_SECONDS)
    return now


async def _visit(service: Service, app: App, owners: Sequence[Owner], way: str, before: Held, rest: float) -> Cycle:
    caller = Caller(address_of(service))
    begun = [await begin(caller, app, owner.username) for owner in owners]
    caller.close()
    async with _visitor(service, begun, owners) as visitor:
        wanted = before.listeners + 3 * len(owners)
        full, _ = await until(service, lambda now: now.listeners >= wanted, OPEN_SECONDS)
        assert visitor.stdin is not None
        if way == "kill":
            visitor.kill()
        elif way == FROZEN:
            os.kill(visitor.pid, signal.SIGSTOP)
        else:
            visitor.stdin.write(f"{way}\n".encode())
            await visitor.stdin.drain()
        within = THAWED_SECONDS if way == FROZEN else GONE_SECONDS
        after, seconds = await until(service, lambda now: _is_back(now, before), within)
    await asyncio.sleep(rest)
    return Cycle(way, full, after, seconds, (await held(service)).memory)


def _is_back(now: Held, before: Held) -> bool:
    return (now.listeners, now.sockets) == (before.listeners, before.sockets) and (
        now.descriptors <= before.descriptors
    )


@asynccontextmanager
async def _visitor(
    service: Service, begun: Sequence[Begun], owners: Sequence[Owner]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The client process, with everything open."""
    watched = [Watched(each.path, each.token, each.version) for each in begun]
    phones = [
        Phone(
            owner.device_id,
            owner.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        )
        for owner in owners
    ]
    host, port = address_of(service)
    visit = Visit(host, port, service.url, watched, watched, phones)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.soak.visitor",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(visit) + b"\n")
        async with asyncio.timeout(OPEN_SECONDS):
            said = await process.stdout.readline()
        assert said == b"open\n", said
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _judge(cycle: Cycle, before: Held, opened: int) -> list[str]:
    faults = []
    if cycle.full.listeners - before.listeners < opened:
        faults.append(f"{cycle.way}: only {cycle.full.listeners - before.listeners} of {opened} were heard of")
    if not _is_back(cycle.after, before):
        faults.append(f"{cycle.way}: left behind {cycle.after}, before it was {before}")
    return faults


def _table(cycles: Sequence[Cycle], before: Held, opened: int) -> Table:
    memory = f"{before.memory / 2**20:.1f}"
    rows = [("(before)", "-", str(before.listeners), str(before.descriptors), "-", memory, "-")]
    rows += [
        (
            cycle.way,
            str(cycle.full.listeners),
            str(cycle.after.listeners),
            str(cycle.after.descriptors),
            f"{cycle.full.memory / 2**20:.1f}",
            f"{cycle.memory / 2**20:.1f}",
            f"{cycle.seconds:.1f}",
        )
        for cycle in cycles
    ]
    columns = ("ended by", "listeners, full", "afterwards", "descriptors", "MiB, full", "MiB, rested", "back after (s)")
    return Table(f"{opened:,} polls, streams and sockets, by turns ended by FIN, RST, kill", columns, rows)
