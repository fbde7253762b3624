"""`load`: thousands of browsers wait and as many phones are connected, while fifty people a second sign in.

Everybody has a sign-in under way all the time: begun, prompted, the browser's long-poll parked. At random instants,
on average fifty times a second, the one who has waited longest answers; the browser has to be told, and that person
begins anew. The crowd grows in steps on one server, from an eighth to all; the last step lasts longest and shows
memory over time.

A wake-up is *lost* if the browser was never told (within 20 s), and *late* if that took half a second or more: a bell
that was lost and caught by the slow re-read would show there. A step ends when everybody who answered in it was told,
or is lost. An instant at which nobody waits, as where a small crowd is on a slow machine, is counted apart.
"""

import asyncio
import functools
import gc
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import uvloop
from rich.console import Console

from bench.contestants import service
from bench.driver import connect
from bench.exchange import ExchangeError, Pair, Timing, sign_in
from bench.figures import Latency
from bench.machine import allow_open_files, cores, pinned
from bench.processes import Server
from bench.results import Options, Table, errors_text

WAITING = 2_000
RATE = 50.0
SECONDS = 60.0
STEPS = (8, 4, 2, 1)
"""The crowd's sizes, as divisors of the whole."""

LATE = 0.5
"""Seconds from answer to browser from which a wake-up counts as late."""

BEGIN_DEADLINE = 120.0
"""Seconds within which everybody has to be waiting."""

_LAG_EVERY = 0.01


@dataclass(frozen=True)
class Step:
    """One size of the crowd, measured for some seconds."""

    waiting: int
    seconds: float
    sign_ins: int
    per_second: float
    answer_to_browser: Latency
    slowest_ms: float
    late: int
    nobody_waiting: int
    """Instants at which somebody was to answer, and everybody was still on the way to being asked."""
    errors: Mapping[str, int]
    server_cpu_percent: float
    server_cpu_ms: float
    driver_lag: Latency
    """By how much the load's own event loop was late: part of every latency measured with it."""
    rss: Sequence[int]
    """The server's memory in bytes, once a second."""


@dataclass(frozen=True)
class LoadResult:
    """The steps, smallest crowd first."""

    steps: Sequence[Step]

    def tables(self) -> Sequence[Table]:
        """The growth curve, and what the last step says about memory."""
        lines: Mapping[str, Callable[[Step], str]] = {
            "seconds": lambda step: f"{step.seconds:.0f}",
            "sign-ins a second": lambda step: f"{step.per_second:.1f}",
            "answer→browser p50 ms": lambda step: f"{step.answer_to_browser.p50:.2f}",
            "answer→browser p99 ms": lambda step: f"{step.answer_to_browser.p99:.1f}",
            "answer→browser slowest ms": lambda step: f"{step.slowest_ms:.0f}",
            "the load's own event loop late, p99 ms": lambda step: f"{step.driver_lag.p99:.1f}",
            "late wake-ups": lambda step: str(step.late),
            "instants at which nobody waited": lambda step: f"{step.nobody_waiting:,}",
            "lost wake-ups and other errors": lambda step: errors_text(step.errors),
            "server CPU %": lambda step: f"{step.server_cpu_percent:.0f}",
            "server CPU ms each": lambda step: f"{step.server_cpu_ms:.2f}",
            "server RSS MiB, first second": lambda step: f"{step.rss[0] / 2**20:.1f}",
            "server RSS MiB, last second": lambda step: f"{step.rss[-1] / 2**20:.1f}",
        }
        columns = ("waiting browsers, connected phones", *(f"{step.waiting:,}" for step in self.steps))
        rows = [(name, *map(line, self.steps)) for name, line in lines.items()]
        return [Table(f"Thousands wait, {RATE:.0f} sign-ins a second", columns, rows)]


def run(options: Options, console: Console) -> LoadResult:
    """Measure. Raises `StartError` if the service does not start, `LimitError` if too few files may be open."""
    waiting, seconds = options.waiting or WAITING, options.seconds_or(SECONDS)
    allow_open_files(2 * waiting + 500)
    with service(waiting, console) as contestant, pinned(cores().load):
        pairs = [contestant.pair(number) for number in range(waiting)]
        return LoadResult(uvloop.run(_grow(contestant.server, pairs, seconds, console)))


async def _grow(server: Server, pairs: Sequence[Pair], seconds: float, console: Console) -> Sequence[Step]:
    crowd, steps = Crowd(server), []
    async with asyncio.TaskGroup() as group:
        for divisor in STEPS:
            size = len(pairs) // divisor
            with console.status(f"{size:,} waiting"):
                await crowd.join(pairs[crowd.size : size], group)
                steps.append(await crowd.measure(seconds if divisor == 1 else seconds / 4))
        crowd.disperse()
    return steps


class Crowd:
    """Everybody who waits, and the pace at which they are let go."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pairs: list[Pair] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: deque[tuple[Pair, asyncio.Future[None]]] = deque()
        self._everybody_waits = asyncio.Event()
        self._answering: set[Pair] = set()
        self._over = asyncio.Event()
        self._timings: list[Timing] = []
        self._errors: Counter[str] = Counter()
        self._nobody_waiting = 0

    @property
    def size(self) -> int:
        """How many have joined."""
        return len(self._pairs)

    async def join(self, pairs: Sequence[Pair], group: asyncio.TaskGroup) -> None:
        """Connect more people; returns when every one of the crowd is waiting."""
        await connect(pairs)
        self._pairs += pairs
        self._everybody_waits.clear()
        self._tasks += [group.create_task(self._sign_in_forever(pair)) for pair in pairs]
        async with asyncio.timeout(BEGIN_DEADLINE):
            await self._everybody_waits.wait()
        gc.collect()
        gc.freeze()  # what the crowd is made of stays: walking it again and again would only make this side late

    async def measure(self, seconds: float) -> Step:
        """Let the longest waiting answer, at random instants, for that long; returns when all of them are told."""
        self._timings, self._errors, self._nobody_waiting = [], Counter(), 0
        started, cpu = time.perf_counter(), self._server.cpu_seconds()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pace(started + seconds))
            rss = group.create_task(self._memory(started + seconds))
            lag = group.create_task(_lag(started + seconds))
        elapsed, spent = time.perf_counter() - started, self._server.cpu_seconds() - cpu
        while self._answering:  # who is forgotten gives up after a while: see bench.exchange
            self._over.clear()
            await self._over.wait()
        latencies = [timing.answer_to_browser for timing in self._timings]
        return Step(
            waiting=self.size,
            seconds=elapsed,
            sign_ins=len(latencies),
            per_second=len(latencies) / elapsed,
            answer_to_browser=Latency.of(latencies),
            slowest_ms=max(latencies, default=float("nan")) * 1e3,
            late=sum(latency >= LATE for latency in latencies),
            nobody_waiting=self._nobody_waiting,
            errors=self._errors,
            server_cpu_percent=spent / elapsed * 100,
            server_cpu_ms=spent / max(len(latencies), 1) * 1e3,
            driver_lag=Latency.of(lag.result()),
            rss=rss.result(),
        )

    def disperse(self) -> None:
        """Everybody goes home."""
        for task in self._tasks:
            task.cancel()
        for pair in self._pairs:
            pair.close()

    async def _sign_in_forever(self, pair: Pair) -> None:
        """On new connections after a sign-in that went wrong; who cannot even connect goes away, as the errors say."""
        while True:
            try:
                timing = await sign_in(pair, functools.partial(self._turn, pair))
            except (OSError, ExchangeError) as error:
                self._errors[str(error)] += 1
                self._ended(pair)
                pair.close()
                try:
                    await pair.connect()
                except (OSError, ExchangeError) as refused:
                    self._errors[f"gone away: {refused}"] += 1
                    self._pairs.remove(pair)
                    return
            else:
                self._timings.append(timing)
                self._ended(pair)

    def _ended(self, pair: Pair) -> None:
        self._answering.discard(pair)
        self._over.set()

    async def _turn(self, pair: Pair) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((pair, turn))
        if len(self._waiting) >= len(self._pairs):
            self._everybody_waits.set()
        await turn

    async def _pace(self, until: float) -> None:
        due = time.perf_counter()
        while (due := due + _dice.expovariate(RATE)) < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if self._waiting:
                pair, turn = self._waiting.popleft()
                self._answering.add(pair)
                turn.set_result(None)
            else:
                self._nobody_waiting += 1

    async def _memory(self, until: float) -> Sequence[int]:
        samples = [self._server.rss()]
        while time.perf_counter() < until:
            await asyncio.sleep(1)
            samples.append(self._server.rss())
        return samples


async def _lag(until: float) -> Sequence[float]:
    """By how many seconds this event loop woke too late, asked a hundred times a second."""
    lags = []
    while (asked := time.perf_counter()) < until:
        await asyncio.sleep(_LAG_EVERY)
        lags.append(max(0.0, time.perf_counter() - asked - _LAG_EVERY))
    return lags


_dice = random.Random(1)  # noqa: S311 - when people answer, not what they must not guess
