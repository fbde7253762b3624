"""kill -9 of a server around its calls of a telephony provider: before one, while it is held, after it, and in between.

R-10: a text or a call goes out at most once. After the restart the sign-in is still there and what is shown of its
message is the truth, or `unknown`; it is sent again only if the person asks for that, once, and not before the pause is
over; and they can finish by it, or by another method. The provider counts what it hears, for each number.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import aiohttp

from bench.figures import Latency
from bench.results import Table
from mobile_stub.carrier import Carrier, Handset
from mobile_stub.carrier_faults import Fault, FaultKind
from mobile_stub.errors import PhoneError
from mobile_stub.world import world
from push_service.model.challenge import MethodKind
from push_service.model.user import UserState
from tests.soak.deployed import deployed, written
from tests.soak.story import Report, Say, at_most
from tests.support.browser import Browser, SignIn
from tests.support.deployments import Deployment
from tests.support.people import Office, office
from tests.support.service import Service
from tests.support.telephony import give_phone, telephony_settings

PEOPLE = 3
PATIENCE_SECONDS = 40.0
PAUSE_SECONDS = 2
AGAIN_SECONDS = 0.05
SETTINGS = {
    "TELEPHONY__TIMEOUT_SECONDS": "0.5",
    "POLICY__SEND_AGAIN_SECONDS": str(PAUSE_SECONDS),
    **{f"TELEPHONY__LIMIT_{each}": "1000000/1h" for each in ("NUMBER", "PREFIX", "COUNTRY", "TOTAL")},
}
SENT = frozenset({"sent", "delivered"})


class Moment(StrEnum):
    """When the server is killed."""

    ASKED = "soon after a begin was written"
    HELD = "while the provider held a request that it had not begun"
    SENT = "while the provider held its reply to what it had sent"
    REPLIED = "soon after the provider replied"
    SHOWN = "after the browser was shown what became of it"


FAULTS = {Moment.HELD: (FaultKind.LATE, 0.3), Moment.SENT: (FaultKind.SENT_IN_SILENCE, 0.0)}
WITHIN = {Moment.ASKED: 0.03, Moment.HELD: 0.2, Moment.SENT: 0.1, Moment.REPLIED: 0.02, Moment.SHOWN: 0.0}
"""The kill falls within so many seconds after what the moment names."""


class Finish(StrEnum):
    """How somebody whose server died finishes."""

    ARRIVED = "by what had arrived"
    AGAIN = "by what was sent again"
    OTHER = "by another method"


@dataclass
class Person:
    """Somebody with a number that gets texts, another that rings, and the sign-in that they want."""

    username: str
    texted: Handset
    called: Handset
    asked_by: MethodKind
    begun_at: float = 0.0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    sign_in: SignIn | None = None

    def handset(self, kind: MethodKind) -> Handset:
        """The phone that this method reaches."""
        return self.texted if kind is MethodKind.TEXT_MOBILE else self.called

    @property
    def other(self) -> MethodKind:
        """The method that is not asked first."""
        return MethodKind.CALL_MOBILE if self.asked_by is MethodKind.TEXT_MOBILE else MethodKind.TEXT_MOBILE


@dataclass
class Texts:
    """One run."""

    carrier: Carrier
    service: Service
    desk: Office
    browser: Browser
    dice: random.Random
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(7_900_000_000))
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    known: list[float] = field(default_factory=list)

    async def kill(self, moment: Moment) -> None:
        """Let people be sent texts and called, kill who does it, start it again, and let them finish."""
        people = [await self._person() for _ in range(PEOPLE)]
        for person in people if moment in FAULTS else ():
            kind, late = FAULTS[moment]
            number = person.handset(person.asked_by).number
            self.carrier.faults.add(Fault(kind=kind, to=number, late=late, times=1))
        async with asyncio.TaskGroup() as group:
            for person in people:
                group.create_task(self._begin(person))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._reached(moment, people)
            await asyncio.sleep(self.dice.uniform(0.0, WITHIN[moment]))
            await self.service.kill()
            heard = [self._heard(person, person.asked_by) for person in people]
            await self.service.start()
            started = time.monotonic()
        self.carrier.faults.clear()
        self.counts[f"killed {moment}"] += 1
        for times in heard:
            self.counts[f"at the kill, the provider had heard {times}"] += 1
        async with asyncio.TaskGroup() as group:
            for person in people:
                group.create_task(self._finish(person, started))

    async def _person(self) -> Person:
        user = await self.desk.person(password=None, state=UserState.ENFORCED)
        texted, called = (self.carrier.handset(f"+44{next(self.numbers)}") for _ in range(2))
        kinds = [MethodKind.TEXT_MOBILE, MethodKind.CALL_MOBILE]
        self.dice.shuffle(kinds)
        person = Person(user.username, texted, called, asked_by=kinds[-1])
        for kind in kinds:  # the last one is asked first
            await give_phone(self.desk, user, kind, person.handset(kind).number)
        return person

    async def _begin(self, person: Person) -> None:
        """Begin with an Idempotency-Key until there is an answer, as a page does."""
        headers = {"Idempotency-Key": secrets.token_urlsafe(16)}
        person.begun_at = time.monotonic()
        person.begun.set()
        while person.sign_in is None:
            try:
                person.sign_in = await self.browser.begin(person.username, headers=headers)
            except aiohttp.ClientError:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _reached(self, moment: Moment, people: list[Person]) -> None:
        """Wait for what the moment names, for somebody that the dice choose."""
        one = self.dice.choice(people)
        if moment is Moment.ASKED:
            await one.begun.wait()
            return
        while not self._heard(one, one.asked_by):
            await self.carrier.changes.after(self.carrier.changes.number)
        if moment is Moment.SHOWN:
            while one.sign_in is None or one.sign_in.body["challenge"]["delivery"] not in SENT:
                await (asyncio.sleep(AGAIN_SECONDS) if one.sign_in is None else one.sign_in.changed())

    def _heard(self, person: Person, kind: MethodKind) -> int:
        return self.carrier.heard[person.handset(kind).number]

    # --- afterwards -----------------------------------------------------------------------------------------------

    async def _finish(self, person: Person, started: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._judged(person, started)
        except TimeoutError:
            self.faults.append(f"{person.username} could not finish within {PATIENCE_SECONDS:.0f} s")
        except (AssertionError, PhoneError) as wrong:
            self.faults.append(f"{person.username}: {wrong}")

    async def _judged(self, person: Person, started: float) -> None:
        sign_in = person.sign_in
        assert sign_in is not None
        body = await sign_in.look()
        asked = body["challenge"]["id"]
        shown = await self._shown(sign_in)
        self.known.append(time.monotonic() - started)
        heard = self._heard(person, person.asked_by)
        self.counts[f"shown {shown}, and the provider had heard {heard}"] += 1
        challenge = sign_in.body["challenge"]
        still = (sign_in.body["state"], challenge["state"], challenge["id"])
        assert still == ("pending", "pending", asked), f"after the restart it is {still}"
        assert heard <= 1, f"the provider heard {heard} times of one request"
        assert heard == 1 or shown == "unknown", f"shown {shown}, and the provider has heard nothing"
        assert shown in SENT | {"unknown"}, f"shown {shown}"
        choices = [Finish.AGAIN, Finish.OTHER] + ([Finish.ARRIVED] if heard else [])
        way = self.dice.choice(choices)
        kind, expected = person.other if way is Finish.OTHER else person.asked_by, heard
        if way is not Finish.ARRIVED:
            await self._ask(person, sign_in, kind)
            expected = self._before(person, kind, heard) + 1
            again = await self._shown(sign_in)
            assert again in SENT, f"asked {way}, it is {again}"
        await self._verify(person.handset(kind), kind, sign_in, expected)
        outcome = (await sign_in.outcome())["state"]
        assert outcome == "approved", f"finished {way}, it is {outcome}"
        for each in (person.asked_by, person.other):
            wanted = self._before(person, each, heard) + (each is kind and way is not Finish.ARRIVED)
            count = self._heard(person, each)
            assert count == wanted, f"finished {way}: the provider heard {count} of its {each}, and not {wanted}"
        self.counts[f"finished {way}"] += 1

    def _before(self, person: Person, kind: MethodKind, heard: int) -> int:
        return heard if kind is person.asked_by else 0

    async def _shown(self, sign_in: SignIn) -> str:
        """What the browser is shown of the message, once it is known."""
        while (delivery := str(sign_in.body["challenge"]["delivery"])) == "queued":
            await sign_in.changed()
        return delivery

    async def _ask(self, person: Person, sign_in: SignIn, kind: MethodKind) -> None:
        """Have it sent again, or ask by the other method, as soon as that is allowed."""
        challenge = sign_in.body["challenge"]
        instead_of, method = challenge["id"], challenge["method_id"]
        if kind is not person.asked_by:
            (method,) = [each["id"] for each in sign_in.body["methods"] if each["method"] == kind]
        heard = self._heard(person, kind)
        while (reply := await sign_in.choose(method, instead_of)).status == 429:
            assert self._heard(person, kind) == heard, "it was sent again before the pause was over"
            self.counts["told to wait before it is sent again"] += 1
            await asyncio.sleep(int(reply.headers["Retry-After"]))
        assert reply.status == 201, f"asked again: {reply.status} {reply.body}"
        early = person.begun_at + PAUSE_SECONDS - time.monotonic()
        assert kind is not person.asked_by or early <= 0, f"it was sent again {early:.1f} s early"
        sign_in.body = {**sign_in.body, **reply.body}

    async def _verify(self, handset: Handset, kind: MethodKind, sign_in: SignIn, number: int) -> None:
        """Type the code of the text that came as this one, or press # in the call."""
        if kind is MethodKind.CALL_MOBILE:
            call = None
            for _ in range(number):
                call = await handset.next_call()
            assert call is not None
            call.answer()
            await call.asks()
            call.press("#")
            return
        while len(handset.texts) < number:
            await self.carrier.changes.after(self.carrier.changes.number)
        (code,) = re.findall(r"\b\d{6}\b", handset.texts[-1].body)
        path = f"/v1/sign-ins/{sign_in.id}/code"
        reply = await self.browser.request("POST", path, headers=sign_in.bearer, json={"code": code})
        assert reply.status == 200, f"the code was refused: {reply.status} {reply.body}"


async def run(
    folder: Path,
    *,
    rounds: int,
    seed: int,
    say: Say,
    deployment: Deployment = Deployment.EMBEDDED,
    mutation: str | None = None,
) -> Report:
    """Kill `rounds` times; see the module. A `mutation` is a break of mutants.py."""
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    async with AsyncExitStack() as stack:
        company = await stack.enter_async_context(world(pace=None))
        service = await deployed(stack, folder, deployment, **SETTINGS, **telephony_settings(company))
        if mutation is not None:
            service.program = (service.program[0], "-m", "tests.soak.mutants", mutation, "serve")
        stack.push_async_callback(service.kill)
        await service.start()
        desk = await stack.enter_async_context(office(service))
        browser = await stack.enter_async_context(desk.browser())
        texts = Texts(company.carrier, service, desk, browser, dice)
        for number in range(rounds):
            await texts.kill(tuple(Moment)[number % len(Moment)])
            if number % 20 == 19:
                say(f"{number + 1} of {rounds} kills, {len(texts.faults)} faults")
        await service.stop()
        faults = texts.faults + await written(service)
    return Report([_table(texts, rounds, seed, deployment, faults)], at_most(faults))


def _table(texts: Texts, rounds: int, seed: int, deployment: Deployment, faults: list[str]) -> Table:
    rows = [(what, str(count)) for what, count in sorted(texts.counts.items())]
    known = Latency.of(texts.known)
    rows.append(("seconds from restart to knowing, median / p99", f"{known.p50 / 1e3:.1f} / {known.p99 / 1e3:.1f}"))
    rows.append(("faults", str(len(faults))))
    title = f"{rounds} times kill -9 around a provider's calls, {deployment} (seed {seed}), {PEOPLE} people each"
    return Table(title, ("what", "count"), rows)
