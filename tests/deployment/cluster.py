"""Two server processes on one SQLite file, each of which hears the other's commits, with proxies in front of them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from mobile_stub.backoff import Backoff
from mobile_stub.surroundings import Setup
from tests.deployment.proxies import PROXIES, Proxy, make_certificate, running
from tests.support.browser import App, Browser
from tests.support.people import Office, office
from tests.support.service import Service

ORIGIN = "https://page.example.org"


@dataclass(frozen=True)
class Cluster:
    """Machines, proxies, and the operator beside them."""

    machines: Sequence[Service]
    proxies: Sequence[Proxy]
    desk: Office
    app: App
    page: App
    """A page of ORIGIN, which signs people in from their browsers."""
    tls: ssl.SSLContext

    def setup(self, proxy: Proxy) -> Setup:
        """Where a phone behind this proxy finds the service."""
        return Setup(address=proxy.url, tls=self.tls, backoff=lambda: Backoff(base=0.05, cap=0.5))

    @asynccontextmanager
    async def browser(
        self, proxy: Proxy, app: App | None = None, *, address: str = "127.0.0.1"
    ) -> AsyncIterator[Browser]:
        """A browser that comes to this proxy from that address."""
        connector = aiohttp.TCPConnector(ssl=self.tls, local_addr=(address, 0))
        timeout = aiohttp.ClientTimeout(total=90)
        async with aiohttp.ClientSession(proxy.url, connector=connector, timeout=timeout) as session:
            yield Browser(session, app or self.app, origin=ORIGIN)


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Start it all."""
    chain, key, tls = make_certificate(folder)
    one, two = Service(folder), Service(folder / "two")
    two.folder.mkdir()
    shared = {
        name: one.environment[f"PUSH_SERVICE_{name}"] for name in ("DATA_DIR", "PUBLIC_URL")
    } | {
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "DRAIN_SECONDS": "3",
        "POLICY__BEGINS_PER_ADDRESS": "100000/1m",
        "POLICY__BEGINS_PER_PERSON": "100000/1m",
        "POLICY__PROMPTS_UNANSWERED": "100000/1s",
        "LOG_LEVEL": "warning",
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        for machine in (one, two):
            machine.environment |= {f"PUSH_SERVICE_{name}": value for name, value in shared.items()}
            stack.push_async_callback(machine.kill)
            await machine.start()
        addresses = [f"127.0.0.1:{machine.port}" for machine in (one, two)]
        proxies = [
            await stack.enter_async_context(running(name, folder / name, addresses, chain, key)) for name in PROXIES
        ]
        desk = await stack.enter_async_context(office(one))
        app = await desk.application()
        page = await desk.application("Page", public=True, origins=(ORIGIN,))
        yield Cluster((one, two), proxies, desk, app, page, tls)
