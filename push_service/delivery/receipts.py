"""Gathers what phones have shown, and writes it down a little later, many at once.

"Delivered" is told to a person who waits; they don't notice a quarter of a second, but a commit for each would cost as
much as the answer itself. A prompt that is answered before then needs no receipt at all (docs/decisions/0004).
"""

from __future__ import annotations

import asyncio

import structlog

from push_service.model.errors import ServiceError
from push_service.model.ids import ChallengeId, DeviceId
from push_service.ports import Bus, Store, Topic

GATHER_SECONDS = 0.25
_log = structlog.get_logger()


class Receipts:
    """Runs as one task. What is gathered when the process ends is lost: phones tell again when they come back."""

    def __init__(self, store: Store, bus: Bus) -> None:
        """Write to this store, and ring the browsers concerned."""
        self._store, self._bus = store, bus
        self._gathered: dict[tuple[ChallengeId, DeviceId], None] = {}
        self._some = asyncio.Event()

    def shown(self, challenge_id: ChallengeId, device_id: DeviceId) -> None:
        """A device says that it shows the prompt."""
        self._gathered[challenge_id, device_id] = None
        self._some.set()

    def answered(self, challenge_id: ChallengeId, device_id: DeviceId) -> None:
        """The prompt was answered: nobody waits for its receipt any more."""
        self._gathered.pop((challenge_id, device_id), None)

    async def run(self) -> None:
        """Write what was gathered, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            await asyncio.sleep(GATHER_SECONDS)
            gathered, self._gathered = tuple(self._gathered), {}
            if gathered:
                await self._write(gathered)

    async def _write(self, gathered: tuple[tuple[ChallengeId, DeviceId], ...]) -> None:
        try:
            concerned = await self._store.acknowledge(gathered)
        except ServiceError as refusal:
            _log.warning("receipts.lost", count=len(gathered), code=refusal.code)
            return
        await self._bus.ring(tuple(Topic.sign_in(each) for each in concerned))
