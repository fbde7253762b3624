"""Wakes phones that don't hear of a prompt by themselves: works off the outbox, by way of a push network.

Handed every prompt after its commit (`take`). If no process hears a socket or a poll of the person, their phones are
woken at once, else those that have not acknowledged after a moment. Whatever a process leaves undone when it dies,
another takes over when the lease ends; one that ends politely gives its leases back. Nothing here is on a request's
path, and right before it is sent a prompt is claimed: what has ended meanwhile is not sent (R-09, R-10).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import NamedTuple

import structlog

from push_service.delivery.gate import Full, Gate
from push_service.delivery.hands import MAX_HELD, Hands
from push_service.delivery.retries import pause_before
from push_service.delivery.verdicts import Verdicts
from push_service.model.challenge import Delivery, DeliveryState
from push_service.model.errors import ServiceError
from push_service.model.ids import ChallengeId, SignInId, UserId
from push_service.model.instant import Instant, after
from push_service.model.outbox import Attempt, Undelivered
from push_service.model.rules.ask import ACKNOWLEDGEMENT_SECONDS
from push_service.ports import OUTBOX, Bus, Messenger, Store, Topic, Wake, WakeOutcome, WakeReport

TAKE_OVER_SECONDS = 0.5
FRESH_SECONDS = 0.4
"""So long after one process has looked for what is due no other does: a look goes through all live sign-ins. Less than
TAKE_OVER_SECONDS, so that a process which is alone looks each time."""
LONGEST_SECONDS = 3.0
"""So often each process looks itself, whatever it heard: a bell proves nothing."""
TAKE_AT_ONCE = 100
_WRITING_SECONDS = 0.5
QUEUE_FULL = WakeReport(WakeOutcome.REFUSED, "queue_full")
NO_PUSH_TOKEN = WakeReport(WakeOutcome.DEAD_TOKEN, "no_push_token")
_log = structlog.get_logger()

Told = Callable[[SignInId | None, WakeReport, float], None]
"""Hears of every call to the push network, with its seconds; without a sign-in, of what there was no room for."""


class Limits(NamedTuple):
    """How much at once, and how long one call may take, in seconds."""

    concurrency: int
    waiting: int
    call_seconds: float

    @property
    def lease_seconds(self) -> float:
        """A lease outlasts one call and the writing down of it, by little: if this process dies, others wait for it."""
        return self.call_seconds + _WRITING_SECONDS


class _Held(NamedTuple):
    """A prompt in our hands, by the name of its lease."""

    challenge_id: ChallengeId
    lease_until: Instant


class Waker:
    """Implements ports.Courier. `run` takes over what others left; `drain`, then `close`, end it."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        messenger: Messenger,
        verdicts: Verdicts,
        *,
        limits: Limits,
        keyed_hash: Callable[[bytes], str],
        told: Told,
    ) -> None:
        """Wake by this messenger. `keyed_hash` makes the ids that travel."""
        self._store, self._bus, self._messenger, self._verdicts = store, bus, messenger, verdicts
        self._limits, self._keyed_hash, self._told = limits, keyed_hash, told
        self._gate = Gate(limits.concurrency, limits.waiting)
        self._hands = Hands("wake")
        self._dice = random.SystemRandom()
        self._looked = self._somebody_looked = float("-inf")

    @property
    def held(self) -> int:
        """How many prompts are in our hands."""
        return self._hands.held

    def take(self, user_id: UserId, deliveries: Sequence[Delivery]) -> None:
        """See ports.Courier."""
        for held in dict.fromkeys(_Held(each.challenge_id, each.lease_until) for each in deliveries):
            self._start(self._first(user_id, held))

    async def run(self) -> None:
        """Take over what others left, until drained."""
        loop = asyncio.get_running_loop()
        async with self._bus.attach(OUTBOX, self._note_look):
            while not await self._hands.pause(TAKE_OVER_SECONDS):
                try:
                    if self._is_to_look(loop.time()):
                        await self._take_over()
                    await self._verdicts.execute(loop.time())
                except ServiceError as refusal:
                    _log.warning("wake.takeover_postponed", code=refusal.code, detail=refusal.detail)

    def drain(self) -> None:
        """Begin nothing more: leases of what is not being sent at this moment are given back, now and from now on."""
        self._hands.drain()

    async def close(self) -> None:
        """Wait for the calls under way and the leases given back, for a bounded time."""
        await self._hands.close()

    # --- one prompt ---------------------------------------------------------------------------------------------------

    async def _first(self, user_id: UserId, held: _Held) -> None:
        """A prompt that was just put."""
        if await self._bus.heard_by(Topic.user(user_id)) and await self._hands.pause(ACKNOWLEDGEMENT_SECONDS):
            await self._give_back(held)
        else:
            await self._deliver(held)

    async def _deliver(self, held: _Held) -> None:
        """See to a prompt until there is nothing left to try, or another process has it."""
        while not self._hands.is_draining():
            try:
                async with self._gate.turn():
                    if self._hands.is_draining():
                        break
                    again, pause = await self._attempt(held)
            except Full:
                self._told(None, QUEUE_FULL, 0.0)
                return
            if pause is None:
                return
            held = again
            if await self._hands.pause(pause):
                break
        await self._give_back(held)

    async def _attempt(self, held: _Held) -> tuple[_Held, float | None]:
        """Wake the phones that have not heard of it yet. With a pause where some are to be tried again after it."""
        due = await self._store.claim(held.challenge_id, held.lease_until, self._limits.lease_seconds)
        if not due:
            return held, None
        loop = asyncio.get_running_loop()
        begun = loop.time()
        reports = await asyncio.gather(*(self._wake(each) for each in due))
        left = due[0].seconds - (loop.time() - begun)
        pauses = [
            pause_before(report, each.attempts, left, self._dice) for each, report in zip(due, reports, strict=True)
        ]
        # All of a prompt's phones in one go: they have one lease.
        again = max((pause for pause in pauses if pause is not None), default=None)
        attempts = [
            _attempt(each, report, None if pause is None else again)
            for each, report, pause in zip(due, reports, pauses, strict=True)
        ]
        await self._tell_browsers(await self._store.attempted(attempts))
        return _Held(held.challenge_id, after(due[0].lease_until, again or 0.0)), again

    async def _wake(self, row: Undelivered) -> WakeReport:
        if row.push_token is None:
            return NO_PUSH_TOKEN
        wake = Wake(
            token=row.push_token,
            platform=row.platform,
            id=self._keyed_hash(f"wake\n{row.challenge_id}\n{row.device_id}".encode()),
            expires_at=row.expires_at,
            seconds=row.seconds,
        )
        loop = asyncio.get_running_loop()
        begun = loop.time()
        report = await self._messenger.wake(wake)
        self._told(row.sign_in_id, report, loop.time() - begun)
        self._verdicts.heard(loop.time(), row, report)
        say = _log.info if report.outcome is WakeOutcome.SENT else _log.warning
        say(
            "wake.attempted",
            outcome=report.outcome.value,
            code=report.code,
            sign_in_id=row.sign_in_id,
            user_id=row.user_id,
            device_id=row.device_id,
            attempt=row.attempts + 1,
        )
        return report

    async def _tell_browsers(self, sign_ins: Sequence[SignInId]) -> None:
        await self._bus.ring(tuple(Topic.sign_in(each) for each in sign_ins))

    async def _give_back(self, held: _Held) -> None:
        await self._store.release(held.challenge_id, held.lease_until)

    # --- all of them --------------------------------------------------------------------------------------------------

    async def _take_over(self) -> None:
        room = min(self._gate.room, MAX_HELD - self.held, TAKE_AT_ONCE)
        if room <= 0:
            return
        self._looked = asyncio.get_running_loop().time()
        due = await self._store.take_due(room, self._limits.lease_seconds)
        for held in dict.fromkeys(_Held(each.challenge_id, each.lease_until) for each in due):
            self._start(self._deliver(held))
        if len(due) < room:
            await self._bus.ring((OUTBOX,))

    def _note_look(self) -> None:
        self._somebody_looked = asyncio.get_running_loop().time()

    def _is_to_look(self, now: float) -> bool:
        return now - self._somebody_looked >= FRESH_SECONDS or now - self._looked >= LONGEST_SECONDS

    def _start(self, work: Coroutine[None, None, None]) -> None:
        if not self._hands.start(work):
            self._told(None, QUEUE_FULL, 0.0)


def _attempt(row: Undelivered, report: WakeReport, pause: float | None) -> Attempt:
    if report.outcome is WakeOutcome.SENT:
        state = DeliveryState.SENT
    else:
        state = DeliveryState.FAILED if pause is None else DeliveryState.QUEUED
    return Attempt(
        challenge_id=row.challenge_id,
        device_id=row.device_id,
        lease_until=row.lease_until,
        state=state,
        retry_seconds=pause or 0.0,
    )
