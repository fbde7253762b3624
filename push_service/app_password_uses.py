"""Notes when, and from where, app passwords were last used: beside the requests, seldom, and one after the other.

A mail program comes every minute, and a commit each time would cost more than the answer. So each process notes a use
at most once in five minutes, after it was answered; what is gathered when the process ends is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from push_service.model.app_password import USE_NOTED_SECONDS
from push_service.model.errors import ServiceError
from push_service.model.ids import AppPasswordId
from push_service.ports import AppPasswordStore, Store

_MOST = 100_000
"""How many app passwords are remembered as noted; beyond that some are noted once more."""

_log = structlog.get_logger()


class AppPasswordUses:
    """Runs as one task."""

    def __init__(
        self, store: Store, app_passwords: AppPasswordStore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Note uses in this store, by its clock; `clock` says how many seconds lie between two."""
        self._store, self._app_passwords, self._clock = store, app_passwords, clock
        self._noted: dict[AppPasswordId, float] = {}
        self._gathered: dict[AppPasswordId, str | None] = {}
        self._some = asyncio.Event()

    def used(self, app_password: AppPasswordId, address: str | None) -> None:
        """An app password was used just now."""
        now = self._clock()
        noted = self._noted.get(app_password)
        if noted is not None and now < noted + USE_NOTED_SECONDS:
            return
        if len(self._noted) >= _MOST:
            self._noted.clear()
        self._noted[app_password] = now
        self._gathered[app_password] = address
        self._some.set()

    async def run(self) -> None:
        """Note what was gathered, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            gathered, self._gathered = self._gathered, {}
            try:
                now = await self._store.now()
                for app_password, address in gathered.items():
                    await self._app_passwords.app_password_used(app_password, now, address)
            except ServiceError as refusal:
                _log.warning("app_password_uses.lost", count=len(gathered), code=refusal.code)
