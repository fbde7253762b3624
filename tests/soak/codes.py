"""Codes that are typed at the same moment: of fifty right ones one approves, of two hundred wrong ones ten are judged.

S-21, S-24, S-61. Right codes of an app and of a text, from a printed list and of a bypass, and guesses; told embedded
and of several processes on PostgreSQL and Redis.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from bench.figures import Latency
from bench.results import Table
from mobile_stub.surroundings import Reach, Setup
from mobile_stub.world import world
from push_service.model.challenge import MethodKind
from push_service.model.user import User, UserState
from tests.soak.deployed import deployed, written
from tests.soak.story import Report, Say, at_most
from tests.support.at_once import at_once
from tests.support.browser import Browser, Json, SignIn
from tests.support.deployments import Deployment
from tests.support.people import Office, office
from tests.support.service import Service
from tests.support.telephony import give_phone, telephony_settings

AT_ONCE, GUESSES, TRIES = 50, 200, 10
POLLING = Setup(reach=Reach.POLL)
SETTINGS = {
    "POLICY__SEND_AGAIN_SECONDS": "0",
    **{f"TELEPHONY__LIMIT_{each}": "1000000/1h" for each in ("NUMBER", "PREFIX", "COUNTRY", "TOTAL")},
}


class Round(StrEnum):
    """What is typed."""

    APP = "the app's code, in two sign-ins"
    TEXT = "a text's code"
    LIST = "a recovery code, in two sign-ins"
    BYPASS = "a bypass, in two sign-ins"
    GUESSES = "wrong codes"


METHODS = {
    Round.APP: MethodKind.APP_CODE,
    Round.TEXT: MethodKind.TEXT_MOBILE,
    Round.LIST: MethodKind.RECOVERY_CODE,
    Round.BYPASS: MethodKind.BYPASS,
    Round.GUESSES: MethodKind.TEXT_MOBILE,
}
BROWSERS = {Round.TEXT: 1, Round.GUESSES: 1}


@dataclass
class _Story:
    desk: Office
    service: Service
    browser: Browser
    dice: random.Random
    taken: list[float] = field(default_factory=list)
    counts: Counter[tuple[Round, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    async def round(self, number: int) -> None:
        kind = list(Round)[number % len(Round)]
        user = await self.desk.person(password=None, state=UserState.ENFORCED)
        async with await self.desk.phone(user, setup=POLLING) as phone:
            await give_phone(self.desk, user, MethodKind.TEXT_MOBILE, f"+44{1_632_960_000 + number % 1000}")
            known = await self._known(kind, user)
            sign_ins = [await self._asked(user, METHODS[kind]) for _ in range(BROWSERS.get(kind, 2))]
            code = phone.code() if kind is Round.APP else known or await self._text(sign_ins[0])
        codes = [code] * AT_ONCE
        if kind is Round.GUESSES:
            codes = [f"{(int(code) + 1 + n) % 10**6:06d}" for n in range(GUESSES)]
        self.dice.shuffle(codes)
        began = time.monotonic()
        answers = await self._typed(sign_ins, codes)
        self.taken.append(time.monotonic() - began)
        for status, body in answers:
            self.counts[kind, "approved" if status == 200 else f"{status} {body['code']}"] += 1
        states = [(await each.look())["state"] for each in sign_ins]
        results = {body["result"] for status, body in answers if status == 200}
        if kind is Round.GUESSES:
            left = sorted(body["tries_left"] for status, body in answers if status == 403)
            if left != list(range(TRIES)) or results or states != ["failed"]:
                self.faults.append(f"{kind}: tries left {left}, {len(results)} results, {states}")
        elif sum(status == 200 for status, _ in answers) != 1 or len(results) != 1 or states.count("approved") != 1:
            self.faults.append(f"{kind}: {len(results)} results, {states}")

    async def _known(self, kind: Round, user: User) -> str:
        """What is told to the person beforehand."""
        if kind is Round.LIST:
            return (await self.desk.core.recovery.issue_codes(user, None))[0]
        if kind is Round.BYPASS:
            return (await self.desk.core.recovery.issue_bypass(user, 5, "lost phone", "the help desk")).code
        return ""

    async def _asked(self, user: User, by: MethodKind) -> SignIn:
        """A sign-in that asks for such a code."""
        sign_in = await self.browser.begin(user.username)
        if sign_in.body["challenge"]["method"] != by:
            chosen = next(each["id"] for each in (await sign_in.look())["methods"] if each["method"] == by)
            reply = await sign_in.choose(chosen)
            assert reply.status == 201, reply
        return sign_in

    async def _text(self, sign_in: SignIn) -> str:
        found = await self.desk.core.store.challenge((await sign_in.look())["challenge"]["id"])
        assert found
        assert found.challenge
        assert found.challenge.secret
        return found.challenge.secret

    async def _typed(self, sign_ins: Sequence[SignIn], codes: Sequence[str]) -> list[tuple[int, Json]]:
        calls = []
        for number, code in enumerate(codes):
            sign_in = sign_ins[number % len(sign_ins)]
            calls.append(("POST", f"/v1/sign-ins/{sign_in.id}/code", sign_in.bearer, {"code": code}))
        return [(answer.status, json.loads(answer.body)) for answer in await at_once(self.service, calls)]


async def run(
    folder: Path, *, rounds: int, seed: int, say: Say, deployment: Deployment = Deployment.EMBEDDED
) -> Report:
    """See the module."""
    async with AsyncExitStack() as stack:
        company = await stack.enter_async_context(world(pace=None))
        service = await deployed(stack, folder, deployment, **SETTINGS, **telephony_settings(company))
        stack.push_async_callback(service.kill)
        await service.start()
        async with office(service) as desk, desk.browser() as browser:
            story = _Story(desk, service, browser, random.Random(seed))  # noqa: S311 - a story's dice
            for number in range(rounds):
                await story.round(number)
                if number % 20 == 19:
                    say(f"{number + 1} of {rounds} rounds, {len(story.faults)} faults")
        assert await service.stop() == 0
        faults = [*story.faults, *await asyncio.wait_for(written(service), None)]
    return Report(tables=_tables(story, rounds, seed, deployment, faults), faults=at_most(faults))


def _tables(story: _Story, rounds: int, seed: int, deployment: Deployment, faults: Sequence[str]) -> Sequence[Table]:
    latency = Latency.of(story.taken)
    title = f"{rounds:,} times {AT_ONCE} right codes, or {GUESSES} wrong ones, at once on {deployment} (seed {seed})"
    rows = [(kind.value, what, f"{count:,}") for (kind, what), count in sorted(story.counts.items())]
    rows += [
        ("all of them answered, median / p99 (ms)", "", f"{latency.p50:.0f} / {latency.p99:.0f}"),
        ("faults", "", str(len(faults))),
    ]
    return [Table(title, ("typed at once", "answer", "count"), rows)]
