"""SIGTERM while hundreds wait, watch, are connected and answer: everybody is sent away politely.

R-15: polls held are answered with what is so, event streams end, sockets close with 1012 at moments of their own, and
the process ends with 0. Answers come just then and while sockets are being closed: each has its outcome on the socket
that it was given on, or was not taken at all, and then its sign-in still waits for the phone to come back.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.machine import allow_open_files
from bench.results import Table
from tests.soak import checker
from tests.soak.browsers import Begun, Caller, address_of, begin
from tests.soak.crowd import RESTARTING, LightPhone, Owner, enrol
from tests.soak.gauges import until
from tests.soak.history import History
from tests.soak.story import WIDE_OPEN, Report, Say, at_most
from tests.support.browser import App
from tests.support.people import office
from tests.support.service import Service

ANSWERING = 20
"""One in so many phones answers just when the server is told to end, and one a little later, if it can still."""
LATER_SECONDS = 2.0
AT_ONCE = 64
SETTLE_SECONDS = 60.0


async def run(folder: Path, *, rounds: int, seed: int, say: Say) -> Report:
    """`rounds` polls, as many sockets, and a twentieth as many answers; see the module."""
    allow_open_files(4 * rounds + 500)
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    service = Service(folder, **WIDE_OPEN)
    await service.start()
    crowd = _Crowd(service, folder, dice)
    try:
        async with office(service) as desk:
            app = await desk.application()
            owners = await enrol(desk, address_of(service), rounds)
        await crowd.gather(app, owners)
        say(f"{rounds} polls and sockets are open")
        code, seconds = await crowd.send_away()
    finally:
        await service.kill()
        crowd.close()
    faults = crowd.faults
    if code != 0:
        faults.append(f"the server ended with {code}")
    with checker.copied(folder / "data" / "push-service.db") as connection:
        faults += crowd.unreplied(connection)
        faults += checker.check_rows(connection)
        faults += checker.check_agreement(checker.load(crowd.history.path), connection)
    rows = [(what, str(count)) for what, count in sorted(crowd.counts.items())]
    rows += [
        ("seconds from the first socket closed to the last", f"{crowd.spread:.1f}"),
        ("seconds from SIGTERM to the end", f"{seconds:.1f}"),
        ("faults", str(len(faults))),
    ]
    title = f"SIGTERM with {rounds} polls, {rounds} sockets and {len(crowd.answering)} answers under way (seed {seed})"
    return Report([Table(title, ("what", "count"), rows)], at_most(faults))


class _Crowd:
    def __init__(self, service: Service, folder: Path, dice: random.Random) -> None:
        self.service = service
        self.history = History(folder / "drain.jsonl")
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self.answering: list[tuple[LightPhone, Begun]] = []
        self._later: list[tuple[LightPhone, Begun]] = []
        self._phones: list[LightPhone] = []
        self._begun: list[Begun] = []
        self._callers: list[Caller] = []
        self._polls: list[asyncio.Task[None]] = []
        self._dice = dice

    async def gather(self, app: App, owners: Sequence[Owner]) -> None:
        """Everybody's phone is connected and shows a prompt; everybody's browser waits."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(owner: Owner) -> None:
            phone = LightPhone(address_of(self.service), self.service.url, owner, self._dice)
            caller = Caller(address_of(self.service))
            self._callers.append(caller)
            self._phones.append(phone)
            async with turns:
                await phone.connect()
                begun = await begin(caller, app, owner.username)
                await phone.prompted(begun.challenge)
            self._begun.append(begun)
            self._polls.append(asyncio.create_task(self._poll(caller, begun)))

        await asyncio.gather(*map(one, owners))
        wanted = 2 * len(owners)
        now, _ = await until(self.service, lambda held: held.listeners >= wanted, SETTLE_SECONDS)
        if now.listeners < wanted:
            self.faults.append(f"only {now.listeners} of {wanted} wait")
        by_challenge = {begun.challenge: begun for begun in self._begun}
        ours = [(phone, by_challenge[challenge]) for phone in self._phones for challenge in phone.prompts]
        some = max(1, len(ours) // ANSWERING)
        chosen = self._dice.sample(ours, 2 * some)
        self.answering, self._later = chosen[:some], chosen[some:]

    async def _poll(self, caller: Caller, begun: Begun) -> None:
        """Wait, past the news that the prompt was delivered, until the server ends; what it said last counts."""
        version = begun.version
        line = self.history.begin("browser", "poll", begun.id)
        while True:
            try:
                answer = await caller.send("GET", f"{begun.path}?wait=50&after={version}", begun.bearer)
            except OSError:
                # Its answer of a moment ago was whole; a new poll had not been taken yet.
                self.counts["polls: turned away between two"] += 1
                if version == begun.version:
                    self.faults.append(f"the poll on {begun.id} was cut off without an answer")
                return
            body = json.loads(answer.body)
            if answer.status != 200:
                self.faults.append(f"a poll was answered {answer.status}")
                return
            if body["version"] == version:
                self.counts["polls: told that nothing changed"] += 1
                return
            version, line.state, line.reason = body["version"], body["state"], body["reason"]
            if body["state"] != "pending":
                self.counts["polls: told the outcome"] += 1
                self.history.end(line)
                return

    async def send_away(self) -> tuple[int, float]:
        """Answer here and there, and end the server in the same moment."""
        for phone, begun in self.answering:
            phone.answer(begun)
        began = time.monotonic()
        later = [asyncio.create_task(self._answer_later(*each)) for each in self._later]
        code = await self.service.stop()
        seconds = time.monotonic() - began
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.gather(*later)
            await asyncio.gather(*self._polls, *(phone.lost.wait() for phone in self._phones))
        for phone in self._phones:
            self.counts[f"sockets: closed with {phone.closed_by or 'nothing'}"] += 1
            if phone.closed_by != RESTARTING:
                self.faults.append(f"a socket ended with {phone.closed_by or 'no close code'}")
        for phone, begun in self.answering:
            outcome = phone.outcomes.get(begun.challenge)
            self.counts[f"answers: {outcome or 'without reply'}"] += 1
            if outcome is not None:
                line = self.history.begin("phone", "answer", begun.id, begun.challenge)
                line.outcome = outcome
                self.history.end(line)
        if not any(phone.outcomes for phone, _ in self.answering):
            self.faults.append("not one answer had its reply")
        return code, seconds

    async def _answer_later(self, phone: LightPhone, begun: Begun) -> None:
        """Answer while sockets are being closed, unless this one already was."""
        await asyncio.sleep(self._dice.uniform(0.0, LATER_SECONDS))
        if phone.lost.is_set():
            self.counts["answers: not given, the socket was closed"] += 1
            return
        phone.answer(begun)
        self.answering.append((phone, begun))

    @property
    def spread(self) -> float:
        """Seconds between the first socket's end and the last one's."""
        ends = [phone.lost_at for phone in self._phones]
        return max(ends) - min(ends)

    def unreplied(self, connection: sqlite3.Connection) -> list[str]:
        """The faults of answers without reply: what was taken must have been told."""
        states = {row["id"]: row["state"] for row in connection.execute("SELECT id, state FROM sign_ins")}
        return [
            f"the answer to {begun.id} got no reply, and the sign-in is {states[begun.id]}"
            for phone, begun in self.answering
            if begun.challenge not in phone.outcomes and states[begun.id] != "pending"
        ]

    def close(self) -> None:
        for phone in self._phones:
            phone.close()
        for caller in self._callers:
            caller.close()
        self.history.__exit__(None, None, None)
