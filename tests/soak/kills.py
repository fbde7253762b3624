"""kill -9 of the server at random moments, under begins and answers that go on as if nothing had happened.

R-02, R-04, R-22: what a phone was told is done is done after the restart; what it was not told can be said again and
has its effect once; and after every single kill the files show nothing half-done. Half of the kills fall up to 50 ms
after an answer was written, a quarter right upon an acknowledgement, a quarter upon a begin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.figures import Latency
from bench.results import Table
from mobile_stub.backoff import Backoff
from mobile_stub.errors import LineClosedError, UnreachableError
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import Setup
from mobile_stub.wire import Challenge, Reply
from push_service.model.user import UserState
from tests.soak import checker
from tests.soak.browsers import TERMINAL, Begun, Caller, Observer, address_of, basic
from tests.soak.history import History
from tests.soak.story import WIDE_OPEN, Report, Say, at_most
from tests.support.browser import App
from tests.support.people import office
from tests.support.service import Service

PEOPLE = 5
AFTER_WRITING_SECONDS = 0.05
PATIENCE_SECONDS = 20.0
"""How long a person keeps trying before the story says that the service did not come back for them."""
EVENTS = ("answer written", "answer written", "acknowledged", "begin written")
AGAIN_SECONDS = 0.05


class Kills:
    """One run: people who go on signing in, and a hand that kills."""

    def __init__(self, service: Service, app: App, history: History, dice: random.Random, patience: float) -> None:
        self._service, self._app, self._history, self._dice = service, app, history, dice
        self._patience = patience
        self._wanted = ""
        self._happened = asyncio.Event()
        self.stopping = False
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self.away: list[float] = []
        self.begun: set[str] = set()
        self._unacknowledged: dict[str, str] = {}
        self._acknowledged: dict[str, str] = {}

    def _tell(self, event: str) -> None:
        if event == self._wanted:
            self._happened.set()

    # --- the people ---------------------------------------------------------------------------------------------------

    async def person(self, username: str, phone: Phone) -> None:
        """Sign in, again and again, through whatever happens."""
        caller = Caller(address_of(self._service))
        try:
            while not self.stopping:
                async with asyncio.timeout(self._patience):
                    await self._sign_in(caller, username, phone)
        except TimeoutError:
            self.faults.append(f"{username}'s sign-in came to nothing within {self._patience:.0f} s")
        except LineClosedError as closed:
            self.faults.append(f"{username}'s phone was sent away for good: {closed}")
        finally:
            caller.close()

    async def _sign_in(self, caller: Caller, username: str, phone: Phone) -> None:
        begun = await self._begin(caller, username)
        self.begun.add(begun.id)
        asked = await _prompt(phone, begun.challenge)
        decision = self._dice.choice((Decision.VERIFY, Decision.VERIFY, Decision.DENY))
        signed = phone.sign(asked, decision, begun.number if decision is Decision.VERIFY else None)
        first = await self._answer(phone, begun, signed)
        await self._look(caller, begun)
        await self._answer_again(phone, begun, signed, first)

    async def _begin(self, caller: Caller, username: str) -> Begun:
        """Begin with an Idempotency-Key, until there is an answer: one sign-in, however often it is sent."""
        headers = basic(self._app) | {"Idempotency-Key": secrets.token_urlsafe(16)}
        while True:
            with contextlib.suppress(OSError):
                sent = asyncio.ensure_future(caller.send("POST", "/v1/sign-ins", headers, {"username": username}))
                self._tell("begin written")
                answer = await sent
                if answer.status == 201:
                    return Begun(json.loads(answer.body))
                if answer.status < 500:
                    raise AssertionError(f"a begin was refused: {answer.status} {answer.body[:200]!r}")
            await asyncio.sleep(AGAIN_SECONDS)

    async def _answer(self, phone: Phone, begun: Begun, signed: str) -> Reply:
        """Send the answer over the line, which sends the same text again whenever it breaks."""
        line = self._history.begin(phone.identity.name, "answer", begun.id, begun.challenge)
        self._unacknowledged[begun.id] = begun.challenge
        sent = asyncio.ensure_future(phone.send(begun.challenge, signed))
        self._tell("answer written")
        reply = await sent
        line.outcome = reply.outcome.value
        self._history.end(line)
        del self._unacknowledged[begun.id]
        self._acknowledged[begun.id] = reply.outcome.value
        self._tell("acknowledged")
        return reply

    async def _look(self, caller: Caller, begun: Begun) -> None:
        """The browser, which is told the outcome, with the signed result where it was approved."""
        observer = Observer(self._history, caller, begun, "browser")
        while True:
            line = await observer.do("get")
            if line.type != "info":
                break
            await asyncio.sleep(AGAIN_SECONDS)
        if line.state not in TERMINAL:
            self.faults.append(f"{begun.id} was answered, and its browser was told {line.state or line.code}")
        elif line.state == "approved":
            await self._result(caller, begun)

    async def _result(self, caller: Caller, begun: Begun) -> None:
        while True:
            with contextlib.suppress(OSError):
                answer = await caller.send("GET", begun.path, begun.bearer)
                if answer.status == 200:
                    if not json.loads(answer.body).get("result"):
                        self.faults.append(f"{begun.id} is approved without a result")
                    return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _answer_again(self, phone: Phone, begun: Begun, signed: str, first: Reply) -> None:
        """The same answer, by the other door: the same reply."""
        while True:
            try:
                again = await phone.send_by_http(begun.challenge, signed)
            except UnreachableError:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if again.outcome != first.outcome:
                self.faults.append(f"{begun.id}: first {first.outcome}, for the same answer again {again.outcome}")
            self.counts["answers repeated"] += 1
            return

    # --- the hand that kills ------------------------------------------------------------------------------------------

    async def kill(self, database: Path) -> None:
        """Wait for the moment that the dice name, kill, look at what is left, and start again."""
        event = self._dice.choice(EVENTS)
        delay = 0.0 if event == "acknowledged" else self._dice.uniform(0.0, AFTER_WRITING_SECONDS)
        self._wanted = event
        self._happened.clear()
        try:
            async with asyncio.timeout(self._patience):
                await self._happened.wait()
        except TimeoutError:
            self.faults.append(f"no {event} within {self._patience:.0f} s: nobody signs in any more")
        if delay:
            await asyncio.sleep(delay)
        await self._service.kill()
        died = time.monotonic()
        self._judge(event, database)
        await self._service.start()
        self.away.append(time.monotonic() - died)

    def _judge(self, event: str, database: Path) -> None:
        """What the files say while nobody runs."""
        self.counts[f"killed upon {event}"] += 1
        acknowledged, open_ = dict(self._acknowledged), dict(self._unacknowledged)
        with checker.copied(database) as connection:
            self.faults += checker.check_rows(connection)
            stored = dict(connection.execute("SELECT id, state FROM sign_ins").fetchall())
        for sign_in, outcome in acknowledged.items():
            wanted = {"completed": "approved", "denied": "denied"}.get(outcome)
            if stored.get(sign_in) != wanted:
                self.faults.append(f"{sign_in} was acknowledged {outcome}; after the kill it is {stored.get(sign_in)}")
        decided = sum(stored.get(each) in TERMINAL for each in open_)
        self.counts["in flight at a kill, and committed"] += decided
        self.counts["in flight at a kill, still pending"] += len(open_) - decided


async def _prompt(phone: Phone, challenge_id: str) -> Challenge:
    while (challenge := await phone.next_challenge()).id != challenge_id:
        pass
    return challenge


@asynccontextmanager
async def _people(kills: Kills, service: Service) -> AsyncIterator[None]:
    """Everybody signing in, for as long as the block lasts; they end what they began before it is left."""
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(office(service))
        setup = Setup(backoff=lambda: Backoff(base=0.05, cap=0.2))
        everyone = []
        for _ in range(PEOPLE):
            user = await desk.person(password=None, state=UserState.ENFORCED)
            phone = await desk.phone(user, name=f"phone of {user.username}", setup=setup)
            everyone.append((user.username, await stack.enter_async_context(phone)))
        async with asyncio.TaskGroup() as group:
            for username, phone in everyone:
                group.create_task(kills.person(username, phone))
            try:
                yield
            finally:
                kills.stopping = True


async def run(
    folder: Path,
    *,
    rounds: int,
    seed: int,
    say: Say,
    service: Service | None = None,
    enough: Callable[[list[str]], bool] = lambda _: False,
    patience: float = PATIENCE_SECONDS,
) -> Report:
    """Kill `rounds` times; see the module. `enough` may end it early, by the faults found so far."""
    service = service or Service(folder)
    service.environment |= {f"PUSH_SERVICE_{name}": value for name, value in WIDE_OPEN.items()}
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    database = folder / "data" / "push-service.db"
    await service.start()
    try:
        async with office(service) as desk:
            app = await desk.application()
        with History(folder / "kills.jsonl") as history:
            kills = Kills(service, app, history, dice, patience)
            async with _people(kills, service):
                for number in range(rounds):
                    await kills.kill(database)
                    if number % 20 == 19:
                        say(f"{number + 1} of {rounds} kills, {len(kills.faults)} faults")
                    if enough(kills.faults):
                        break
        await service.stop()
    finally:
        await service.kill()
    ops = checker.load(history.path)
    faults = kills.faults + checker.check_history(ops)
    with checker.copied(database) as connection:
        faults += checker.check_rows(connection) + checker.check_agreement(ops, connection)
        stored = {row[0] for row in connection.execute("SELECT id FROM sign_ins")}
    faults += [f"{each} is stored, and nobody began it: a begin was done twice" for each in stored - kills.begun]
    return Report([_table(kills, rounds, seed, faults)], at_most(faults))


def _table(kills: Kills, rounds: int, seed: int, faults: list[str]) -> Table:
    rows = [(what, str(count)) for what, count in sorted(kills.counts.items())]
    rows.append(("sign-ins begun and answered", str(len(kills.begun))))
    back = Latency.of(kills.away)
    rows.append(("seconds from kill to ready, median / p99", f"{back.p50 / 1e3:.1f} / {back.p99 / 1e3:.1f}"))
    rows.append(("contradictions", str(len(faults))))
    return Table(f"{rounds} times kill -9 (seed {seed}), {PEOPLE} people signing in", ("what", "count"), rows)
