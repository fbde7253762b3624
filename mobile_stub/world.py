"""The outside world on one port: for now its phones, with a page to watch and press.

Reads as a parts list: each part keeps its own things, adds its own routes and is opened and closed with the rest. Run
by `python -m mobile_stub world` and, inside other programs, with `async with world(...)`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from mobile_stub.guard import Guard
from mobile_stub.phone_routes import PhoneRoutes
from mobile_stub.shelf import Shelf
from mobile_stub.surroundings import ORDINARY, Setup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LOOPBACK = "127.0.0.1"
POLITE_END_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class World:
    """A running world: its address for browsers, and its parts for whoever runs it in the same process."""

    url: str
    shelf: Shelf

    def page_of(self, phone_id: str) -> str:
        """The address of one phone's page."""
        return f"{self.url}/#{phone_id}"


@asynccontextmanager
async def world(
    host: str = LOOPBACK, port: int = 0, *, folder: Path | None = None, setup: Setup = ORDINARY
) -> AsyncIterator[World]:
    """Run a world; port 0 takes a free one. `folder` keeps its phones for the next time.

    `setup` is how its phones run. OSError if the address is taken.
    """
    async with AsyncExitStack() as parts:
        app = web.Application()
        Guard(host).add_to(app)

        shelf = Shelf(folder, setup)
        PhoneRoutes(shelf).add_to(app)
        parts.push_async_callback(shelf.close)
        await shelf.open()

        runner = web.AppRunner(app, access_log=None, shutdown_timeout=POLITE_END_SECONDS)
        await runner.setup()
        parts.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, host, port).start()
        yield World(_address(host, runner), shelf)


def _address(host: str, runner: web.AppRunner) -> str:
    port = runner.addresses[0][1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
