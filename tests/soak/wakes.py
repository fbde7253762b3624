"""kill -9 of a server that has just put prompts for phones that must be woken, before it sent or while it does.

R-10: what is still asked is sent within seconds by another process, or by the same started again; what has ended
meanwhile is never sent for. The phones do nothing when they are woken, so every message that arrives is counted: at
least one for each prompt, and a second one at most, where the first one's sender died before it could write that down.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from bench.figures import Latency
from bench.results import Table
from mobile_stub.backoff import Backoff
from mobile_stub.firebase_faults import Fault, FaultKind
from mobile_stub.phone import Phone
from mobile_stub.surroundings import Setup
from mobile_stub.wire import Challenge
from mobile_stub.world import World, world
from push_service.model.user import UserState
from tests.soak.story import WIDE_OPEN, Report, Say, at_most
from tests.support.browser import App, Browser, SignIn
from tests.support.people import Office, office
from tests.support.service import Service
from tests.support.waking import firebase_settings

PEOPLE = 5
PATIENCE_SECONDS = 50.0
"""Ten times what is promised."""
AFTER_BEGINNING_SECONDS = 0.4
LAST_SECONDS = 5.0
"""Longer than any lease: what would be sent too late is sent by then."""
ON_ITS_WAY_SECONDS = 0.25
"""A message that was sent while the sign-in was being ended may arrive so much after the end was told."""
IN_FLIGHT = Fault(kind=FaultKind.LATE, late=0.3)


@dataclass
class Prompt:
    """One prompt, and what became of it."""

    wake: str
    sign_in: SignIn
    ended_at: datetime | None = None


@dataclass
class Wakes:
    """One run."""

    world: World
    one: Service
    other: Service
    desk: Office
    app: App
    dice: random.Random
    people: list[tuple[str, Phone]] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    after: list[float] = field(default_factory=list)

    async def kill(self) -> None:
        """Put prompts, kill who put them, and see that they are sent all the same, or not sent any more."""
        self.world.firebase.faults.clear()
        if self.dice.random() < 0.5:
            self.world.firebase.faults.add(IN_FLIGHT)
        put = await self._put()
        await asyncio.sleep(self.dice.uniform(0.0, AFTER_BEGINNING_SECONDS))
        await self.one.kill()
        self.world.firebase.faults.clear()
        killed = datetime.now(UTC)
        beside = self.other.process is not None
        if not beside:
            await self.one.start()
        recovered = time.monotonic()
        ended = [prompt for prompt in put if self.dice.random() < 0.5]
        server = self.other if beside else self.one
        await self._end(ended, server)
        for prompt in put:
            if prompt not in ended:
                await self._arrives(prompt, killed, recovered)
        await self._end([prompt for prompt in put if prompt not in ended], server)
        if beside:
            await self.one.start()
        self.counts["killed beside another process" if beside else "killed alone, and started again"] += 1

    async def _put(self) -> list[Prompt]:
        """A prompt for everybody; some have a phone that listens and doesn't acknowledge."""
        for _, phone in self.people:
            await (phone.connect() if self.dice.random() < 0.5 else phone.disconnect())
        async with self.one.session() as session:
            browser = Browser(session, self.app)
            begun = await asyncio.gather(*(browser.begin(username) for username, _ in self.people))
        put = [
            Prompt(self._wake_of(sign_in, phone), sign_in)
            for sign_in, (_, phone) in zip(begun, self.people, strict=True)
        ]
        self.prompts += put
        return put

    def _wake_of(self, sign_in: SignIn, phone: Phone) -> str:
        """The id that its message will carry: the operator has the key that it is made by."""
        return self.desk.core.sealer.mac(f"wake\n{sign_in.body['challenge']['id']}\n{phone.device_id}".encode())

    async def _end(self, prompts: list[Prompt], server: Service) -> None:
        async with server.session() as session:
            for prompt in prompts:
                path = f"{server.url}/v1/sign-ins/{prompt.sign_in.id}"
                async with session.delete(path, headers=prompt.sign_in.bearer) as answer:
                    if answer.status >= 400:
                        self.faults.append(f"{prompt.sign_in.id} could not be cancelled: {answer.status}")
                prompt.ended_at = datetime.now(UTC)

    async def _arrives(self, prompt: Prompt, killed: datetime, recovered: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (arrivals := self._arrivals(prompt)):
                    await self.world.firebase.receives(len(self.world.firebase.received) + 1)
        except TimeoutError:
            self.faults.append(f"{prompt.sign_in.id} was still asked, and no message came in {PATIENCE_SECONDS:.0f} s")
            return
        if arrivals[0] < killed:
            self.counts["sent, or being sent, when it was killed"] += 1
        else:
            self.counts["sent after the kill"] += 1
            self.after.append(time.monotonic() - recovered)

    def _arrivals(self, prompt: Prompt) -> list[datetime]:
        return [each.at for each in self.world.firebase.received if each.message.data["wake"] == prompt.wake]

    async def judge(self) -> None:
        """What came for each prompt, once nothing can come any more."""
        await asyncio.sleep(LAST_SECONDS)
        for prompt in self.prompts:
            arrivals = self._arrivals(prompt)
            self.counts[f"messages for one prompt: {len(arrivals)}"] += 1
            if len(arrivals) > 2:
                self.faults.append(f"{prompt.sign_in.id} was sent for {len(arrivals)} times")
            late = [at for at in arrivals if prompt.ended_at and (at - prompt.ended_at).total_seconds() > 0]
            self.counts["on their way when it ended"] += len(late)
            if prompt.ended_at and any((at - prompt.ended_at).total_seconds() > ON_ITS_WAY_SECONDS for at in late):
                self.faults.append(f"{prompt.sign_in.id} was sent for after it had ended")


async def run(folder: Path, *, rounds: int, seed: int, say: Say) -> Report:
    """Put `rounds` prompts, five a kill; in half of the kills another process stands by. See the module."""
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    kills = max(2, rounds // PEOPLE)
    async with AsyncExitStack() as stack:
        google = await stack.enter_async_context(world())
        settings = {**WIDE_OPEN, **firebase_settings(google)}
        one = Service(folder, **settings)
        other = Service(folder, **settings, PUBLIC_URL=one.url)
        for service in (one, other):
            stack.push_async_callback(service.kill)
            await service.start()
        desk = await stack.enter_async_context(office(one))
        wakes = Wakes(google, one, other, desk, await desk.application(), dice)
        setup = Setup(firebase=google.firebase, backoff=lambda: Backoff(base=0.05, cap=0.2))
        for _ in range(PEOPLE):
            user = await desk.person(password=None, state=UserState.ENFORCED)
            phone = await stack.enter_async_context(await desk.phone(user, setup=setup))
            google.firebase.attach(phone.identity.push_token or "", _does_nothing)
            stack.enter_context(mock.patch.object(phone.prompts, "on_challenge", _overlooked))
            wakes.people.append((user.username, phone))
        for number in range(kills):
            if number == kills // 2:
                await other.stop()
            await wakes.kill()
            say(f"{number + 1} of {kills} kills, {len(wakes.faults)} faults")
        await wakes.judge()
    return Report([_table(wakes, kills, seed)], at_most(wakes.faults))


async def _does_nothing(_: object) -> None:
    """A phone that is woken and lies still."""


async def _overlooked(_: Challenge) -> bool:
    """A prompt that is not acknowledged."""
    return False


def _table(wakes: Wakes, kills: int, seed: int) -> Table:
    rows = [("prompts", str(len(wakes.prompts)))]
    rows += [(what, str(count)) for what, count in sorted(wakes.counts.items())]
    if wakes.after:
        late = Latency.of(wakes.after)
        rows.append(
            ("seconds from recovery to the message, median / p99", f"{late.p50 / 1e3:.1f} / {late.p99 / 1e3:.1f}")
        )
    rows.append(("faults", str(len(wakes.faults))))
    return Table(f"{kills} times kill -9 with prompts to be sent (seed {seed})", ("what", "count"), rows)
