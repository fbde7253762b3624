"""A Chromium for every test of the pages, and the scripted interface behind it.

The browser is the system's (``CHROMIUM`` names another). A test that leaves an error on the page's console, a blocked
inline script or an uncaught exception among them, fails: a page that works in spite of its own policy is broken.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from .scripted import Interface

CHROMIUM: Final = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE: Final = 10_000  # milliseconds that a page may take to show what is expected


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: install Chromium, or name one in CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A person's browser, empty; ends with the check that no page complained."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    complaints: list[str] = []

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


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    """A tab."""
    return await context.new_page()


@pytest.fixture
async def interface(context: BrowserContext) -> AsyncIterator[Interface]:
    """The scripted interface behind every tab of the context."""
    interface = Interface()
    await interface.serve(context)
    yield interface
    await interface.lose_connection()
    await context.unroute_all(behavior="wait")
