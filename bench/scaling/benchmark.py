"""`scaling`: what a complete vouched sign-in costs embedded, on PostgreSQL, with Redis, and over 2 and 4 processes.

Every setup has the same people, registered once and copied. They take turns within every round, so that a busy minute
of the machine falls on all; ratios are taken round by round. All servers share one core, the load has the other. A
round has two loads: everybody without pause, for what a sign-in costs where the core is full; and at random instants,
as many a second for each process however many there are, for what it costs where each process has room, and for how
soon a browser knows. In both each process has as many people as any other. CPU is counted for the service's processes,
PostgreSQL's and Redis's apart. At the end of each round the hops are measured alone (`parts.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from bench import processes
from bench.backends import Backend, postgres, redis
from bench.contestants import registered
from bench.driver import Measurement, closed_loop, connected, open_loop
from bench.exchange import Pair
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
STEADY_RATE = 15.0
"""Sign-ins a second for each process: four of them leave half of their core free."""

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


Read = Callable[[Measurement], float]


def _service_ms(taken: Measurement) -> float:
    """CPU of the service's processes alone."""
    return taken.server_cpu_ms - taken.bus_cpu_ms


def _all_ms(taken: Measurement) -> float:
    """CPU of everything that serves."""
    return taken.server_cpu_ms + taken.database_cpu_ms


_PARTS: Mapping[str, Read] = {
    "service": _service_ms,
    "PostgreSQL": lambda taken: taken.database_cpu_ms,
    "Redis": lambda taken: taken.bus_cpu_ms,
    "all": _all_ms,
}
_LATENCIES: Mapping[str, Read] = {
    "answer→browser p50 ms": lambda taken: taken.answer_to_browser.p50,
    "p99 ms": lambda taken: taken.answer_to_browser.p99,
}


@dataclass(frozen=True)
class Turn:
    """One setup in one round."""

    setup: str
    busy: Measurement
    steady: Measurement


@dataclass(frozen=True)
class ScalingResult:
    """All rounds."""

    people: int
    versions: str
    rounds: Sequence[Sequence[Turn]]
    parts: Sequence[Sequence[Part]]

    def tables(self) -> Sequence[Table]:
        """The whole sign-in under either load, and its hops."""
        rounds = f"median [range] of {len(self.rounds)} rounds. {self.versions}."
        busy = f"{self.people} people a process sign in without pause; {rounds}"
        steady = f"{STEADY_RATE:.0f} sign-ins a second a process; {rounds}"
        return [
            self._whole(busy, lambda turn: turn.busy, {}),
            self._whole(steady, lambda turn: turn.steady, _LATENCIES),
            parts_table(self.parts),
        ]

    def _whole(self, title: str, load: Callable[[Turn], Measurement], besides: Mapping[str, Read]) -> Table:
        columns = (
            "CPU ms a sign-in",
            *_PARTS,
            "service / embedded",
            "all / embedded",
            *besides,
            "errors",
        )
        rounds = [[load(turn) for turn in round_] for round_ in self.rounds]
        rows = [self._row(rounds, place, besides) for place in range(len(rounds[0]))]
        return Table(title, columns, rows)

    def _row(self, rounds: Sequence[Sequence[Measurement]], place: int, besides: Mapping[str, Read]) -> Sequence[str]:
        both = [(round_[place], round_[0]) for round_ in rounds]

        def ratio(read: Read) -> str:
            return Spread.of(read(taken) / max(_all_ms(first), 1e-9) for taken, first in both).text(2)

        return (
            self.rounds[0][place].setup,
            *(Spread.of(read(taken) for taken, _ in both).text(2) for read in _PARTS.values()),
            ratio(_service_ms),
            ratio(_all_ms),
            *(Spread.of(read(taken) for taken, _ in both).text(1) for read in besides.values()),
            errors_text(sum((Counter(taken.errors) for taken, _ in both), Counter())),
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
    pairs = _pairs(each, people)
    async with connected(pairs):
        steady = await open_loop(each.server, pairs, STEADY_RATE * each.setup.processes, seconds)
    return Turn(each.setup.name, busy, steady)


async def _busy(each: Fleet, people: int, seconds: float) -> Measurement:
    pairs = _pairs(each, people)
    async with connected(pairs):
        return await closed_loop(each.server, pairs, seconds)


def _pairs(each: Fleet, people: int) -> Sequence[Pair]:
    return [each.pair(number) for number in range(people * each.setup.processes)]
