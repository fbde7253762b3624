"""Writes down what time has ended, and deletes what nobody can ask for any more.

Nothing depends on it: expiry is derived whenever something is read. It may run twice at once, late, or never.
"""

from __future__ import annotations

import asyncio

import structlog

from push_service.decisions import Decisions
from push_service.model.errors import ServiceError, Unavailable, UnknownUser
from push_service.model.ids import UserId
from push_service.model.instant import after
from push_service.model.rules.browser import expire
from push_service.ports import Store

EXPIRE_SECONDS = 2.0
SWEEP_EVERY = 15
DAY_SECONDS = 86400
_AT_ONCE = 500
_log = structlog.get_logger()


class Housekeeping:
    """Runs as one task."""

    def __init__(self, store: Store, decisions: Decisions, *, push_token_days: int = 270) -> None:
        """Keep this store tidy."""
        self._store, self._decisions, self._push_token_days = store, decisions, push_token_days

    async def run(self) -> None:
        """Tidy up, until cancelled."""
        round_ = 0
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            round_ += 1
            try:
                await self.expire()
                if round_ % SWEEP_EVERY == 0:
                    await self.sweep()
            except ServiceError as refusal:
                _log.warning("housekeeping.postponed", code=refusal.code, detail=refusal.detail)

    async def sweep(self) -> None:
        """Delete all that can go, a bounded number of rows at a time: other writes come in between."""
        while await self._store.sweep():
            pass
        unconfirmed_since = after(await self._store.now(), -self._push_token_days * DAY_SECONDS)
        while await self._store.sweep_push_tokens(unconfirmed_since):
            pass

    async def expire(self) -> int:
        """Write down the expiries that are due; says how many people that concerned."""
        overdue = await self._store.overdue(_AT_ONCE)
        for user_id in overdue:
            await self._expire(user_id)
        return len(overdue)

    async def _expire(self, user_id: UserId) -> None:
        try:
            await self._decisions.decide(user_id, expire)
        except UnknownUser:
            pass  # removed meanwhile, with all that was under way
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - one person's row that can't be read must not stop the tidying for all others
            _log.exception("housekeeping.defect", user_id=user_id)
