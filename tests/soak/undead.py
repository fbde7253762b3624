"""A server that is stopped past the deadline of what it was asked, and then goes on, decides nothing any more.

R-16: answers that were on their way when it was stopped, and those sent while it was, are too late once it wakes; or
were taken before. Phones, browsers and the records agree on which.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from bench.results import Table
from tests.soak import checker
from tests.soak.browsers import Begun, Caller, address_of, begin
from tests.soak.crowd import LightPhone, enrol
from tests.soak.history import History
from tests.soak.story import WIDE_OPEN, Report, Say, at_most
from tests.support.browser import App
from tests.support.people import office
from tests.support.service import Service

PEOPLE = 12
LIFETIME_SECONDS = 2
PATIENCE_SECONDS = 30.0
STOPPED_WITHIN_SECONDS = 0.01


async def run(folder: Path, *, rounds: int, seed: int, say: Say) -> Report:
    """Stop and wake the server `rounds` times; see the module."""
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    service = Service(folder, **WIDE_OPEN, POLICY__SIGN_IN_SECONDS=str(LIFETIME_SECONDS))
    await service.start()
    counts: Counter[str] = Counter()
    try:
        async with office(service) as desk:
            app = await desk.application()
            owners = await enrol(desk, address_of(service), PEOPLE)
        phones = [LightPhone(address_of(service), service.url, owner, dice) for owner in owners]
        with History(folder / "undead.jsonl") as history:
            for number in range(rounds):
                await asyncio.gather(*(phone.connect() for phone in phones))
                await _one(service, app, phones, history, dice)
                for phone in phones:
                    phone.close()
                say(f"{number + 1} of {rounds} times stopped and continued")
        await service.stop()
    finally:
        await service.kill()
    ops = checker.load(history.path)
    faults = checker.check_history(ops)
    for op in ops:
        if op["op"] == "answer":
            counts[f"{op['client'].partition('/')[2]}: {op.get('outcome') or op.get('code')}"] += 1
        if op["op"] == "answer" and op["client"].endswith("sent while stopped") and op.get("outcome"):
            faults.append(f"an answer sent after the deadline's process was stopped was told {op['outcome']}")
    with checker.copied(folder / "data" / "push-service.db") as connection:
        faults += checker.check_rows(connection) + checker.check_agreement(ops, connection)
        late = "SELECT count(*) FROM sign_ins WHERE state IN ('approved', 'denied') AND decided_at >= expires_at"
        faults += ["an outcome fell after its deadline"] * connection.execute(late).fetchone()[0]
    rows = [(what, str(count)) for what, count in sorted(counts.items())] + [("faults", str(len(faults)))]
    title = f"{rounds} times SIGSTOP past {PEOPLE} deadlines, then SIGCONT (seed {seed})"
    return Report([Table(title, ("answers", "count"), rows)], at_most(faults))


async def _one(service: Service, app: App, phones: list[LightPhone], history: History, dice: random.Random) -> None:
    callers = [Caller(address_of(service)) for _ in phones]
    begun = await asyncio.gather(
        *(begin(caller, app, phone.owner.username) for caller, phone in zip(callers, phones, strict=True))
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(phone.prompted(each.challenge) for phone, each in zip(phones, begun, strict=True)))
    half = len(phones) // 2
    polls = [asyncio.create_task(_poll(caller, each, history)) for caller, each in zip(callers, begun, strict=True)]
    lines = {}
    for phone, each in zip(phones[:half], begun[:half], strict=True):
        lines[each.challenge] = history.begin(f"{phone.owner.device_id}/sent before", "answer", each.id)
        phone.answer(each)
    await asyncio.sleep(dice.uniform(0, STOPPED_WITHIN_SECONDS))
    os.kill(service.pid, signal.SIGSTOP)
    try:
        for phone, each in zip(phones[half:], begun[half:], strict=True):
            lines[each.challenge] = history.begin(f"{phone.owner.device_id}/sent while stopped", "answer", each.id)
            phone.answer(each)
        # There is nothing to wait for but the clock: the server sleeps.
        await asyncio.sleep(max(0.0, max(each.expires_at for each in begun) - time.time()) + 0.1)
    finally:
        os.kill(service.pid, signal.SIGCONT)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for phone, each in zip(phones, begun, strict=True):
            line, told = lines[each.challenge], await phone.told(each.challenge)
            if told in checker.DECISIVE:
                line.outcome = told
                history.end(line)
            else:
                line.code, line.state = told, phone.states.get(each.challenge)
                history.end(line, "fail")
        await asyncio.gather(*polls)
    for caller in callers:
        caller.close()


async def _poll(caller: Caller, begun: Begun, history: History) -> None:
    version = begun.version
    while True:
        line = history.begin("browser", "poll", begun.id)
        answer = await caller.send("GET", f"{begun.path}?wait=50&after={version}", begun.bearer)
        body = json.loads(answer.body)
        version = line.version = body["version"]
        line.state, line.reason = body["state"], body["reason"]
        history.end(line)
        if body["state"] != "pending":
            return
