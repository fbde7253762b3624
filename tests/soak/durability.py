"""The cause of durability, since power can't be cut here: between an answer read and its reply written, a sync.

R-02: the server's system calls are traced while people approve one after the other. Each time the write-ahead log must
be synced (fdatasync or fsync) after the socket gave the answer and before the socket is given the outcome.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from bench.results import Table
from tests.soak.browsers import Caller, address_of, begin
from tests.soak.crowd import LightPhone, enrol
from tests.soak.story import WIDE_OPEN, Report, Say
from tests.support.people import office
from tests.support.service import Service

CALLS = "trace=fsync,fdatasync,recvfrom,recvmsg,read,sendto,sendmsg,write,writev"
PATIENCE_SECONDS = 30.0


class NoTracerError(Exception):
    """strace is not installed, or may not trace here; the text says which."""


async def run(folder: Path, *, rounds: int, seed: int, say: Say) -> Report:
    """`rounds` approvals under strace; see the module. Raises NoTracerError where that can't be done."""
    strace = shutil.which("strace")
    if strace is None:
        raise NoTracerError("strace is not installed; on Debian: apt-get install strace")
    service = Service(folder, **WIDE_OPEN)
    await service.start()
    trace = folder / "trace"
    try:
        async with office(service) as desk:
            app = await desk.application()
            [owner] = await enrol(desk, address_of(service), 1)
        phone = LightPhone(address_of(service), service.url, owner, random.Random(seed))  # noqa: S311 - no secret
        await phone.connect()
        caller = Caller(address_of(service))
        async with _traced(strace, service.pid, trace):
            for number in range(rounds):
                begun = await begin(caller, app, owner.username)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await phone.prompted(begun.challenge)
                    phone.answer(begun)
                    await phone.told(begun.challenge)
                if number % 100 == 99:
                    say(f"{number + 1} of {rounds} approvals traced")
        phone.close()
        caller.close()
        await service.stop()
    finally:
        await service.kill()
    told = list(_told(trace.read_text(errors="replace").splitlines()))
    faults = [f"{told.count(False)} answers were acknowledged before a sync"] if not all(told) else []
    if len(told) != rounds:
        faults.append(f"of {rounds} outcomes {len(told)} are in the trace: this shows nothing")
    rows = [("approvals traced", str(len(told))), ("synced between answer and reply", str(sum(told)))]
    return Report([Table("System calls between an answer and its reply", ("what", "count"), rows)], faults)


@asynccontextmanager
async def _traced(strace: str, pid: int, trace: Path) -> AsyncIterator[None]:
    """Trace the process and its threads. Raises NoTracerError where the system forbids that."""
    tracer = await asyncio.create_subprocess_exec(
        *(strace, "-f", "-y", "-s", "64", "-e", CALLS, "-o", str(trace), "-p", str(pid)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert tracer.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            said = await tracer.stderr.readline()
        if b"attached" not in said:
            raise NoTracerError(said.decode(errors="replace").strip())
        yield
    finally:
        if tracer.returncode is None:
            tracer.send_signal(signal.SIGINT)  # it lets the process go, and writes out what it saw
        await tracer.wait()


def _told(lines: Iterable[str]) -> Iterable[bool]:
    """For each outcome that was sent: whether the log was synced since the server last read from a socket.

    One person at a time answers, so the last thing read is the answer.
    """
    synced = False
    for line in lines:
        if "-wal>" in line and "sync(" in line:
            synced = True
        elif "<socket:" in line and '"outcome' in line.replace("\\", ""):
            yield synced
        elif "<socket:" in line and ("read(" in line or "recv" in line):
            synced = False
