"""Thousands of phones whose server dies come back to the next one, while people go on signing in.

R-17: everybody is back within a minute, no prompt put during the herd is lost, and whoever signs in meanwhile does so.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.figures import percentile
from bench.machine import allow_open_files
from bench.results import Table
from tests.soak import checker
from tests.soak.browsers import Caller, address_of, begin
from tests.soak.crowd import LightPhone, enrol
from tests.soak.gauges import held
from tests.soak.story import WIDE_OPEN, Report, Say, at_most
from tests.support.browser import App
from tests.support.people import office
from tests.support.service import Service

BACK_SECONDS = 60.0
PER_SECOND = 10
AT_ONCE = 64
AFTERWARDS_SECONDS = 1.0


async def run(folder: Path, *, rounds: int, seed: int, say: Say) -> Report:
    """`rounds` phones; see the module."""
    allow_open_files(2 * rounds + 500)
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    service = Service(folder, **WIDE_OPEN)
    await service.start()
    faults: list[str] = []
    try:
        async with office(service) as desk:
            app = await desk.application()
            owners = await enrol(desk, address_of(service), rounds)
        say(f"{rounds} people have a phone")
        phones = [LightPhone(address_of(service), service.url, owner, dice) for owner in owners]
        await _connect(phones)
        say("all connected")
        async with _staying(phones):
            await service.kill()
            died = time.monotonic()
            await service.start()
            ready = time.monotonic()
            taken = await _sign_in_meanwhile(service, app, phones, dice, faults)
            away = [phone for phone in phones if not phone.ready.is_set()]
            if away:
                faults.append(f"{len(away)} phones were not back within {BACK_SECONDS:.0f} s")
            back = sorted(phone.ready_at - ready for phone in phones if phone.ready.is_set())
            memory = (await held(service)).memory
        code = await service.stop()
        if code != 0:
            faults.append(f"the server ended with {code}")
    finally:
        await service.kill()
    with checker.copied(folder / "data" / "push-service.db") as connection:
        faults += checker.check_rows(connection)
    tries = sum(phone.tries for phone in phones) - len(phones)
    rows = [
        ("phones", f"{rounds:,}"),
        ("server away (s)", f"{ready - died:.1f}"),
        ("half of them back after (s)", f"{percentile(back, 50):.1f}"),
        ("99 % back after (s)", f"{percentile(back, 99):.1f}"),
        ("the last back after (s)", f"{back[-1]:.1f}" if back else "-"),
        ("tries a phone", f"{tries / rounds:.1f}"),
        ("sign-ins meanwhile", str(len(taken))),
        ("whole sign-in, median / p99 (ms)", f"{percentile(taken, 50) * 1e3:.0f} / {percentile(taken, 99) * 1e3:.0f}"),
        ("server's memory afterwards (MiB)", f"{memory / 2**20:.0f}"),
        ("faults", str(len(faults))),
    ]
    title = f"{rounds:,} phones after kill -9 and restart (seed {seed}), {PER_SECOND} sign-ins a second meanwhile"
    return Report([Table(title, ("what", "measured"), rows)], at_most(faults))


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


async def _sign_in_meanwhile(
    service: Service, app: App, phones: Sequence[LightPhone], dice: random.Random, faults: list[str]
) -> list[float]:
    """Sign people in at a steady rate until all phones are back; the seconds that each took, prompt included."""
    taken: list[float] = []
    deadline = time.monotonic() + BACK_SECONDS

    async def one(phone: LightPhone) -> None:
        caller, began = Caller(address_of(service)), time.monotonic()
        try:
            async with asyncio.timeout(BACK_SECONDS):
                begun = await begin(caller, app, phone.owner.username)
                was_back = phone.ready.is_set()
                await phone.prompted(begun.challenge)
                phone.answer(begun)
                told = await phone.told(begun.challenge)
            if told != "completed":
                faults.append(f"an answer during the herd was told {told}")
            if was_back:
                taken.append(time.monotonic() - began)
        except TimeoutError:
            faults.append("a prompt put during the herd was lost")
        except OSError as error:
            faults.append(f"a sign-in during the herd failed: {error}")
        finally:
            caller.close()

    async with asyncio.TaskGroup() as group:
        all_back = 0.0
        while time.monotonic() < deadline and not (all_back and time.monotonic() > all_back):
            group.create_task(one(dice.choice(phones)))
            await asyncio.sleep(1 / PER_SECOND)
            if not all_back and all(phone.ready.is_set() for phone in phones):
                all_back = time.monotonic() + AFTERWARDS_SECONDS
    return taken
