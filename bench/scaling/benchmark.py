"""`scaling`: what a complete vouched sign-in costs embedded, on PostgreSQL, with Redis, and over 2 and 4 processes.

Every setup has the same people, registered once and copied. They take turns within every round, so that a busy minute
of the machine falls on all; ratios are taken round by round. All servers share one core, the load has the other. A
round has two loads: everybody without pause, for what a sign-in costs, and few at random instants, for how soon a
browser knows. Each process has as many people as any other, so that as much comes together in it. CPU is counted for
the service's processes, PostgreSQL's and Redis's apart. At the end of each round the hops are measured alone
(`parts.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from bench import processes
from bench.backends import Backend, postgres, redis
from bench.contestants import registered
from bench.driver import Measurement, closed_loop, connected, open_loop
from bench.figures import Spread
from bench.machine import cores, pinned
from bench.results import Options, Table, errors_text
from bench.scaling.fleet import Fleet, Setup, copied, fleet
from bench.scaling.parts import Part, measured_parts, parts_table

PEOPLE = 32
"""For each process: as many are at it in each at once, however many processes there are."""
ROUNDS = 5
SECONDS = 4.0
WARM_SECONDS = 6.0
"""How long everybody signs in before anything counts, once: statements are prepared by then, channels subscribed to."""
QUIET_RATE = 10.0
"""Sign-ins a second at which latency is measured: nobody waits behind anybody."""
QUIET_PEOPLE = 16

EMBEDDED = Setup("embedded")
SETUPS = (
    EMBEDDED,
    Setup("PostgreSQL", postgres=True),
    Setup("PostgreSQL, Redis", postgres=True, redis=True),
    Setup("the same, 2 processes", processes=2, postgres=True, redis=True),
    Setup("2 times 1 process", processes=2, postgres=True, redis=True, apart=True),
    Setup("the same, 4 processes", processes=4, postgres=True, redis=True),
    Setup("4 times 1 process", processes=4, postgres=True, redis=True, apart=True),
)
_PARTS_DATABASE = "parts"


@dataclass(frozen=True)
class Turn:
    """One setup in one round."""

    setup: str
    busy: Measurement
    quiet: Measurement

    @property
    def service_ms(self) -> float:
        """CPU of the service's processes alone."""
        return self.busy.server_cpu_ms - self.busy.bus_cpu_ms

    @property
    def whole_ms(self) -> float:
        """CPU of everything that serves."""
        return self.busy.server_cpu_ms + self.busy.database_cpu_ms


@dataclass(frozen=True)
class ScalingResult:
    """All rounds."""

    people: int
    versions: str
    rounds: Sequence[Sequence[Turn]]
    parts: Sequence[Sequence[Part]]

    def tables(self) -> Sequence[Table]:
        """The whole sign-in, and its hops."""
        return [self._whole(), parts_table(self.parts)]

    def _whole(self) -> Table:
        columns = (
            "CPU ms a sign-in",
            "service",
            "PostgreSQL",
            "Redis",
            "all",
            "service / embedded",
            "all / embedded",
            "answer→browser p50 ms",
            "p99 ms",
            "errors",
        )
        rows = [self._row(place, turn.setup) for place, turn in enumerate(self.rounds[0])]
        title = (
            f"{self.people} people a process sign in without pause; latency at {QUIET_RATE:.0f} sign-ins a second;"
            f" median [range] of {len(self.rounds)} rounds. {self.versions}."
        )
        return Table(title, columns, rows)

    def _row(self, place: int, name: str) -> Sequence[str]:
        turns = [round_[place] for round_ in self.rounds]
        firsts = [round_[0] for round_ in self.rounds]

        def text(read: Callable[[Turn], float], digits: int = 2) -> str:
            return Spread.of(map(read, turns)).text(digits)

        def ratio(read: Callable[[Turn], float]) -> str:
            both = zip(turns, firsts, strict=True)
            return Spread.of(read(turn) / max(first.whole_ms, 1e-9) for turn, first in both).text(2)

        return (
            name,
            text(lambda turn: turn.service_ms),
            text(lambda turn: turn.busy.database_cpu_ms),
            text(lambda turn: turn.busy.bus_cpu_ms),
            text(lambda turn: turn.whole_ms),
            ratio(lambda turn: turn.service_ms),
            ratio(lambda turn: turn.whole_ms),
            text(lambda turn: turn.quiet.answer_to_browser.p50, 1),
            text(lambda turn: turn.quiet.answer_to_browser.p99, 1),
            errors_text(sum((Counter(turn.busy.errors) + Counter(turn.quiet.errors) for turn in turns), Counter())),
        )


def run(options: Options, console: Console) -> ScalingResult:
    """Measure. Raises `StartError` if anything does not start."""
    rounds, seconds, people = options.rounds_or(ROUNDS), options.seconds_or(SECONDS), options.people or PEOPLE
    setups = [each for each in SETUPS if options.processes is None or each.processes <= options.processes]
    taken: list[Sequence[Turn]] = []
    parts: list[Sequence[Part]] = []
    with ExitStack() as stack:
        folder = stack.enter_context(processes.data_directory())
        with pinned(cores().server):
            names = [name for place, setup in enumerate(setups) for name in setup.databases(_name_of(place))]
            database = stack.enter_context(postgres([*names, _PARTS_DATABASE]))
            bell = stack.enter_context(redis(folder))
        fleets = list(_fleets(stack, folder, database, bell, setups, people, console))
        with pinned(cores().load):
            for each in fleets:
                with console.status(f"warming up: {each.setup.name}"), each.awake():
                    uvloop.run(_busy(each, people, min(WARM_SECONDS, 2 * seconds)))
            for number in range(rounds):
                turns: dict[str, Turn] = {}
                for each in fleets if number % 2 == 0 else reversed(fleets):
                    with console.status(f"round {number + 1} of {rounds}: {each.setup.name}"), each.awake():
                        turns[each.setup.name] = uvloop.run(_turn(each, people, seconds))
                taken.append([turns[each.setup.name] for each in fleets])
                with console.status(f"round {number + 1} of {rounds}: the hops alone"):
                    parts.append(uvloop.run(measured_parts(database, _PARTS_DATABASE, bell, folder, number, seconds)))
    return ScalingResult(people, f"{database.version}, {bell.version}", taken, parts)


def _name_of(place: int) -> str:
    return f"setup_{place}"


def _fleets(
    stack: ExitStack,
    folder: Path,
    database: Backend,
    bell: Backend,
    setups: Sequence[Setup],
    people: int,
    console: Console,
) -> Iterator[Fleet]:
    data = folder / "data"
    everybody = registered(people * max(setup.processes for setup in setups), data, console)
    for place, setup in enumerate(setups):
        for name in setup.databases(_name_of(place)):
            copied(data, database, name)
    for place, setup in enumerate(setups):
        yield stack.enter_context(fleet(setup, data, everybody, database, _name_of(place), bell))


async def _turn(each: Fleet, people: int, seconds: float) -> Turn:
    busy = await _busy(each, people, seconds)
    pairs = [each.pair(number) for number in range(min(QUIET_PEOPLE, people))]
    async with connected(pairs):
        quiet = await open_loop(each.server, pairs, QUIET_RATE, seconds)
    return Turn(each.setup.name, busy, quiet)


async def _busy(each: Fleet, people: int, seconds: float) -> Measurement:
    pairs = [each.pair(number) for number in range(people * each.setup.processes)]
    async with connected(pairs):
        return await closed_loop(each.server, pairs, seconds)
