"""The composition root: the server around the core. The only place that knows every part; it reads as a parts list."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import signal
import socket
import sys
from contextlib import AsyncExitStack
from http import HTTPStatus

from aiohttp import web
from aiohttp.log import server_logger

from push_service.answers import Answers
from push_service.config import Endpoint, InvalidSettings, Settings
from push_service.core import Core, open_core
from push_service.crypto.keyring import Keyring
from push_service.delivery.receipts import Receipts
from push_service.first_factor import FirstFactor
from push_service.frontends import cors, http, openapi
from push_service.frontends.device_socket import DeviceSocketFrontend
from push_service.frontends.devices import DeviceFrontend
from push_service.frontends.gate import Gate
from push_service.frontends.idempotency import Idempotency
from push_service.frontends.operations import OperationsFrontend
from push_service.frontends.pages import PagesFrontend
from push_service.frontends.settings import SettingsFrontend
from push_service.frontends.sign_in import SignInFrontend
from push_service.housekeeping import Housekeeping
from push_service.model.errors import ServiceError
from push_service.observability import set_up_logs
from push_service.ports import APPLICATIONS, SIGNING_KEYS
from push_service.pulse import Pulse
from push_service.verifier import Verifier
from push_service.waits import Waits

BACKLOG = 4096
DRAIN_SECONDS = 10.0
KEYS_AGAIN_SECONDS = 1.0
LINGERING_SECONDS = 2.0
"""How long the rest of a body is still taken in after its refusal, so that the refusal arrives before the end does."""


class Server:
    """The parts that listen, around a core."""

    def __init__(self, core: Core) -> None:
        """Wire the front-ends."""
        self.core = core
        store, bus, proxies = core.store, core.bus, core.settings.trusted_proxies
        idempotency = Idempotency(store, core.sealer)
        policy = core.settings.policy.to_policy()
        self.waits = Waits(bus)
        verifier = Verifier(
            store=store,
            waits=self.waits,
            decisions=core.decisions,
            first_factor=FirstFactor(store, core.decisions, core.passwords, policy, core.hops),
            signer=core.keyring,
            drafter=core.drafter,
            applications=core.applications,
            policy=policy,
            issuer=core.public_url,
            hops=core.hops,
        )
        answers = Answers(store, core.decisions, policy, hops=core.hops)
        self.receipts = Receipts(store, bus)
        self.housekeeping = Housekeeping(store, core.decisions)
        self.operations = OperationsFrontend(store, core.keyring, measured=core.metrics.text)
        self.sockets = DeviceSocketFrontend(
            answers, core.registrar, store, bus, self.receipts, own_origin=core.public_url, hops=core.hops
        )
        self.gate = Gate(core.metrics.shed, lambda: core.passwords.taken)
        self.pulse = Pulse(lambda lag: self.gate.measured(lag, store.queued))
        sign_in = SignInFrontend(
            verifier,
            core.applications,
            store,
            idempotency,
            public_url=core.public_url,
            proxies=proxies,
            gate=self.gate,
        )
        self.pages = PagesFrontend(verifier, core.applications, sign_in, idempotency, public_url=core.public_url)
        routes = [
            *sign_in.routes(),
            *DeviceFrontend(
                answers, core.registrar, core.keyring, store, self.waits, issuer=core.public_url, proxies=proxies
            ).routes(),
            *self.sockets.routes(),
            *SettingsFrontend(core.registrar, idempotency, public_url=core.public_url, proxies=proxies).routes(),
            *self.pages.routes(),
            *self.operations.routes(),
        ]
        self.operations.describe_by(functools.cache(lambda: openapi.document(routes, core.public_url)))
        self.app = web.Application(middlewares=[http.guard(self._observe)], client_max_size=http.MAX_BODY)
        self.app.on_response_prepare.append(http.mark)
        self.app.on_response_prepare.append(cors.allow(core.applications))
        self.app.on_response_prepare.append(self._let_go)
        self.pages.set_up(self.app)
        for route in routes:
            self.app.router.add_route(route.method, route.path, route.handle)
        self.app.router.add_route("OPTIONS", cors.PATTERN, cors.preflight(core.applications))
        metrics = core.metrics
        metrics.gauge("device_sockets", "Devices connected.", lambda: self.sockets.open)
        metrics.gauge("event_loop_lag_seconds", "By how much the event loop is late.", lambda: self.pulse.lag)
        metrics.gauge("begins_under_way", "Sign-ins being begun.", lambda: self.gate.under_way)
        metrics.gauge("begins_bound", "How many may be begun at once.", lambda: self.gate.bound)
        metrics.gauge("writes_queued", "Writes queued or running.", lambda: store.queued)
        metrics.gauge("store_disk_free_bytes", "Room on the store's disk.", lambda: store.disk_free)
        metrics.gauge("passwords_hashing", "Passwords being hashed or waiting.", lambda: core.passwords.taken)
        metrics.gauge("listeners", "Waiters and sockets that hear the bell.", lambda: bus.listening)

    def _observe(self, request: web.Request, status: int, seconds: float, code: str | None) -> None:
        self.core.metrics.request(http.route_of(request), request.method, status, seconds)
        if code:
            self.core.hops.refused(code)

    async def _let_go(self, _: web.Request, response: web.StreamResponse) -> None:
        """A response-prepare signal: while ending, an answer is its connection's last; the next goes elsewhere."""
        if self.waits.draining and response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            response.force_close()
            response.headers["Connection"] = "close"


async def serve(settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT, then end politely: no new work, answers finished, sockets sent away."""
    set_up_logs(settings.log_level.value, json=settings.log_format.value == "json")
    server_logger.addFilter(http.QuietAboutMalformed())
    bound = _bound(settings.listen)
    port = bound.getsockname()[1]
    async with AsyncExitStack() as stack:
        stack.callback(bound.close)
        core = await stack.enter_async_context(open_core(settings, port=port, logged=True))
        server = Server(core)
        await stack.enter_async_context(core.bus.attach(APPLICATIONS, core.applications.changed))
        keys_rung = asyncio.Event()
        await stack.enter_async_context(core.bus.attach(SIGNING_KEYS, keys_rung.set))
        stopping = _stopping()
        runner = web.AppRunner(
            server.app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=DRAIN_SECONDS,
            keepalive_timeout=75,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,  # compressed bodies are refused: nobody is made to unpack one
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.SockSite(runner, bound, backlog=BACKLOG)
        await site.start()
        tasks = [
            asyncio.create_task(server.receipts.run()),
            asyncio.create_task(server.housekeeping.run()),
            asyncio.create_task(server.pulse.run()),
            asyncio.create_task(_refresh_keys(core.keyring, keys_rung)),
        ]
        stack.push_async_callback(_end, tasks)
        address = dataclasses.replace(settings.listen, port=port)
        print(f"push-service listening on http://{address}", flush=True)  # noqa: T201 - the promised line
        _calm_the_collector()
        await stopping.wait()
        server.operations.drain()
        await site.stop()
        server.waits.drain()
        await server.sockets.close_all()


def _calm_the_collector() -> None:
    """Collect cycles seldom: what was made at the start never goes, and a sign-in leaves next to none behind.

    With thousands of sockets a full collection takes longer than a person should wait for their browser. But each
    WebSocket that ends leaves a cycle of some forty objects (aiohttp's), and those of many thousands must not gather.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


async def _refresh_keys(keyring: Keyring, rung: asyncio.Event) -> None:
    while True:
        await rung.wait()
        rung.clear()
        try:
            await keyring.refresh()
        except ServiceError:
            await asyncio.sleep(KEYS_AGAIN_SECONDS)
            rung.set()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _stopping() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT.

    A second one ends the process hard, which loses nothing that was acknowledged.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if stopping.is_set():
            sys.exit(128 + number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopping


def _bound(endpoint: Endpoint) -> socket.socket:
    """The socket to listen on, bound before anything else, so that a port left to chance is known."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((endpoint.host, endpoint.port))
    except OSError as problem:
        bound.close()
        raise InvalidSettings(f"PUSH_SERVICE_LISTEN: {endpoint} can't be listened on: {problem.strerror}") from problem
    return bound
