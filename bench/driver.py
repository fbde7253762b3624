"""The load: pairs of browser and phone that sign in over and over, and what that cost on either side.

Two shapes of load. Closed: every pair begins again as soon as it is done, which finds the highest rate; one pair
alone shows the latency of an idle server. Open: sign-ins begin at random instants of a given rate, whether or not the
former ones are done, as people do; what has to wait for a free pair counts from the instant it was due. Runs on the
core that the server does not have.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.exchange import ExchangeError, Pair, Timing, sign_in
from bench.figures import Latency
from bench.processes import Server

THINK = 0.020
"""Seconds that a person takes in a closed or open loop: enough for the browser's long-poll to be parked."""

FIRST_WITHIN = 30.0
"""Seconds for which a window in which nothing was done yet is held open: a short one on a busy machine."""

CONNECTING_AT_ONCE = 64
"""Connections under way at once while the load is set up."""


@dataclass(frozen=True)
class Measurement:
    """One round of one load on one server."""

    seconds: float
    sign_ins: int
    per_second: float
    server_cpu_ms: float
    """CPU milliseconds of the server for each sign-in."""
    database_cpu_ms: float
    """CPU milliseconds of the database server for each sign-in, beside those; 0 if the server embeds it."""
    bus_cpu_ms: float
    """CPU milliseconds of the bus for each sign-in, which `server_cpu_ms` includes."""
    server_cpu_percent: float
    driver_cpu_percent: float
    """How busy the load's own core was: near 100, the load is what was measured."""
    answer_to_browser: Latency
    acknowledged_to_browser: Latency
    whole_less_thinking: Latency
    parked_percent: float
    """Sign-ins whose long-poll was already waiting when the phone answered."""
    polls: float
    """Long-polls for each sign-in."""
    errors: Mapping[str, int]


class _Used(NamedTuple):
    """CPU seconds that a window took."""

    server: float
    database: float
    bus: float
    load: float


@dataclass
class Recorder:
    """Collects what falls into the measured window."""

    timings: list[Timing] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    measuring: bool = False
    stopped: bool = False
    some: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, timing: Timing) -> None:
        """A sign-in has come to its end."""
        if self.measuring:
            self.timings.append(timing)
            self.some.set()

    def fail(self, error: Exception) -> None:
        """A sign-in has failed, measured or not."""
        self.errors[str(error) or type(error).__name__] += 1

    async def window(self, server: Server, seconds: float) -> Measurement:
        """Warm up, measure for that long (or to the first sign-in), then let the load know that it may stop."""
        await asyncio.sleep(min(1.0, seconds / 4))
        self.measuring = True
        started, own = time.perf_counter(), time.process_time()
        cpu, database, bus = server.cpu_seconds(), server.database_cpu_seconds(), server.bus_cpu_seconds()
        await asyncio.sleep(seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WITHIN):
                await self.some.wait()
        self.measuring, self.stopped = False, True
        elapsed = time.perf_counter() - started
        used = _Used(
            server.cpu_seconds() - cpu,
            server.database_cpu_seconds() - database,
            server.bus_cpu_seconds() - bus,
            time.process_time() - own,
        )
        return self._measurement(elapsed, used)

    def _measurement(self, elapsed: float, used: _Used) -> Measurement:
        count = len(self.timings)
        return Measurement(
            seconds=elapsed,
            sign_ins=count,
            per_second=count / elapsed,
            server_cpu_ms=used.server / max(count, 1) * 1e3,
            database_cpu_ms=used.database / max(count, 1) * 1e3,
            bus_cpu_ms=used.bus / max(count, 1) * 1e3,
            server_cpu_percent=used.server / elapsed * 100,
            driver_cpu_percent=used.load / elapsed * 100,
            answer_to_browser=Latency.of([timing.answer_to_browser for timing in self.timings]),
            acknowledged_to_browser=Latency.of([timing.acknowledged_to_browser for timing in self.timings]),
            whole_less_thinking=Latency.of([timing.whole_less_thinking for timing in self.timings]),
            parked_percent=sum(timing.parked for timing in self.timings) / max(count, 1) * 100,
            polls=sum(timing.polls for timing in self.timings) / max(count, 1),
            errors=self.errors,
        )


async def connect(pairs: Sequence[Pair]) -> None:
    """Connect everybody, a bounded number at once. Raises the first error."""
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def one(pair: Pair) -> None:
        async with gate:
            await pair.connect()

    async with asyncio.TaskGroup() as group:
        for pair in pairs:
            group.create_task(one(pair))


@asynccontextmanager
async def connected(pairs: Sequence[Pair]) -> AsyncIterator[None]:
    """Everybody is connected meanwhile."""
    try:
        await connect(pairs)
        yield
    finally:
        for pair in pairs:
            pair.close()


async def closed_loop(server: Server, pairs: Sequence[Pair], seconds: float, think: float = THINK) -> Measurement:
    """Every pair signs in without a pause between; a pair that fails connects anew."""
    recorder = Recorder()

    async def one(pair: Pair) -> None:
        await asyncio.sleep(_dice.random() * think)  # or they would march in step
        while not recorder.stopped:
            await attempt(pair, recorder, think)

    async with asyncio.TaskGroup() as group:
        for pair in pairs:
            group.create_task(one(pair))
        measurement = group.create_task(recorder.window(server, seconds))
    return measurement.result()


async def open_loop(
    server: Server, pairs: Sequence[Pair], rate: float, seconds: float, think: float = THINK
) -> Measurement:
    """Sign-ins fall due at random, `rate` a second on average, each taken by a pair that is free."""
    recorder = Recorder()
    free, due = deque(pairs), deque[float]()

    async def one(pair: Pair, begin_at: float) -> None:
        await attempt(pair, recorder, think, begin_at)
        while due:
            await attempt(pair, recorder, think, due.popleft())
        free.append(pair)

    async def arrivals(group: asyncio.TaskGroup) -> None:
        begin_at = time.perf_counter()
        while not recorder.stopped:
            begin_at += _dice.expovariate(rate)
            await asyncio.sleep(max(0.0, begin_at - time.perf_counter()))
            if free:
                group.create_task(one(free.popleft(), begin_at))
            else:
                due.append(begin_at)
        due.clear()

    async with asyncio.TaskGroup() as group:
        group.create_task(arrivals(group))
        measurement = group.create_task(recorder.window(server, seconds))
    return measurement.result()


async def attempt(pair: Pair, recorder: Recorder, think: float, due: float | None = None) -> None:
    """One sign-in; a failure is recorded, and the pair begins afresh on new connections."""
    try:
        recorder.add(await sign_in(pair, lambda: asyncio.sleep(think), due))
    except (OSError, ExchangeError) as error:
        recorder.fail(error)
        await reconnect(pair, recorder)


async def reconnect(pair: Pair, recorder: Recorder) -> None:
    """New connections for a pair whose old ones are in an unknown state; tried until the load stops."""
    while not recorder.stopped:
        pair.close()
        await asyncio.sleep(0.1)  # a server that is gone is not asked in a tight loop
        try:
            await pair.connect()
        except (OSError, ExchangeError) as error:
            recorder.fail(error)
        else:
            return


_dice = random.Random(1)  # noqa: S311 - when people come, not what they must not guess
