"""One Chromium for all tests of the pages, an empty context for each of them, and what stands behind its tabs.

The browser belongs to the loop that started it, which is why every test here runs in the session's loop, and why the
fixtures that such a test shares a loop with are made anew.

A test that leaves an error on a page's console, a blocked inline script or an uncaught exception among them, fails: a
page that works in spite of its own policy is broken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from mobile_stub.backoff import Backoff
from mobile_stub.surroundings import Setup
from mobile_stub.world import World, world
from tests.support.chromium import chromium
from tests.support.people import Office, office
from tests.support.service import Service

from .scripted import Interface

MakeDesk = Callable[..., Awaitable[Office]]

HERE: Final = Path(__file__).parent
QUICK: Final = Setup(backoff=lambda: Backoff(base=0.05, cap=0.5, restart_spread=0.05))
PATIENCE: Final = 20_000  # milliseconds that a page may take to show what is expected
expect.set_options(timeout=PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here runs in the loop that the browser belongs to."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with chromium() as running:
        yield running


@pytest.fixture
def complaints() -> list[str]:
    """What the pages of the context have complained about: a test that provokes something takes it out."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, complaints: list[str]) -> AsyncIterator[BrowserContext]:
    """A person's browser, empty; ends with the check that no page complained."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)

    def note(message: ConsoleMessage) -> None:
        # The browser itself reports every refused or broken request; what the page makes of those is tested.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    def uncaught(error: object) -> None:
        complaints.append(str(error))

    context.on("console", note)
    context.on("weberror", uncaught)
    yield context
    await context.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    """A tab."""
    return await context.new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def interface(context: BrowserContext) -> AsyncIterator[Interface]:
    """The scripted interface behind every tab of the context."""
    interface = Interface()
    await interface.serve(context)
    yield interface
    await interface.lose_connection()
    await context.unroute_all(behavior="wait")


@pytest_asyncio.fixture(loop_scope="session")
async def desk(service: Service) -> AsyncIterator[Office]:
    """The operator beside the shared server."""
    async with office(service) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def make_desk(tmp_path: Path) -> AsyncIterator[MakeDesk]:
    """A server of one's own with the operator beside it: `await make_desk(POLICY__CONFIRM="tap")`."""
    async with AsyncExitStack() as stack:

        async def make(**settings: str) -> Office:
            own = Service(tmp_path, **settings)
            stack.push_async_callback(own.kill)
            await own.start()
            return await stack.enter_async_context(office(own))

        yield make


@pytest_asyncio.fixture(name="world", loop_scope="session")
async def running_world() -> AsyncIterator[World]:
    """The stub world, whose phones come back quickly after a break."""
    async with world(setup=QUICK) as running:
        yield running
