"""`sign-in`: complete sign-ins by a vouching application, the service against the bare prototype, one core each.

Three loads: saturated (everybody without pause), half of that rate at random instants, and one person alone. Service
and prototype take turns within every round, so that a busy minute of the machine falls on both; ratios are taken
round by round.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import uvloop
from rich.console import Console

from bench.contestants import PROTOTYPE, SERVICE, Contestant, contestants
from bench.driver import Measurement, closed_loop, connect, open_loop
from bench.figures import Spread
from bench.machine import cores, pinned
from bench.results import Options, Table, errors_text

PEOPLE = 128
ROUNDS = 5
SECONDS = 4.0


@dataclass(frozen=True)
class Round:
    """The three loads of one contestant in one round."""

    contestant: str
    saturated: Measurement
    half: Measurement
    one: Measurement


@dataclass(frozen=True)
class Metric:
    """A line of the table: what it is called, how it is read from a measurement, and with how many decimals."""

    name: str
    read: Callable[[Measurement], float]
    digits: int


METRICS = (
    Metric("sign-ins a second", lambda taken: taken.per_second, 0),
    Metric("server CPU ms each", lambda taken: taken.server_cpu_ms, 3),
    Metric("answer→browser p50 ms", lambda taken: taken.answer_to_browser.p50, 2),
    Metric("answer→browser p99 ms", lambda taken: taken.answer_to_browser.p99, 1),
    Metric("whole less thinking p50 ms", lambda taken: taken.whole_less_thinking.p50, 2),
    Metric("whole less thinking p99 ms", lambda taken: taken.whole_less_thinking.p99, 1),
    Metric("long-poll parked %", lambda taken: taken.parked_percent, 1),
    Metric("long-polls each", lambda taken: taken.polls, 2),
    Metric("server's core busy %", lambda taken: taken.server_cpu_percent, 0),
    Metric("load's core busy %", lambda taken: taken.driver_cpu_percent, 0),
)

LOADS: Mapping[str, Callable[[Round], Measurement]] = {
    "everybody without pause": lambda taken: taken.saturated,
    "half of that rate at random instants": lambda taken: taken.half,
    "one of them at a time": lambda taken: taken.one,
}


@dataclass(frozen=True)
class SignInResult:
    """All rounds, in the order in which they ran."""

    people: int
    rounds: Sequence[Round]

    def tables(self) -> Sequence[Table]:
        """A table for each load."""
        return [self._table(load, measurement) for load, measurement in LOADS.items()]

    def _table(self, load: str, measurement: Callable[[Round], Measurement]) -> Table:
        contestants_seen = list(dict.fromkeys(taken.contestant for taken in self.rounds))
        taken = {name: [measurement(r) for r in self.rounds if r.contestant == name] for name in contestants_seen}
        rows = [_row(metric, taken) for metric in METRICS]
        failed = {name: sum((Counter(m.errors) for m in mine), Counter[str]()) for name, mine in taken.items()}
        rows.append(("errors", *map(errors_text, failed.values())) + (("",) if len(taken) > 1 else ()))
        columns = ("", *taken) + ((f"{SERVICE} / {PROTOTYPE}",) if len(taken) > 1 else ())
        return Table(f"{self.people} people, {load}; median [range] of {len(taken[PROTOTYPE])} rounds", columns, rows)


def _row(metric: Metric, taken: Mapping[str, Sequence[Measurement]]) -> Sequence[str]:
    cells = [Spread.of(map(metric.read, mine)).text(metric.digits) for mine in taken.values()]
    if SERVICE not in taken:
        return (metric.name, *cells)
    both = [(metric.read(s), metric.read(p)) for s, p in zip(taken[SERVICE], taken[PROTOTYPE], strict=True)]
    ratio = Spread.of(service / prototype for service, prototype in both).text(2) if all(p for _, p in both) else ""
    return (metric.name, *cells, ratio)


def run(options: Options, console: Console) -> SignInResult:
    """Measure. Raises `StartError` if a server does not start."""
    rounds, seconds, people = options.rounds_or(ROUNDS), options.seconds_or(SECONDS), options.people or PEOPLE
    taken: list[Round] = []
    with (
        contestants(people, console, prototype_only=options.prototype_only) as running,
        pinned(cores().load),
    ):
        for number in range(rounds):
            for contestant in running if number % 2 == 0 else reversed(running):
                with console.status(f"round {number + 1} of {rounds}: {contestant.name}"):
                    taken.append(uvloop.run(_round(contestant, people, seconds)))
    return SignInResult(people, taken)


async def _round(contestant: Contestant, people: int, seconds: float) -> Round:
    pairs = [contestant.pair(number) for number in range(people)]
    await connect(pairs)
    try:
        saturated = await closed_loop(contestant.server, pairs, seconds)
        half = await open_loop(contestant.server, pairs, max(1.0, saturated.per_second / 2), seconds)
        one = await closed_loop(contestant.server, pairs[:1], seconds)
    finally:
        for pair in pairs:
            pair.close()
    return Round(contestant.name, saturated, half, one)
