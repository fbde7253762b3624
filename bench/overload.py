"""`overload`: three times as many sign-ins are begun as can be served, and then the load ends.

On one server, in turn: its capacity (everybody without pause), half of that at random instants, three times of it, and,
ten seconds after the load has ended, half of it again. Arrivals don't wait for replies. A begin that is refused
is counted and not repeated; whoever was let in goes on to the end. The load's own limit is its people: who comes while
none of them is free is counted apart.
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import uvloop
from rich.console import Console

from bench.contestants import service
from bench.driver import THINK, closed_loop, connect, reconnect
from bench.driver import Recorder as Reconnecting
from bench.exchange import ExchangeError, Pair, Timing, go_on
from bench.figures import Latency
from bench.machine import allow_open_files, cores, pinned
from bench.processes import Server
from bench.results import Options, Table, errors_text

PEOPLE = 1000
AT_CAPACITY = 128
SECONDS = 10.0
TIMES = 3.0
RECOVERY = 10.0
"""Seconds after the load's end, from which on latency has to be normal."""

_BUSY = "503 busy"


@dataclass(frozen=True)
class Phase:
    """One load on the server."""

    name: str
    asked_per_second: float
    completed_per_second: float
    refused_per_second: float
    refusal: Latency | None
    """None where nobody was refused."""
    answer_to_browser: Latency
    whole_less_thinking: Latency
    nobody_free: int
    errors: Mapping[str, int]
    server_cpu_percent: float
    driver_cpu_percent: float


@dataclass(frozen=True)
class OverloadResult:
    """The phases in order."""

    capacity: float
    capacity_cpu_percent: float
    phases: Sequence[Phase]

    def tables(self) -> Sequence[Table]:
        """The phases side by side."""
        lines: Mapping[str, Callable[[Phase], str]] = {
            "begins a second": lambda phase: f"{phase.asked_per_second:,.0f}",
            "sign-ins completed a second": lambda phase: f"{phase.completed_per_second:,.0f}",
            "of capacity %": lambda phase: f"{phase.completed_per_second / self.capacity * 100:.0f}",
            "the same, by the processor time that the server got %": lambda phase: f"{self._by_cpu(phase):.0f}",
            "begins refused a second": lambda phase: f"{phase.refused_per_second:,.0f}",
            "refusal p50 ms": lambda phase: _ms(phase.refusal.p50 if phase.refusal else None),
            "refusal p99 ms": lambda phase: _ms(phase.refusal.p99 if phase.refusal else None),
            "answer→browser p50 ms": lambda phase: _ms(phase.answer_to_browser.p50),
            "answer→browser p99 ms": lambda phase: _ms(phase.answer_to_browser.p99),
            "whole less thinking p50 ms": lambda phase: _ms(phase.whole_less_thinking.p50),
            "whole less thinking p99 ms": lambda phase: _ms(phase.whole_less_thinking.p99),
            "server's core busy %": lambda phase: f"{phase.server_cpu_percent:.0f}",
            "load's core busy %": lambda phase: f"{phase.driver_cpu_percent:.0f}",
            "came while nobody was free": lambda phase: f"{phase.nobody_free:,}",
            "other errors": lambda phase: errors_text(phase.errors),
        }
        rows = [(name, *map(line, self.phases)) for name, line in lines.items()]
        title = f"More than can be done; capacity: {self.capacity:,.0f} sign-ins a second"
        return [Table(title, ("", *(phase.name for phase in self.phases)), rows)]

    def _by_cpu(self, phase: Phase) -> float:
        """On a machine that does other things as well, the server's share of a core changes from phase to phase."""
        return phase.completed_per_second / phase.server_cpu_percent / self.capacity * self.capacity_cpu_percent * 100


def run(options: Options, console: Console) -> OverloadResult:
    """Measure. Raises `StartError` if the service does not start."""
    people, seconds = options.people or PEOPLE, options.seconds_or(SECONDS)
    allow_open_files(2 * people + 500)
    with service(people, console) as contestant, pinned(cores().load):
        pairs = [contestant.pair(number) for number in range(people)]
        return uvloop.run(_phases(contestant.server, pairs, seconds, console))


async def _phases(server: Server, pairs: Sequence[Pair], seconds: float, console: Console) -> OverloadResult:
    await connect(pairs)
    try:
        with console.status("capacity"):
            most = await closed_loop(server, pairs[:AT_CAPACITY], seconds)
        capacity = most.per_second
        phases, recovery = [], min(RECOVERY, seconds)
        for name, rate, lead in (
            ("half of capacity", capacity / 2, min(1.0, seconds)),
            ("three times capacity", TIMES * capacity, min(2.0, seconds)),
            (f"half, {recovery:.0f} seconds later", capacity / 2, recovery),
        ):
            with console.status(name):
                phases.append(await _Open(server, pairs).measure(name, max(1.0, rate), lead, seconds))
    finally:
        for pair in pairs:
            pair.close()
    return OverloadResult(capacity, most.server_cpu_percent, phases)


@dataclass
class _Window:
    """What fell into the measured seconds."""

    asked: int = 0
    nobody_free: int = 0
    refusals: list[float] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


class _Open:
    """An open loop: begins fall due at random, whether or not the former ones are done."""

    def __init__(self, server: Server, pairs: Sequence[Pair]) -> None:
        self._server, self._free = server, deque(pairs)
        self._window = _Window()
        self._others = Reconnecting()

    async def measure(self, name: str, rate: float, lead: float, seconds: float) -> Phase:
        """`lead` seconds of this load, then the measured ones; returns when all that was begun is over."""
        async with asyncio.TaskGroup() as group:
            arrivals = group.create_task(self._arrivals(rate, group))
            await asyncio.sleep(lead)
            window = self._window = _Window()
            started, cpu, own = time.perf_counter(), self._server.cpu_seconds(), time.process_time()
            await asyncio.sleep(seconds)
            elapsed = time.perf_counter() - started
            spent, own = self._server.cpu_seconds() - cpu, time.process_time() - own
            self._window = _Window()  # what comes in from now on is not counted
            self._others.stopped = True
            arrivals.cancel()
        return Phase(
            name=name,
            asked_per_second=window.asked / elapsed,
            completed_per_second=len(window.timings) / elapsed,
            refused_per_second=len(window.refusals) / elapsed,
            refusal=Latency.of(window.refusals) if window.refusals else None,
            answer_to_browser=Latency.of([timing.answer_to_browser for timing in window.timings]),
            whole_less_thinking=Latency.of([timing.whole_less_thinking for timing in window.timings]),
            nobody_free=window.nobody_free,
            errors=window.errors,
            server_cpu_percent=spent / elapsed * 100,
            driver_cpu_percent=own / elapsed * 100,
        )

    async def _arrivals(self, rate: float, group: asyncio.TaskGroup) -> None:
        due = time.perf_counter()
        while True:
            due += _dice.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._window.asked += 1
            if self._free:
                group.create_task(self._one(self._free.popleft(), due))
            else:
                self._window.nobody_free += 1

    async def _one(self, pair: Pair, due: float) -> None:
        sent = time.perf_counter()
        try:
            begun = await pair.browser.begin()
            timing = await go_on(pair, begun, due, lambda: asyncio.sleep(THINK))
        except (OSError, ExchangeError) as error:
            if str(error) == _BUSY:
                self._window.refusals.append(time.perf_counter() - sent)
            else:
                self._window.errors[str(error) or type(error).__name__] += 1
                await reconnect(pair, self._others)
        else:
            self._window.timings.append(timing)
        self._free.append(pair)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


_dice = random.Random(1)  # noqa: S311 - when people come, not what they must not guess
