"""People who sign in at a steady rate through whatever happens, and do what docs/protocol.md says.

A begin without an answer is repeated with its key, a poll is asked again, 429 and 503 are heeded; a phone gives the
same signed answer until it is told an outcome. Most phones keep a socket. Some have none: they are woken, or else their
owner opens the app after a while. Everything that anybody is told goes into the history.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

from bench.wire import Address, Response
from mobile_stub.errors import PhoneError, UnreachableError
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.wire import Challenge, DeviceChange
from tests.soak.browsers import TERMINAL, Begun, Caller, basic, fill
from tests.soak.crowd import LightPhone
from tests.soak.history import History, Line
from tests.support.browser import App

PATIENCE_SECONDS = 115.0
"""As long as a sign-in lasts, almost: who had no outcome by then was failed."""
THINKING_SECONDS = 4.0
"""At the longest: so that some thirty people wait for their phone's outcome whenever something happens."""
BEGIN_SECONDS = 10.0
POLL_SECONDS = 25
POLL_PATIENCE_SECONDS = 10.0
OUTCOME_SECONDS = 10.0
OPEN_AFTER_SECONDS = 8.0
"""Who was not woken by then opens the app."""
AGAIN_SECONDS = 1.0
LATER_SECONDS = 20.0
"""When a browser that knows the outcome asks once more, at the latest."""
PASSING = frozenset({429, 502, 503, 504})
TRY_AGAIN = frozenset({"store_unavailable", "busy", "too_many_requests"})
INTENTS = {"verify": "completed", "deny": "denied", "wrong number": "wrong_number"}
"""What people do, and what their phone is told of it."""


class Told(NamedTuple):
    """What came of an answer; where it was too late, what had become of the sign-in."""

    outcome: str
    state: str | None = None


class Holder(Protocol):
    """A person with a phone."""

    @property
    def username(self) -> str:
        """Whom to sign in."""
        ...

    async def answer(self, begun: Begun, intent: str, think: Callable[[], Awaitable[None]]) -> Told:
        """See the prompt, think, and answer until there is an outcome."""
        ...


class Connected:
    """A phone on its socket."""

    def __init__(self, phone: LightPhone, counts: Counter[str]) -> None:
        self._phone, self._counts = phone, counts
        self.username = phone.owner.username

    async def answer(self, begun: Begun, intent: str, think: Callable[[], Awaitable[None]]) -> Told:
        """See Holder."""
        phone = self._phone
        await phone.prompted(begun.challenge)
        decision = "deny" if intent == "deny" else "verify"
        signed = phone.sign(begun, decision, _typed(begun, intent))
        await think()
        while True:
            await phone.ready.wait()
            phone.outcomes.pop(begun.challenge, None)
            phone.give(begun.challenge, signed)
            await _first(phone.told(begun.challenge), phone.lost.wait(), OUTCOME_SECONDS)
            told = phone.outcomes.get(begun.challenge)
            if told is not None and told not in TRY_AGAIN:
                return Told(told, phone.states.get(begun.challenge))
            self._counts["answers given again"] += 1
            if told is not None:
                await asyncio.sleep(AGAIN_SECONDS)


class Woken:
    """A phone without a socket."""

    def __init__(self, username: str, phone: Phone, counts: Counter[str]) -> None:
        self.username, self._phone, self._counts = username, phone, counts

    async def answer(self, begun: Begun, intent: str, think: Callable[[], Awaitable[None]]) -> Told:
        """See Holder."""
        asked = await self._asked(begun.challenge)
        decision = Decision.DENY if intent == "deny" else Decision.VERIFY
        signed = self._phone.sign(asked, decision, _typed(begun, intent) if decision is Decision.VERIFY else None)
        await think()
        while True:
            try:
                reply = await self._phone.send_by_http(asked.id, signed)
                return Told(reply.outcome.value, reply.state)
            except UnreachableError as trouble:
                self._counts["answers given again"] += 1
                await asyncio.sleep(trouble.retry_after or AGAIN_SECONDS)

    async def _asked(self, challenge_id: str) -> Challenge:
        by_hand = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS if by_hand else OPEN_AFTER_SECONDS):
                    while (challenge := await self._phone.next_challenge()).id != challenge_id:
                        pass
                    self._counts["apps opened by hand" if by_hand else "phones woken"] += 1
                    return challenge
            by_hand = True
            with contextlib.suppress(UnreachableError):
                await self._open()

    async def _open(self) -> None:
        """Open the app: it shows what is asked, and says by which token it can be woken."""
        for challenge in (await self._phone.api.challenges()).challenges:
            await self._phone.prompts.on_challenge(challenge)
        await self._phone.api.change(DeviceChange(push_token=self._phone.identity.push_token))


def _typed(begun: Begun, intent: str) -> str:
    return begun.number if intent != "wrong number" else f"{(int(begun.number) + 1) % 10 ** len(begun.number):02}"


async def _first(one: Awaitable[object], other: Awaitable[object], seconds: float) -> None:
    """Wait for either, but not for longer than that."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Contest:
    """Where two meet, to do something at the same moment."""

    def __init__(self) -> None:
        self._waiting = 2
        self._met = asyncio.Event()

    async def meet(self) -> None:
        """Wait for the other."""
        self._waiting -= 1
        if not self._waiting:
            self._met.set()
        await self._met.wait()


class People:
    """Everybody, and what they counted. `contested` is the share of sign-ins that somebody cancels meanwhile."""

    def __init__(self, address: Address, app: App, history: History, dice: random.Random, contested: float) -> None:
        self._address, self._app, self._history, self._dice = address, app, history, dice
        self._contested = contested
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.begun: set[str] = set()
        self._free: list[Holder] = []
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def signing_in(self, everyone: Sequence[Holder], per_second: float) -> AsyncIterator[None]:
        """Sign-ins begin, until the block is left; then they come to their end."""
        self._free = list(everyone)
        async with asyncio.TaskGroup() as group:
            pacing = group.create_task(self._pace(group, per_second))
            try:
                yield
            finally:
                self._stop.set()
                await pacing

    async def _pace(self, group: asyncio.TaskGroup, per_second: float) -> None:
        """Arrivals don't wait for anybody's end; who finds no free person is counted."""
        loop, due = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        while not self._stop.is_set():
            if self._free:
                group.create_task(self._sign_in(self._free.pop(self._dice.randrange(len(self._free)))))
            else:
                self.counts["arrivals that found everybody busy"] += 1
            due = max(due + 1 / per_second, loop.time() - 1)
            await self._until_the_end(due - loop.time())

    async def _until_the_end(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(0.0, seconds))

    async def _sign_in(self, holder: Holder) -> None:
        caller = Caller(self._address)
        begun = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                begun = await self._through(caller, holder)
        except TimeoutError:
            self.faults.append(f"{holder.username}'s sign-in came to no end in {PATIENCE_SECONDS:.0f} s")
        except PhoneError as error:
            self.faults.append(f"{holder.username}'s phone was failed: {error!r}")
        finally:
            caller.close()
            self._free.append(holder)
        if begun is not None:
            self.counts["sign-ins"] += 1
            await self._later(begun)

    async def _through(self, caller: Caller, holder: Holder) -> Begun:
        """One sign-in, from its beginning until its browser knows the outcome."""
        begun = await self._begin(caller, holder.username)
        contest = Contest() if self._dice.random() < self._contested else None
        beside = [asyncio.create_task(self._poll(caller, begun))]
        if contest is not None:
            beside.append(asyncio.create_task(self._cancel(begun, contest)))
        try:
            await self._answer(holder, begun, contest)
            await asyncio.gather(*beside)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        return begun

    async def _begin(self, caller: Caller, username: str) -> Begun:
        headers = basic(self._app) | {"Idempotency-Key": secrets.token_urlsafe(16)}
        while True:
            answer = await self._ask(
                lambda: caller.send("POST", "/v1/sign-ins", headers, {"username": username}), BEGIN_SECONDS
            )
            if answer is not None and answer.status == 201:
                begun = Begun(json.loads(answer.body))
                self.begun.add(begun.id)
                return begun
            self._judge("begin", answer)
            self.counts["begins repeated"] += 1
            await self._pause(answer)

    async def _answer(self, holder: Holder, begun: Begun, contest: Contest | None) -> None:
        intent = self._dice.choices(list(INTENTS), (8, 1, 1))[0]

        async def think() -> None:
            await asyncio.sleep(self._dice.uniform(0.0, THINKING_SECONDS))
            if contest is not None:
                await contest.meet()

        line = self._history.begin("phone", "answer", begun.id, begun.challenge)
        kind = "info"
        try:
            told = await holder.answer(begun, intent, think)
            late = told.outcome == "too_late"
            line.outcome, line.state, line.code = told.outcome, told.state, "too_late" if late else None
            kind = "fail" if late else "ok"
        finally:
            self._history.end(line, kind)
        if line.outcome != INTENTS[intent] and not (contest is not None and line.outcome == "too_late"):
            self.faults.append(f"{begun.id}: {intent} was told {line.outcome}")

    async def _cancel(self, begun: Begun, contest: Contest) -> None:
        """Cancel from another tab, by another server, at the moment of the answer; until it is known who was first."""
        caller = Caller(self._address)
        try:
            await self._look(caller, begun, "other tab", "get")  # so that it is connected when the moment comes
            await contest.meet()
            self.counts["cancelled at the moment of the answer"] += 1
            while True:
                line, answer = await self._look(caller, begun, "other tab", "cancel", method="DELETE")
                if line.type != "info":
                    return
                self._judge("cancel", answer)
                await self._pause(answer)
        finally:
            caller.close()

    async def _poll(self, caller: Caller, begun: Begun) -> None:
        """Wait for the outcome as a page does: after a failure it asks at once, without waiting."""
        version, failed = begun.version, False
        while True:
            wait = "" if failed else f"?wait={POLL_SECONDS}&after={version}"
            line, answer = await self._look(caller, begun, "browser", "poll", wait)
            if line.state in TERMINAL:
                return
            failed = line.version is None
            if failed:
                self._judge("poll", answer)
                self.counts["polls repeated"] += 1
                await self._pause(answer)
            else:
                version = line.version or version

    async def _later(self, begun: Begun) -> None:
        """Another tab, a little later: it is told the same."""
        await self._until_the_end(self._dice.uniform(0.0, LATER_SECONDS))
        caller = Caller(self._address)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (looked := await self._look(caller, begun, "fresh", "get"))[0].version is None:
                    self._judge("look", looked[1])
                    await self._pause(looked[1])
        except TimeoutError:
            self.faults.append(f"{begun.id} could not be read any more for {PATIENCE_SECONDS:.0f} s")
        finally:
            caller.close()

    async def _look(
        self, caller: Caller, begun: Begun, name: str, op: str, query: str = "", method: str = "GET"
    ) -> tuple[Line, Response | None]:
        line = self._history.begin(name, op, begun.id)
        kind = "info"
        try:
            answer = await self._ask(
                lambda: caller.send(method, begun.path + query, begun.bearer), POLL_SECONDS + POLL_PATIENCE_SECONDS
            )
            if answer is not None:
                kind = "info" if answer.status in PASSING else fill(line, answer)
        finally:
            self._history.end(line, kind)
        return line, answer

    async def _ask(self, send: Callable[[], Awaitable[Response]], seconds: float) -> Response | None:
        """The answer, or None for a failure of the network."""
        try:
            async with asyncio.timeout(seconds):
                return await send()
        except (OSError, TimeoutError):
            return None

    def _judge(self, what: str, answer: Response | None) -> None:
        if answer is not None and answer.status not in PASSING and answer.status >= 300:
            self.faults.append(f"a {what} was answered {answer.status}: {answer.body[:200]!r}")

    async def _pause(self, answer: Response | None) -> None:
        retry_after = answer.retry_after if answer is not None else None
        await asyncio.sleep(retry_after or AGAIN_SECONDS * self._dice.uniform(0.75, 1.25))
