"""Everything dies, in turn and at random, under constant load: servers, Redis, PostgreSQL, Firebase, the network.

R-01 to R-06, R-10, R-16, R-22, R-24 at once, for as long as one likes. The schedule of faults is thrown by the seed
(`schedule.py`) and played on real processes (`stage.py`, `faults.py`); people sign in meanwhile (`people.py`); who was
told what is judged afterwards by what was taken down and what is in the tables (`verdict.py`). There may be no outcome
that contradicts another, no answer that was acknowledged and lost, no browser that isn't told within five seconds of
everything being back, no sign-in that fails although its client does what the protocol says, and no defect in a log.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.figures import percentile
from bench.machine import allow_open_files
from bench.results import Table
from mobile_stub.phone import Phone
from mobile_stub.surroundings import Reach, Setup
from push_service.model.user import UserState
from tests.soak import checker
from tests.soak.browsers import address_of
from tests.soak.chaos.faults import strike
from tests.soak.chaos.people import Connected, Holder, People, Woken
from tests.soak.chaos.schedule import BRIEF_BELOW_SECONDS, Episode, schedule
from tests.soak.chaos.stage import Stage, stage
from tests.soak.chaos.verdict import Trouble, Verdict, judge
from tests.soak.crowd import LightPhone, enrol
from tests.soak.history import History
from tests.soak.mirror import mirrored
from tests.soak.story import Report, Say, at_most
from tests.support.people import Office, office

PER_SECOND = 10.0
CONNECTED = 100
WOKEN = 30
CONTESTED = 0.1
FEWER = 4
"""How many times fewer people a short run has."""
PROMISED_SECONDS = 5.0
DEFECTS = ("Traceback", "request.failed", "bus.defect")


@dataclass
class Run:
    """What happened, for the verdict."""

    troubles: list[Trouble] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    codes: Sequence[int] = ()
    log: str = ""


async def run(
    folder: Path,
    *,
    rounds: int,
    seed: int,
    say: Say,
    promised: float = PROMISED_SECONDS,
    per_second: float = PER_SECOND,
    contested: float = CONTESTED,
    mutation: str | None = None,
    episodes: Sequence[Episode] = (),
) -> Report:
    """`rounds` seconds of it, about; see the module. Whoever is told later than `promised` seconds is a fault.

    `contested` is the share of sign-ins that somebody cancels at the moment of the answer; `episodes` are played in
    place of those that the seed throws.
    """
    allow_open_files(4000)
    episodes = episodes or schedule(seed, rounds)
    (folder / "schedule").write_text("".join(f"{each}\n" for each in episodes))
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    played = Run()
    async with stage(folder, mutation) as parts:
        with History(folder / "chaos.jsonl") as history:
            async with AsyncExitStack() as phones:
                async with office(parts.fleet) as desk:
                    people = People(address_of(parts.fleet), await desk.application(), history, dice, contested)
                    few = FEWER if rounds < BRIEF_BELOW_SECONDS else 1
                    everyone = await _everyone(phones, desk, parts, people, dice, few)
                async with people.signing_in(everyone, per_second):
                    await _play(parts, episodes, played, people, say)
        offset = time.time() - time.monotonic()
        people.counts += parts.counts
        await asyncio.gather(*map(parts.end, parts.fleet.members))
        played.codes = parts.codes
        played.log = parts.fleet.log
        ops = checker.load(history.path)
        async with mirrored(parts.url) as connection:
            verdict = judge(ops, connection, people.begun, played.troubles, offset)
    faults = _faults(people, played, verdict, promised)
    title = f"About {rounds:,} seconds of faults in everything (seed {seed}), {per_second:g} sign-ins a second"
    return Report(_tables(title, people, played, verdict, promised, faults), at_most(faults))


async def _everyone(
    stack: AsyncExitStack, desk: Office, parts: Stage, people: People, dice: random.Random, few: int
) -> list[Holder]:
    """People with phones of both kinds, switched on until the stack is left."""
    address = address_of(parts.fleet)
    everyone: list[Holder] = []
    for owner in await enrol(desk, address, CONNECTED // few):
        light = LightPhone(address, parts.fleet.url, owner, dice)
        stack.callback(light.close)
        await light.connect()
        stack.push_async_callback(_end, asyncio.create_task(light.stay()))
        everyone.append(Connected(light, people.counts))
    # A phone's connections are not kept: the next request may meet any server.
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)))
    setup = Setup(reach=Reach.POLL, session=session, firebase=parts.world.firebase)
    for _ in range(WOKEN // few):
        user = await desk.person(password=None, state=UserState.ENFORCED)
        phone = await Phone.activate(await desk.activation(user), setup=setup)
        stack.push_async_callback(phone.aclose)
        everyone.append(Woken(user.username, phone, people.counts))
    return everyone


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _play(parts: Stage, episodes: Sequence[Episode], played: Run, people: People, say: Say) -> None:
    """One episode after the other; each is over when every part answers again."""
    began = time.monotonic()
    for number, episode in enumerate(episodes):
        await asyncio.sleep(episode.calm)
        begun = time.monotonic()
        await asyncio.gather(*(strike(parts, blow) for blow in episode.strikes))
        played.troubles.append(Trouble(begun, await parts.answer()))
        played.struck.update(f"{blow.kind.part.value}: {blow.kind.words}" for blow in episode.strikes)
        say(
            f"{time.monotonic() - began:5.0f} s, {number + 1} of {len(episodes)}: {episode};"
            f" {people.counts['sign-ins']} sign-ins, {len(people.faults)} faults"
        )


def _faults(people: People, played: Run, verdict: Verdict, promised: float) -> list[str]:
    defects = [line for line in played.log.splitlines() if any(word in line for word in DEFECTS)]
    return [
        *verdict.contradictions,
        *verdict.lost,
        *verdict.late(promised),
        *verdict.unfinished,
        *people.faults,
        *(f"a server ended with {code}" for code in played.codes if code),
        *(f"in a log: {line[:400]}" for line in defects),
    ]


def _tables(
    title: str, people: People, played: Run, verdict: Verdict, promised: float, faults: Sequence[str]
) -> list[Table]:
    waited = sorted(max(0.0, each) for each in verdict.waited.values())
    rows = [
        ("sign-ins", f"{people.counts.pop('sign-ins', 0):,}"),
        ("times something was in trouble", f"{len(played.troubles):,}"),
        ("outcomes that contradict one another", str(len(verdict.contradictions))),
        ("acknowledged answers lost", str(len(verdict.lost))),
        (f"browsers not told within {promised:g} s of everything being back", str(len(verdict.late(promised)))),
        ("told, from the outcome or everything being back, median (s)", f"{percentile(waited, 50):.3f}"),
        ("the same, 99 %", f"{percentile(waited, 99):.3f}"),
        ("the same, slowest", f"{waited[-1]:.1f}" if waited else "-"),
        ("sign-ins left pending", str(len(verdict.unfinished))),
        *((what, f"{count:,}") for what, count in sorted(people.counts.items())),
        ("faults found", str(len(faults))),
    ]
    struck = [(what, str(count)) for what, count in sorted(played.struck.items())]
    return [Table(title, ("what", "measured"), rows), Table("What was done", ("fault", "times"), struck)]
