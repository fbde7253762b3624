"""A bell that never rings delays, and does nothing else.

R-06: with every bell lost, browsers still learn of their outcome, phones are asked when they look, and nothing
contradicts anything: what is told is read from the store, and read again every few seconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from bench.figures import percentile
from bench.results import Table
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import Reach, Setup
from push_service.model.user import UserState
from tests.soak.browsers import Caller, address_of, begin
from tests.soak.mutants import Mutant
from tests.soak.story import WIDE_OPEN, Report, Say
from tests.support.browser import App
from tests.support.people import Office, office

WITHIN_SECONDS = 30.0


async def run(folder: Path, *, rounds: int, seed: int, say: Say) -> Report:
    """`rounds` sign-ins at once whose bells are all lost; see the module. `seed` changes nothing."""
    del seed, say
    service = Mutant("bell-lost", folder, **WIDE_OPEN)
    await service.start()
    try:
        async with office(service) as desk:
            app = await desk.application()
            taken = await asyncio.gather(*(_one(desk, app) for _ in range(rounds)))
        await service.stop()
    finally:
        await service.kill()
    late = [each for each in taken if each > WITHIN_SECONDS]
    faults = [f"{len(late)} browsers were not told within {WITHIN_SECONDS:.0f} s"] if late else []
    rows = [
        ("sign-ins", str(rounds)),
        ("answer to browser, median (s)", f"{percentile(taken, 50):.1f}"),
        ("answer to browser, longest (s)", f"{max(taken):.1f}"),
    ]
    return Report([Table("Every bell lost", ("what", "measured"), rows)], faults)


async def _one(desk: Office, app: App) -> float:
    """Seconds from the answer's acknowledgement to the browser's knowledge."""
    user = await desk.person(password=None, state=UserState.ENFORCED)
    caller = Caller(address_of(desk.service))
    try:
        async with await desk.phone(user, setup=Setup(reach=Reach.POLL)) as phone:
            begun = await begin(caller, app, user.username)
            told = asyncio.create_task(_wait(caller, begun.path, begun.version, begun.bearer))
            await _approve(phone, begun.challenge, begun.number)
            answered = time.monotonic()
            return max(0.0, await told - answered)
    finally:
        caller.close()


async def _approve(phone: Phone, challenge_id: str, number: str) -> None:
    [asked] = (await phone.poll()).challenges
    assert asked.id == challenge_id
    assert await phone.answer_by_http(asked, Decision.VERIFY, number) == "completed"


async def _wait(caller: Caller, path: str, version: int, bearer: dict[str, str]) -> float:
    while True:
        answer = await caller.send("GET", f"{path}?wait=50&after={version}", bearer)
        document = json.loads(answer.body)
        version = document["version"]
        if document["state"] == "approved":
            return time.monotonic()
