"""Uses of app passwords are noted beside the requests, and seldom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from push_service.app_password_uses import AppPasswordUses
from push_service.model import ids
from push_service.model.app_password import USE_NOTED_SECONDS, AppPassword
from push_service.model.errors import StoreUnavailable
from push_service.model.ids import AppPasswordId
from push_service.model.instant import Instant
from tests.contracts.kinds import SqliteStores
from tests.contracts.making import enrol, writing

SOON = 30.0
MAIL, CHAT = AppPasswordId("apw_mail"), AppPasswordId("apw_chat")


class Notebook:
    """Writes uses down like a store, and says what it wrote; `broken`: it can't, once."""

    def __init__(self) -> None:
        self.written: asyncio.Queue[tuple[AppPasswordId, str | None]] = asyncio.Queue()
        self.broken = False

    async def app_passwords(self, user_id: ids.UserId) -> list[AppPassword]:
        """Nobody asks."""
        raise NotImplementedError(user_id)

    async def app_password_used(self, used: AppPasswordId, at: Instant, source: str | None) -> None:
        """See ports.AppPasswordStore."""
        del at
        if self.broken:
            self.broken = False
            raise StoreUnavailable
        self.written.put_nowait((used, source))


class Clock:
    """Seconds, moved by the test."""

    now = 0.0

    def __call__(self) -> float:
        """What time it is."""
        return self.now


@asynccontextmanager
async def running(uses: AppPasswordUses) -> AsyncIterator[None]:
    task = asyncio.create_task(uses.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def next_of(notebook: Notebook) -> tuple[AppPasswordId, str | None]:
    async with asyncio.timeout(SOON):
        return await notebook.written.get()


async def test_a_use_is_noted_once_in_five_minutes(tmp_path: Path) -> None:
    notebook, clock = Notebook(), Clock()
    async with SqliteStores(tmp_path).open() as store:
        uses = AppPasswordUses(store, notebook, clock)
        async with running(uses):
            uses.used(MAIL, "192.0.2.1")
            assert await next_of(notebook) == (MAIL, "192.0.2.1")
            clock.now = USE_NOTED_SECONDS - 1
            uses.used(MAIL, "192.0.2.2")
            uses.used(CHAT, None)
            assert await next_of(notebook) == (CHAT, None), "and nothing before it"
            clock.now = USE_NOTED_SECONDS
            uses.used(MAIL, "192.0.2.3")
            assert await next_of(notebook) == (MAIL, "192.0.2.3")


async def test_what_cannot_be_noted_is_told_and_the_next_use_is_noted_again(tmp_path: Path) -> None:
    notebook = Notebook()
    notebook.broken = True
    async with SqliteStores(tmp_path).open() as store:
        uses = AppPasswordUses(store, notebook)
        with structlog.testing.capture_logs() as logs:
            async with running(uses):
                uses.used(MAIL, None)
                async with asyncio.timeout(SOON):
                    while not logs:  # noqa: ASYNC110 - the log tells nobody
                        await asyncio.sleep(0)
                uses.used(CHAT, None)
                assert await next_of(notebook) == (CHAT, None)
        assert [(each["event"], each["count"]) for each in logs] == [("app_password_uses.lost", 1)]


async def test_the_store_keeps_what_is_noted(tmp_path: Path) -> None:
    stores = SqliteStores(tmp_path)
    async with stores.open() as store:
        alice = await enrol(store)
        mail = AppPassword(id=MAIL, name="Mail", created_at=stores.clock.at)
        await store.decide(alice.id, writing(app_password=mail))
        uses = AppPasswordUses(store, store)
        async with running(uses), asyncio.timeout(SOON):
            uses.used(MAIL, "192.0.2.1")
            while (await store.app_passwords(alice.id))[0].last_used_from != "192.0.2.1":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
