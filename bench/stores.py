"""`stores`: what a decision costs on PostgreSQL, beside the same decision on SQLite in the same run.

The stores alone, driven by one process: so many people at the same time begin a sign-in and approve it, over and over,
by the project's own rules. Both make what they acknowledge durable. This process has a core and the PostgreSQL server
the other; CPU is counted for each apart, and the server's includes its background processes. The wait for the disk is
the machine's, so the rates are of this machine; the CPU is what travels.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from bench.figures import Latency, Spread
from bench.machine import cores, pinned
from bench.results import Options, Table
from push_service.crypto.sealing import Sealer
from push_service.model.policy import Policy, Rate
from push_service.ports import Store
from push_service.store.postgres import PostgresStore
from push_service.store.sqlite import SqliteStore
from tests.contracts.making import Person, answering, beginning, enrol
from tests.support.postgres import PostgresServer

ROUNDS = 5
SECONDS = 4.0
PEOPLE = 64
_OFTEN = Rate(100_000, 60)
_WIDE = Policy(begins_per_person=_OFTEN, prompts_unanswered=(_OFTEN,))
"""Nobody signs in as often as here."""
SQLITE, POSTGRES = "SQLite", "PostgreSQL"


@dataclass(frozen=True)
class Turn:
    """One store for one turn: decisions, and what they cost."""

    store: str
    decisions_per_second: float
    client_microseconds: float
    """CPU of this process for a decision, the rule's included."""
    server_microseconds: float
    """CPU of the server's processes for a decision."""
    latency: Latency
    """From asking to the durable answer, milliseconds."""


@dataclass(frozen=True)
class StoresResult:
    """All rounds."""

    people: int
    rounds: Sequence[Sequence[Turn]]

    def tables(self) -> Sequence[Table]:
        """What a decision costs on each."""
        columns = ("store", "decisions a second", "CPU here µs", "CPU of the server µs", "p50 ms", "p99 ms")
        rows = [
            _row(name, [turn for round_ in self.rounds for turn in round_ if turn.store == name]) for name in _NAMES
        ]
        title = f"{self.people} people begin and approve at once; medians [range] of {len(self.rounds)} rounds"
        return [Table(title, columns, rows, [self._ratio()])]

    def _ratio(self) -> str:
        def spread(value: str) -> str:
            pairs = [[float(getattr(turn, value)) for turn in round_] for round_ in self.rounds]
            return Spread.of(postgres / sqlite for sqlite, postgres in pairs).text(2)

        rate, cpu = spread("decisions_per_second"), spread("client_microseconds")
        return f"PostgreSQL to SQLite, round by round: decisions a second {rate}, CPU of this process a decision {cpu}."


_NAMES = (SQLITE, POSTGRES)


def run(options: Options, console: Console) -> StoresResult:
    """Take turns."""
    people = options.people or PEOPLE
    server = PostgresServer(fsync="on", full_page_writes="on", autovacuum="on", shared_buffers="128MB")
    try:
        with pinned(cores().server):
            server.start()
        rounds = []
        for number in range(options.rounds_or(ROUNDS)):
            console.print(f"round {number + 1}")
            rounds.append(_round(server, people, options.seconds_or(SECONDS)))
    finally:
        server.close()
    return StoresResult(people, rounds)


def _round(server: PostgresServer, people: int, seconds: float) -> Sequence[Turn]:
    database = server.create(server.migrated)
    sealer = Sealer(bytes(32))
    with (
        pinned(cores().load),
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        turns = [
            runner.run(_turn(SQLITE, SqliteStore(Path(folder) / "data.db", sealer), None, people, seconds)),
            runner.run(_turn(POSTGRES, PostgresStore(server.url(database), sealer), server, people, seconds)),
        ]
    server.drop(database)
    return turns


async def _turn(
    name: str, opening: AbstractAsyncContextManager[Store], server: PostgresServer | None, people: int, seconds: float
) -> Turn:
    async with opening as store:
        crowd = [await enrol(store, f"person{n}") for n in range(people)]
        waits: list[float] = []
        await asyncio.gather(*(_sign_in(store, person, time.monotonic() + 0.5, []) for person in crowd))
        here, there, began = time.process_time(), _cpu(server), time.monotonic()
        await asyncio.gather(*(_sign_in(store, person, began + seconds, waits) for person in crowd))
        took = time.monotonic() - began
        here, there = time.process_time() - here, _cpu(server) - there
    count = len(waits)
    return Turn(name, count / took, here / count * 1e6, there / count * 1e6, Latency.of(waits))


async def _sign_in(store: Store, person: Person, until: float, waits: list[float]) -> None:
    while (began := time.monotonic()) < until:
        begun, _ = await store.decide(person.id, beginning(await store.now(), policy=_WIDE))
        asked = time.monotonic()
        await store.decide(person.id, answering(begun.reply, person.phone))
        waits += (asked - began, time.monotonic() - asked)


def _cpu(server: PostgresServer | None) -> float:
    """CPU seconds of the server's processes so far."""
    if server is None:
        return 0.0
    times = [process.cpu_times() for process in server.processes()]
    return sum(each.user + each.system for each in times)


def _row(name: str, turns: Sequence[Turn]) -> Sequence[str]:
    def text(values: Sequence[float], digits: int = 0) -> str:
        return Spread.of(values).text(digits)

    return (
        name,
        text([turn.decisions_per_second for turn in turns]),
        text([turn.client_microseconds for turn in turns]),
        text([turn.server_microseconds for turn in turns]) if name == POSTGRES else "",
        text([turn.latency.p50 for turn in turns], 1),
        text([turn.latency.p99 for turn in turns], 1),
    )
