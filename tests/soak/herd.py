"""Thousands of phones whose servers die come back to the next ones, while people go on signing in.

R-17: everybody is back within a minute, no prompt put during the herd is lost, and whoever signs in meanwhile does so.
Told embedded, and of several processes on PostgreSQL and Redis that all die at once. There each phone keeps to one
process and people sign in at the others: what is between is the service's own, and no balancer is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.figures import percentile
from bench.machine import allow_open_files
from bench.results import Table
from bench.wire import Address
from tests.soak.browsers import Caller, address_of, begin
from tests.soak.crowd import LightPhone, enrol
from tests.soak.deployed import deployed, written
from tests.soak.gauges import held
from tests.soak.story import Report, Say, at_most
from tests.support.browser import App
from tests.support.deployments import Deployment
from tests.support.people import office

BACK_SECONDS = 60.0
PER_SECOND = 10
AT_ONCE = 64
BEFORE_SECONDS = 5.0
AFTERWARDS_SECONDS = 1.0


async def run(
    folder: Path, *, rounds: int, seed: int, say: Say, deployment: Deployment = Deployment.EMBEDDED
) -> Report:
    """`rounds` phones; see the module."""
    allow_open_files(2 * rounds + 500)
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    async with AsyncExitStack() as stack:
        service = await deployed(stack, folder, deployment, POLICY__PENDING_PER_PERSON="20")
        await service.start()
        stack.push_async_callback(service.kill)
        async with office(service) as desk:
            app = await desk.application()
            owners = await enrol(desk, address_of(service), rounds)
        say(f"{rounds} people have a phone")
        places = [address_of(each) for each in service.each()]
        phones = [LightPhone(places[n % len(places)], service.url, owner, dice) for n, owner in enumerate(owners)]
        await _connect(phones)
        say("all connected")
        people = _People(places[1:] or places, app, phones, dice)
        async with _staying(phones):
            calm = time.monotonic() + BEFORE_SECONDS
            before = await people.sign_in_until(lambda: time.monotonic() > calm)
            await service.kill()
            died = time.monotonic()
            await service.start()
            ready = time.monotonic()
            meanwhile = await people.sign_in_until(_settled(phones))
            away = sum(not phone.ready.is_set() for phone in phones)
            back = sorted(phone.ready_at - ready for phone in phones if phone.ready.is_set())
            memory = [(await held(each)).memory for each in service.each()]
        code = await service.stop()
        faults = [*people.faults, *await written(service)]
    if away:
        faults.append(f"{away} phones were not back within {BACK_SECONDS:.0f} s")
    if code != 0:
        faults.append(f"the server ended with {code}")
    tries = sum(phone.tries for phone in phones) - len(phones)
    rows = [
        ("phones", f"{rounds:,}"),
        ("server away (s)", f"{ready - died:.1f}"),
        ("half of them back after (s)", f"{percentile(back, 50):.1f}"),
        ("99 % back after (s)", f"{percentile(back, 99):.1f}"),
        ("the last back after (s)", f"{back[-1]:.1f}" if back else "-"),
        ("tries a phone", f"{tries / rounds:.1f}"),
        ("sign-ins before", str(len(before))),
        ("whole sign-in, median / p99 (ms)", _spread(before)),
        ("sign-ins meanwhile", str(len(meanwhile))),
        ("whole sign-in, median / p99 (ms)", _spread(meanwhile)),
        ("memory afterwards, all processes (MiB)", f"{sum(memory) / 2**20:.0f}"),
        ("faults", str(len(faults))),
    ]
    title = (
        f"{rounds:,} phones after kill -9 and restart of {deployment} (seed {seed}),"
        f" {PER_SECOND} sign-ins a second before and meanwhile"
    )
    return Report([Table(title, ("what", "measured"), rows)], at_most(faults))


def _settled(phones: Sequence[LightPhone]) -> Callable[[], bool]:
    """Whether all have been back for a moment, or the time is over."""
    deadline, until = time.monotonic() + BACK_SECONDS, 0.0

    def over() -> bool:
        nonlocal until
        now = time.monotonic()
        if not until and all(phone.ready.is_set() for phone in phones):
            until = now + AFTERWARDS_SECONDS
        return now > deadline or bool(until and now > until)

    return over


def _spread(taken: Sequence[float]) -> str:
    return f"{percentile(taken, 50) * 1e3:.0f} / {percentile(taken, 99) * 1e3:.0f}"


async def _connect(phones: Sequence[LightPhone]) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(phone: LightPhone) -> None:
        async with turns:
            await phone.connect()

    await asyncio.gather(*map(one, phones))


@asynccontextmanager
async def _staying(phones: Sequence[LightPhone]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(phone.stay()) for phone in phones]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for phone in phones:
            phone.close()


class _People:
    """Those who sign in at a steady rate, each time somebody else, with browsers at these places in turn."""

    def __init__(self, places: Sequence[Address], app: App, phones: Sequence[LightPhone], dice: random.Random) -> None:
        self._places, self._app, self._phones, self._dice = itertools.cycle(places), app, phones, dice
        self.faults: list[str] = []

    async def sign_in_until(self, over: Callable[[], bool]) -> list[float]:
        """Until it is over; the seconds that each took whose phone was there at the begin, prompt included."""
        taken: list[float] = []
        async with asyncio.TaskGroup() as group:
            while not over():
                group.create_task(self._one(self._dice.choice(self._phones), taken))
                await asyncio.sleep(1 / PER_SECOND)
        return taken

    async def _one(self, phone: LightPhone, taken: list[float]) -> None:
        caller, began = Caller(next(self._places)), time.monotonic()
        try:
            async with asyncio.timeout(BACK_SECONDS):
                begun = await begin(caller, self._app, phone.owner.username)
                was_back = phone.ready.is_set()
                await phone.prompted(begun.challenge)
                phone.answer(begun)
                told = await phone.told(begun.challenge)
            if told != "completed":
                self.faults.append(f"an answer during the herd was told {told}")
            if was_back:
                taken.append(time.monotonic() - began)
        except TimeoutError:
            self.faults.append("a prompt put during the herd was lost")
        except OSError as error:
            self.faults.append(f"a sign-in during the herd failed: {error}")
        finally:
            caller.close()
