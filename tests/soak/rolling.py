"""Everything is restarted in turn while people sign in at a steady rate, and nobody fails.

R-14, told twice. Three processes on one store behind a balancer that knows no stickiness and asks nobody for their
health: SIGTERM, wait for the end, start again, the next. Then a supervised pair on one socket: SIGHUP. People do what
docs/protocol.md says: a begin without an answer is repeated with its key, a poll is asked again, a phone comes back and
gives its answer again. With that, no sign-in fails, no answer is lost, and no other error is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil

from bench.figures import percentile
from bench.machine import allow_open_files
from bench.results import Table
from bench.wire import Address
from tests.soak import checker
from tests.soak.browsers import Begun, Caller, Observer, address_of, basic
from tests.soak.crowd import LightPhone, Owner, enrol
from tests.soak.history import History
from tests.soak.story import WIDE_OPEN, Report, Say, at_most
from tests.support.balancer import balancer
from tests.support.browser import App
from tests.support.people import office
from tests.support.service import Service
from tests.support.several import Several

PER_SECOND = 30
PEOPLE = 60
PROCESSES = 3
WORKERS = 2
PATIENCE_SECONDS = 30.0
AGAIN_SECONDS = 0.1
BETWEEN = 15
"""How many sign-ins come to their end between one restart and the next."""
LOOK_SECONDS = 0.02


class Traffic:
    """People who sign in at a steady rate through one address."""

    def __init__(self, address: Address, app: App, history: History, dice: random.Random) -> None:
        self._address, self._app, self._history, self._dice = address, app, history, dice
        self._free: list[LightPhone] = []
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.told_after: list[float] = []
        self.done = 0

    @asynccontextmanager
    async def flowing(self, url: str, owners: Sequence[Owner]) -> AsyncIterator[None]:
        """Sign-ins begin, until the block is left; then they come to their end."""
        phones = [LightPhone(self._address, url, owner, self._dice) for owner in owners]
        for phone in phones:
            await phone.connect()
        self._free = list(phones)
        staying = [asyncio.create_task(phone.stay()) for phone in phones]
        stop = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                pacing = group.create_task(self._pace(group, stop))
                yield
                stop.set()
                await pacing
        finally:
            for task in staying:
                task.cancel()
            await asyncio.gather(*staying, return_exceptions=True)
            for phone in phones:
                phone.close()
        self.counts["phones' reconnects"] = sum(phone.tries - 1 for phone in phones)

    async def _pace(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        """Arrivals don't wait for anybody's end; who finds no free person is counted."""
        while not stop.is_set():
            if self._free:
                group.create_task(self._sign_in(self._free.pop(self._dice.randrange(len(self._free)))))
            else:
                self.counts["arrivals that found everybody busy"] += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1 / PER_SECOND)

    async def _sign_in(self, phone: LightPhone) -> None:
        caller = Caller(self._address)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                begun = await self._begin(caller, phone.owner.username)
                observer = Observer(self._history, caller, begun, "browser")
                polling = asyncio.create_task(observer.poll())
                try:
                    await phone.prompted(begun.challenge)
                    await self._answer(phone, begun)
                    answered = time.monotonic()
                    await polling
                    self.told_after.append(max(0.0, time.monotonic() - answered))
                finally:
                    polling.cancel()
                    await asyncio.gather(polling, return_exceptions=True)
            self.done += 1
        except TimeoutError:
            self.faults.append(f"{phone.owner.username}'s sign-in did not come to its end in {PATIENCE_SECONDS:.0f} s")
        finally:
            caller.close()
            self._free.append(phone)

    async def _begin(self, caller: Caller, username: str) -> Begun:
        headers = basic(self._app) | {"Idempotency-Key": secrets.token_urlsafe(16)}
        while True:
            with contextlib.suppress(OSError):
                answer = await caller.send("POST", "/v1/sign-ins", headers, {"username": username})
                if answer.status == 201:
                    return Begun(json.loads(answer.body))
                if answer.status < 500:
                    self.faults.append(f"a begin was answered {answer.status}: {answer.body[:200]!r}")
            self.counts["begins repeated"] += 1
            await asyncio.sleep(AGAIN_SECONDS)

    async def _answer(self, phone: LightPhone, begun: Begun) -> None:
        """Give the answer, on as many sockets as it takes."""
        line = self._history.begin("phone", "answer", begun.id, begun.challenge)
        while begun.challenge not in phone.outcomes:
            await phone.ready.wait()
            phone.answer(begun)
            told = asyncio.create_task(phone.told(begun.challenge))
            lost = asyncio.create_task(phone.lost.wait())
            await asyncio.wait((told, lost), return_when=asyncio.FIRST_COMPLETED)
            for task in (told, lost):
                task.cancel()
            await asyncio.gather(told, lost, return_exceptions=True)
            if begun.challenge not in phone.outcomes:
                self.counts["answers given again"] += 1
        line.outcome = phone.outcomes[begun.challenge]
        self._history.end(line)
        if line.outcome != "completed":
            self.faults.append(f"the answer to {begun.id} was told {line.outcome}")

    async def some_more(self) -> None:
        """Wait until that many sign-ins more have come to their end."""
        wanted = self.done + BETWEEN
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.done < wanted:  # noqa: ASYNC110 - the count is all there is to see
                await asyncio.sleep(LOOK_SECONDS)


async def run(folder: Path, *, rounds: int, seed: int, say: Say, processes: int = PROCESSES) -> Report:
    """`rounds` rolling restarts of each kind, of so many processes behind the balancer; see the module."""
    allow_open_files(4000)
    tables: list[Table] = []
    faults: list[str] = []
    for kind in ("machines", "workers"):
        place = folder / kind
        place.mkdir()
        if kind == "machines":
            report = await _machines(place, rounds, seed, say, processes)
        else:
            report = await _workers(place, rounds, seed, say)
        tables += report.tables
        faults += report.faults
    return Report(tables, at_most(faults))


async def _machines(folder: Path, rounds: int, seed: int, say: Say, processes: int) -> Report:
    """Processes that know nothing of one another behind a balancer: SIGTERM and start, each in turn."""
    machines = [Service(folder if not number else folder / str(number), **WIDE_OPEN) for number in range(processes)]
    first = machines[0].environment
    for machine in machines[1:]:
        machine.folder.mkdir()
        machine.environment |= {name: first[name] for name in ("PUSH_SERVICE_DATA_DIR", "PUSH_SERVICE_PUBLIC_URL")}
    codes: list[int] = []
    async with AsyncExitStack() as stack:
        app = await _application(machines[0])
        for machine in machines:
            stack.push_async_callback(machine.kill)
        await asyncio.gather(*(machine.start() for machine in machines))
        between = await stack.enter_async_context(balancer([machine.port for machine in machines]))
        async with _traffic(machines[0], Address("127.0.0.1", between.port), app, seed) as traffic:
            for number in range(rounds):
                for machine in machines:
                    codes.append(await machine.stop())
                    await machine.start()
                    await traffic.some_more()
                say(f"machines: round {number + 1} of {rounds}, {traffic.done} sign-ins, {len(traffic.faults)} faults")
        codes += await asyncio.gather(*(machine.stop() for machine in machines))
        traffic.counts["connections that no process took"] = between.refused
    title = f"{processes} processes behind a balancer, each told to end and started again, {rounds} times in turn"
    return _judged(folder, f"{title} (seed {seed})", traffic, codes, rounds * processes)


async def _workers(folder: Path, rounds: int, seed: int, say: Say) -> Report:
    """A supervised pair on one socket: SIGHUP."""
    pair = Several(folder, WORKERS, **WIDE_OPEN)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(pair.kill)
        app = await _application(pair)
        await pair.start()
        async with _traffic(pair, address_of(pair), app, seed) as traffic:
            for number in range(rounds):
                await _hang_up(pair)
                await traffic.some_more()
                say(f"workers: round {number + 1} of {rounds}, {traffic.done} sign-ins, {len(traffic.faults)} faults")
        codes = [await pair.stop()]
    title = f"{WORKERS} workers on one socket, replaced by SIGHUP {rounds} times (seed {seed})"
    return _judged(folder, title, traffic, codes, rounds * WORKERS)


async def _hang_up(pair: Several) -> None:
    """Have both workers replaced, and wait for the end of it."""
    before = _pids(pair)
    os.kill(pair.pid, signal.SIGHUP)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while _pids(pair) & before or len(_pids(pair)) != WORKERS:  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_SECONDS)


def _pids(pair: Several) -> set[int]:
    return {child.pid for child in psutil.Process(pair.pid).children()}


async def _application(service: Service) -> App:
    """An application that every process knows from its start."""
    async with office(service) as desk:
        return await desk.application()


@asynccontextmanager
async def _traffic(service: Service, address: Address, app: App, seed: int) -> AsyncIterator[Traffic]:
    async with office(service) as desk:
        owners = await enrol(desk, address, PEOPLE)
    with History(service.folder / "rolling.jsonl") as history:
        traffic = Traffic(address, app, history, random.Random(seed))  # noqa: S311 - dice to be thrown again
        async with traffic.flowing(service.url, owners):
            await traffic.some_more()
            yield traffic


def _judged(folder: Path, title: str, traffic: Traffic, codes: Sequence[int], restarts: int) -> Report:
    """What the traffic saw, and what the files say of it."""
    ops = checker.load(folder / "rolling.jsonl")
    faults = [*traffic.faults, *checker.check_history(ops)]
    with checker.copied(folder / "data" / "push-service.db") as connection:
        faults += checker.check_rows(connection) + checker.check_agreement(ops, connection)
        (stored,) = connection.execute("SELECT count(*) FROM sign_ins").fetchone()
    begun = traffic.done + len(traffic.faults)
    if not traffic.faults and stored != begun:
        faults.append(f"{stored} sign-ins are stored, {begun} were begun: one was begun twice or lost")
    faults += [f"a poll was refused with {op['code']}" for op in ops if op["type"] == "fail"]
    faults += [f"a process ended with {code}" for code in codes if code]
    asked_again = sum(op["op"] == "poll" and op["type"] == "info" for op in ops)
    told = sorted(traffic.told_after)
    rows = [
        ("processes restarted", str(restarts)),
        ("sign-ins", f"{traffic.done:,}"),
        *((what, f"{count:,}") for what, count in sorted(traffic.counts.items())),
        ("polls asked again", f"{asked_again:,}"),
        ("answer to browser told, median (ms)", f"{percentile(told, 50) * 1e3:.0f}"),
        ("answer to browser told, 99 % (ms)", f"{percentile(told, 99) * 1e3:.0f}"),
        ("answer to browser told, longest (ms)", f"{told[-1] * 1e3:.0f}" if told else "-"),
        ("faults", str(len(faults))),
    ]
    return Report([Table(title, ("what", "measured"), rows)], faults)
