"""Approve against deny, fraud, cancel, another challenge and the clock, within twenty milliseconds, while many look on.

R-01, S-31, S-32: whatever the order, one outcome, the same for every observer over every outlet, one record of it, and
those who came too late are told what it became. The deadline takes part too: in half of the races the contenders meet
just where the sign-in's time ends.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.results import Table
from mobile_stub.errors import LineClosedError, RefusedError, UnreachableError
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.wire import Challenge
from push_service.model.user import UserState
from tests.soak import checker
from tests.soak.browsers import TERMINAL, Begun, Caller, Observer, address_of, begin
from tests.soak.history import History
from tests.soak.story import WIDE_OPEN, Report, Say, at_most
from tests.support.browser import App
from tests.support.people import Office, office
from tests.support.service import Service

LANES = 6
"""Races at once, each on a person of their own."""
SPREAD_SECONDS = 0.02
LIFETIME_SECONDS = 2
PROMPT_SECONDS = 1.5
PATIENCE_SECONDS = 40.0


@dataclass
class Lane:
    """One person with two phones, and the connections that their races are seen over."""

    username: str
    phones: tuple[Phone, Phone]
    callers: list[Caller]
    races: int = 0
    ended: Counter[str] = field(default_factory=Counter)


class Races:
    """One run."""

    def __init__(self, service: Service, app: App, history: History, dice: random.Random) -> None:
        self._service, self._app, self._history, self._dice = service, app, history, dice
        self.contenders: Counter[str] = Counter()
        self.unprompted = 0

    async def lane(self, desk: Office) -> Lane:
        """Make a person with two phones on the socket."""
        person = await desk.person(password=None, state=UserState.ENFORCED)
        phones = (await desk.phone(person, name="A"), await desk.phone(person, name="B"))
        return Lane(person.username, phones, [Caller(address_of(self._service)) for _ in range(7)])

    async def race(self, lane: Lane) -> None:
        """One sign-in, all contenders, all observers."""
        begun = await begin(lane.callers[0], self._app, lane.username)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_SECONDS):
            looking = [
                group.create_task(self._observer(lane, begun, 1, "poll-1").poll()),
                group.create_task(self._observer(lane, begun, 2, "poll-2").poll()),
                group.create_task(self._observer(lane, begun, 3, "plain").watch()),
                group.create_task(self._observer(lane, begun, 4, "events").stream()),
            ]
            listing = group.create_task(self._list(lane.phones[1], begun, over))
            first, second = await asyncio.gather(*(self._prompt(phone, begun.challenge) for phone in lane.phones))
            if first is None or second is None:
                self.unprompted += 1
            else:
                await self._contend(lane, begun, (first, second))
            await self._finish(lane, begun)
            await asyncio.gather(*looking)
            over.set()
            await listing
        fresh = Observer(self._history, lane.callers[6], begun, "fresh")
        lane.ended[(await fresh.do("get")).state or "?"] += 1
        lane.callers[6].close()
        lane.races += 1

    def _observer(self, lane: Lane, begun: Begun, connection: int, name: str) -> Observer:
        return Observer(self._history, lane.callers[connection], begun, name)

    async def _prompt(self, phone: Phone, challenge_id: str) -> Challenge | None:
        """The prompt on this phone's screen; None if the sign-in's time was over first."""
        try:
            async with asyncio.timeout(PROMPT_SECONDS):
                while (challenge := await phone.next_challenge()).id != challenge_id:
                    pass
                return challenge
        except TimeoutError:
            return None

    async def _contend(self, lane: Lane, begun: Begun, prompts: tuple[Challenge, Challenge]) -> None:
        (one, other), dice = lane.phones, self._dice
        browser = Observer(self._history, lane.callers[5], begun, "browser")
        again = {"method_id": begun.method, "instead_of": begun.challenge}

        def answer(phone: Phone, asked: Challenge, decision: Decision, *, http: bool) -> Callable[[], Awaitable[None]]:
            return lambda: self._answer(phone, begun, asked, decision, http=http)

        entrants: dict[str, Callable[[], Awaitable[object]]] = {
            "approve by socket": answer(one, prompts[0], Decision.VERIFY, http=False),
            "approve by HTTP": answer(other, prompts[1], Decision.VERIFY, http=True),
            "deny": answer(other, prompts[1], Decision.DENY, http=False),
            "fraud": answer(one, prompts[0], Decision.REPORT_FRAUD, http=True),
            "cancel": lambda: browser.do("cancel", "DELETE"),
            "choose again": lambda: Observer(self._history, lane.callers[0], begun, "browser-2").do(
                "choose", "POST", "/challenges", again
            ),
        }
        names = dice.sample(list(entrants), dice.randint(3, len(entrants)))
        if dice.random() < 0.5:
            at = begun.expires_at - SPREAD_SECONDS / 2
            self.contenders["expiry"] += 1
        else:
            at = min(time.time() + 0.03, begun.expires_at - SPREAD_SECONDS)
        self.contenders.update(names)
        starts = [(at + dice.uniform(0, SPREAD_SECONDS), entrants[name]) for name in names]
        await asyncio.gather(*(_at(moment, enter) for moment, enter in starts))

    async def _answer(self, phone: Phone, begun: Begun, asked: Challenge, decision: Decision, *, http: bool) -> None:
        signed = phone.sign(asked, decision, begun.number if decision is Decision.VERIFY else None)
        line = self._history.begin(f"{phone.identity.name}/{decision}", "answer", begun.id, asked.id)
        try:
            reply = await (phone.send_by_http(asked.id, signed) if http else phone.send(asked.id, signed))
        except (UnreachableError, LineClosedError):
            self._history.end(line, "info")
            return
        except RefusedError as refusal:
            line.code, line.status = refusal.code, refusal.status
            self._history.end(line, "fail")
            return
        late = reply.outcome == "too_late"
        line.outcome, line.state, line.code = reply.outcome.value, reply.state, "too_late" if late else None
        self._history.end(line, "fail" if late else "ok")

    async def _list(self, phone: Phone, begun: Begun, over: asyncio.Event) -> None:
        """Ask the device's list, again and again, whether the challenge is still asked."""
        last = False
        while not last:
            last = over.is_set()
            line = self._history.begin(f"{phone.identity.name}/list", "list", begun.id, begun.challenge)
            asked = {each.id for each in (await phone.api.challenges()).challenges}
            line.outcome = "asked" if begun.challenge in asked else "gone"
            self._history.end(line)
            if not last:
                await asyncio.sleep(0.03)

    async def _finish(self, lane: Lane, begun: Begun) -> None:
        """Where another challenge won, the sign-in is still open: approve it, cancel it, or let its time end."""
        look = Observer(self._history, lane.callers[5], begun, "browser")
        line = await look.do("get")
        if line.state in TERMINAL or begun.expires_at <= time.time():
            return
        how = self._dice.choice(("cancel", "expire"))
        if how == "cancel":
            await look.do("cancel", "DELETE")


async def _at(moment: float, enter: Callable[[], Awaitable[object]]) -> None:
    await asyncio.sleep(max(0.0, moment - time.time()))
    await enter()


async def run(folder: Path, *, rounds: int, seed: int, say: Say, service: Service | None = None) -> Report:
    """Race `rounds` sign-ins; see the module."""
    settings = WIDE_OPEN | {"POLICY__SIGN_IN_SECONDS": str(LIFETIME_SECONDS)}
    service = service or Service(folder, **settings)
    service.environment |= {f"PUSH_SERVICE_{name}": value for name, value in settings.items()}
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    await service.start()
    try:
        with History(folder / "races.jsonl") as history:
            async with AsyncExitStack() as stack:
                desk = await stack.enter_async_context(office(service))
                races = Races(service, await desk.application(), history, dice)
                lanes = [await races.lane(desk) for _ in range(min(LANES, rounds))]
                for lane in lanes:
                    for phone in lane.phones:
                        await stack.enter_async_context(phone)
                        stack.callback(_close, lane.callers)
                left = iter(range(rounds))
                async with asyncio.TaskGroup() as group:
                    for lane in lanes:
                        group.create_task(_drive(races, lane, left, rounds, say))
        code = await service.stop()
    finally:
        await service.kill()
    ops = checker.load(history.path)
    faults = checker.check_history(ops)
    with checker.copied(folder / "data" / "push-service.db") as connection:
        faults += checker.check_rows(connection) + checker.check_agreement(ops, connection)
    if code != 0:
        faults.append(f"the server ended with {code}")
    return Report([_table(races, lanes, ops, rounds, seed, faults)], at_most(faults))


async def _drive(races: Races, lane: Lane, left: Iterator[int], rounds: int, say: Say) -> None:
    for number in left:
        await races.race(lane)
        if number % 50 == 49:
            say(f"{number + 1} of {rounds} races")


def _close(callers: list[Caller]) -> None:
    for caller in callers:
        caller.close()


def _table(races: Races, lanes: list[Lane], ops: list[checker.Op], rounds: int, seed: int, faults: list[str]) -> Table:
    ended: Counter[str] = Counter()
    for lane in lanes:
        ended.update(lane.ended)
    late = sum(op.get("code") == "too_late" for op in ops)
    rows = [(f"ended {state}", str(count)) for state, count in sorted(ended.items())]
    rows += [(f"contender: {name}", str(count)) for name, count in sorted(races.contenders.items())]
    rows += [("told too_late", str(late)), ("observations", f"{len(ops):,}"), ("contradictions", str(len(faults)))]
    return Table(
        f"{rounds} races (seed {seed}), contenders within {SPREAD_SECONDS * 1e3:.0f} ms",
        ("what", "count"),
        rows,
        [f"{races.unprompted} races began so late that the prompt was not on both phones in time."]
        if races.unprompted
        else [],
    )
