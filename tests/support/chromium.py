"""The browser of the tests: the system's Chromium, or the one that ``CHROMIUM`` names.

Starting one takes longer than most stories of a page, so those that need it share one and take a context each.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

_PROGRAM: Final = Path(
    shutil.which(os.environ.get("CHROMIUM") or "chromium") or shutil.which("google-chrome") or "/usr/bin/chromium"
)
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium, until left; it belongs to the event loop that entered."""
    assert _PROGRAM.exists(), f"{_PROGRAM} is missing: install Chromium, or name one in CHROMIUM"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_PROGRAM, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()
