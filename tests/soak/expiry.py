"""Everything that time ends, while nothing sweeps.

R-19: what a deadline has passed is over for whoever asks, at once, though no task ever writes that down. Used by the
suite with the real service without its sweeper, and with one where expiry waits for it, which must be noticed.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench.results import Table
from mobile_stub.errors import ActivationUriError, RefusedError
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import Reach, Setup
from mobile_stub.wire import Challenge, WithdrawalReason
from push_service.model.user import UserState
from tests.soak import checker
from tests.soak.mutants import Mutant
from tests.soak.story import WIDE_OPEN, Report, Say
from tests.support.browser import Browser, SignIn
from tests.support.people import PASSWORD, Office, office

SECONDS = 2
PENDING = 2
PATIENCE_SECONDS = 30.0


async def run(folder: Path, *, rounds: int, seed: int, say: Say, mutation: str = "no-sweeper") -> Report:
    """Let everything run out, `rounds` times; see the module. `seed` changes nothing."""
    del seed, say
    settings = WIDE_OPEN | {
        "POLICY__SIGN_IN_SECONDS": str(SECONDS),
        "POLICY__REGISTRATION_SECONDS": str(SECONDS),
        "POLICY__ACTIVATION_SECONDS": str(SECONDS),
        "POLICY__PENDING_PER_PERSON": str(PENDING),
    }
    service = Mutant(mutation, folder, **settings)
    await service.start()
    faults: list[str] = []
    try:
        async with office(service) as desk, desk.browser() as browser:
            for _ in range(rounds):
                faults += await _sign_ins(desk, browser)
                faults += await _registration(desk, browser)
        with checker.copied(folder / "data" / "push-service.db") as connection:
            faults += checker.check_rows(connection)
            stored = connection.execute("SELECT count(*) FROM sign_ins WHERE state = 'pending'").fetchone()[0]
        if stored < rounds:
            faults.append("the sweeper ran: this story shows nothing")
        await service.stop()
    finally:
        await service.kill()
    rows = [("rounds", str(rounds)), ("run out, never written down", str(stored)), ("faults", str(len(faults)))]
    return Report([Table("Everything runs out without a sweeper", ("what", "count"), rows)], faults)


async def _sign_ins(desk: Office, browser: Browser) -> list[str]:
    """A sign-in, its prompt, its answer, and the room that it took."""
    faults = []
    alice = await desk.person(password=None, state=UserState.ENFORCED)
    async with await desk.phone(alice) as phone, asyncio.timeout(PATIENCE_SECONDS):
        begun = [await browser.begin(alice.username) for _ in range(PENDING)]
        full = await browser.post_begin(username=alice.username)
        if full.status != 429:
            faults.append(f"a begin over the pending limit was answered {full.status}")
        asked = [await phone.next_challenge() for _ in begun]
        waiting = asyncio.create_task(begun[0].changed())
        await _until(max(each.expires_at.timestamp() for each in asked))
        faults += await _late(begun, asked, phone)
        if faults:
            waiting.cancel()
            await asyncio.wait({waiting})
            return faults
        told = await waiting
        while told["state"] == "pending":  # what it saw first may have been that the prompt was delivered
            told = await begun[0].changed()
        reasons = [(await phone.next_withdrawal()).reason for _ in begun]
        faults += [f"the phone was told {each}" for each in reasons if each is not WithdrawalReason.EXPIRED]
        again = await browser.post_begin(username=alice.username)
        if again.status != 201:
            faults.append(f"sign-ins whose time is over still took room: {again.status} {again.code}")
    return faults


async def _late(begun: list[SignIn], asked: list[Challenge], phone: Phone) -> list[str]:
    """Whoever asks, lists, answers or cancels after the deadline is told that it is over."""
    states = [(await each.look())["state"] for each in begun]
    faults = [f"past its deadline a sign-in is {state}" for state in states if state != "expired"]
    if (await phone.poll()).challenges:
        faults.append("past their deadline prompts are listed")
    numbers = {each.body["challenge"]["id"]: each.number for each in begun}
    try:
        late = str(await phone.answer(asked[0], Decision.VERIFY, numbers[asked[0].id]))
    except RefusedError as refusal:
        late = refusal.code
    if late != "too_late":
        faults.append(f"past the deadline an answer got {late}")
    cancelled = await begun[1].cancel()
    if cancelled.status != 409 or cancelled.body.get("state") != "expired":
        faults.append(f"past the deadline a cancellation was answered {cancelled.status}")
    return faults


async def _registration(desk: Office, browser: Browser) -> list[str]:
    """A first sign-in that must register, its token, and an activation code."""
    faults = []
    newcomer, other = await desk.person(), await desk.person()
    uri = await desk.activation(other)
    sign_in = await browser.begin(newcomer.username, PASSWORD)
    token = sign_in.body["registration"]["token"]
    await _until(time.time() + SECONDS)
    state = (await sign_in.look())["state"]
    if state != "expired":
        faults.append(f"past its deadline a registration is {state}")
    answer = await browser.request("POST", "/v1/me/devices", headers={"Authorization": f"Bearer {token}"}, json={})
    if answer.status != 401:
        faults.append(f"past its deadline a registration token was answered {answer.status}")
    try:
        phone = await Phone.activate(uri, setup=Setup(reach=Reach.POLL))
    except (RefusedError, ActivationUriError):
        return faults
    await phone.aclose()
    return [*faults, "past its deadline an activation code was taken"]


async def _until(moment: float) -> None:
    """Let a deadline pass: there is nothing else to wait for."""
    await asyncio.sleep(max(0.0, moment - time.time()) + 0.05)
