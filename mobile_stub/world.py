"""The outside world on one port: phones with a page to watch and press, their push network, the telephone company.

Reads as a parts list: each part keeps its own things, adds its own routes and is opened and closed with the rest. Run
by `python -m mobile_stub world` and, inside other programs, with `async with world(...)`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from mobile_stub.carrier import Carrier
from mobile_stub.carrier_routes import CarrierRoutes
from mobile_stub.firebase import Firebase
from mobile_stub.firebase_routes import FirebaseRoutes
from mobile_stub.guard import Guard
from mobile_stub.phone_routes import PhoneRoutes
from mobile_stub.shelf import Shelf
from mobile_stub.surroundings import ORDINARY, Setup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOPBACK = "127.0.0.1"
ACCOUNT_FILE = "service-account.json"
POLITE_END_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class World:
    """A running world: its address for browsers, and its parts for whoever runs it in the same process."""

    url: str
    shelf: Shelf
    firebase: Firebase
    credentials: Path
    """The service-account file by which a service sends through this world's Firebase."""
    carrier: Carrier

    def page_of(self, phone_id: str) -> str:
        """The address of one phone's page."""
        return f"{self.url}/#{phone_id}"


@asynccontextmanager
async def world(
    host: str = LOOPBACK,
    port: int = 0,
    *,
    folder: Path | None = None,
    setup: Setup = ORDINARY,
    pace: float | None = 1.0,
) -> AsyncIterator[World]:
    """Run a world; port 0 takes a free one. `folder` keeps its phones for the next time.

    `setup` is how its phones run; they are woken by its `firebase`, or else the world's own. `pace` is
    how long a second of a telephone call lasts; None: no longer than anyone takes. OSError if the address is taken.
    """
    async with AsyncExitStack() as parts:
        app = web.Application()
        Guard(host).add_to(app)

        firebase = setup.firebase or Firebase()
        firebase.add_to(app)
        parts.push_async_callback(firebase.close)
        kept = folder or Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="mobile-stub-")))
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        credentials = kept / ACCOUNT_FILE
        FirebaseRoutes(firebase, credentials).add_to(app)

        shelf = Shelf(folder, dataclasses.replace(setup, firebase=firebase))
        carrier = Carrier(shelf.changes, pace=pace)
        carrier.add_to(app)
        parts.push_async_callback(carrier.close)
        CarrierRoutes(carrier).add_to(app)
        PhoneRoutes(shelf, carrier).add_to(app)
        parts.push_async_callback(shelf.close)
        await shelf.open()

        runner = web.AppRunner(app, access_log=None, shutdown_timeout=POLITE_END_SECONDS)
        await runner.setup()
        parts.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, host, port).start()
        url = _address(host, runner)
        firebase.write_account(credentials, url)
        yield World(url, shelf, firebase, credentials, carrier)


def _address(host: str, runner: web.AppRunner) -> str:
    port = runner.addresses[0][1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
