"""The composition root: the server around the core. The only place that knows every part; it reads as a parts list."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
from contextlib import AsyncExitStack
from http import HTTPStatus

from aiohttp import web
from aiohttp.log import server_logger

from push_service.answers import Answers
from push_service.app_password_uses import AppPasswordUses
from push_service.app_passwords import AppPasswords
from push_service.client_sign_in import ClientSignIns
from push_service.config import Settings
from push_service.core import Core, open_core
from push_service.crypto.keyring import Keyring
from push_service.delivery.receipts import Receipts
from push_service.first_factor import FirstFactor
from push_service.frontends import cors, http, openapi
from push_service.frontends.admin import AdminFrontend
from push_service.frontends.app_passwords import AppPasswordFrontend
from push_service.frontends.clients import ClientFrontend
from push_service.frontends.device_socket import DeviceSocketFrontend
from push_service.frontends.devices import DeviceFrontend
from push_service.frontends.enrolment import EnrolmentFrontend
from push_service.frontends.gate import Gate
from push_service.frontends.idempotency import Idempotency
from push_service.frontends.operations import OperationsFrontend
from push_service.frontends.pages import PagesFrontend
from push_service.frontends.settings import SettingsFrontend
from push_service.frontends.sign_in import SignInFrontend
from push_service.frontends.telephony import TelephonyFrontend
from push_service.housekeeping import Housekeeping
from push_service.model.errors import ServiceError
from push_service.observability import set_up_logs
from push_service.ports import APPLICATIONS, SIGNING_KEYS
from push_service.pulse import Pulse
from push_service.store.sqlite import SqliteStore
from push_service.telephony import OpenTelephony, opened_telephony
from push_service.verifier import Verifier
from push_service.waits import Waits
from push_service.waking import Waking, opened_waking
from push_service.workers.listening import endpoint_of, listening_socket
from push_service.workers.orders import orders_alone, orders_at
from push_service.workers.seat import Seat
from push_service.workers.siblings import Siblings

BACKLOG = 4096
FINISH_SECONDS = 10.0
KEYS_AGAIN_SECONDS = 1.0
LINGERING_SECONDS = 2.0
"""How long the rest of a body is still taken in after its refusal, so that the refusal arrives before the end does."""


class Server:
    """The parts that listen, around a core."""

    def __init__(
        self,
        core: Core,
        waking: Waking | None = None,
        telephony: OpenTelephony | None = None,
        seat: Seat | None = None,
    ) -> None:
        """Wire the front-ends, for one process alone or for one of several workers.

        Without `waking` no phone is woken: it connects, or asks. Without `telephony` there are no texts and no calls.
        """
        self.core, self.waking = core, waking
        self.siblings = None if seat is None else Siblings(seat, core.metrics.text, core.metrics.sibling_missed)
        self.leaving = False
        store, bus, proxies = core.store, core.bus, core.settings.trusted_proxies
        idempotency = Idempotency(store, core.sealer)
        policy = core.settings.to_policy()
        self.waits = Waits(bus)
        first_factor = FirstFactor(store, core.decisions, core.passwords, policy, core.hops)
        verifier = Verifier(
            store=store,
            waits=self.waits,
            decisions=core.decisions,
            first_factor=first_factor,
            signer=core.keyring,
            drafter=core.drafter,
            applications=core.applications,
            codes=core.codes,
            policy=policy,
            issuer=core.public_url,
            methods=core.methods,
            hops=core.hops,
        )
        answers = Answers(store, core.decisions, policy, core.methods, core.hops)
        self.receipts = Receipts(store, bus)
        self.app_password_uses = AppPasswordUses(store, store)
        clients = ClientSignIns(first_factor, core.sealer.mac, self.app_password_uses, core.methods, core.hops)
        app_passwords = AppPasswords(store, core.decisions, core.sealer.mac)
        self.housekeeping = Housekeeping(store, core.decisions, push_token_days=core.settings.firebase.token_days)
        self.operations = OperationsFrontend(
            store, bus, core.keyring, measured=self.siblings.gathered if self.siblings else self._measured_alone
        )
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
            *SettingsFrontend(
                core.registrar, core.recovery, idempotency, public_url=core.public_url, proxies=proxies
            ).routes(),
            *TelephonyFrontend(
                core.decisions,
                store,
                telephony.webhooks if telephony else None,
                public_url=core.public_url,
                proxies=proxies,
            ).routes(),
            *EnrolmentFrontend(
                core.enroller, core.registrar, idempotency, public_url=core.public_url, proxies=proxies
            ).routes(),
            *AppPasswordFrontend(
                core.registrar, app_passwords, idempotency, public_url=core.public_url, proxies=proxies
            ).routes(),
            *ClientFrontend(clients, core.applications, self.gate).routes(),
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
        AdminFrontend(core.registrar, clients, core.applications, public_url=core.public_url, proxies=proxies).set_up(
            self.app
        )
        self.app.router.add_route("OPTIONS", cors.PATTERN, cors.preflight(core.applications))
        self._measure(telephony)
        for part in (waking, telephony):
            if part:
                self.operations.alarm_by(part.alarms)

    def _measure(self, telephony: OpenTelephony | None) -> None:
        """Levels that are asked for when they are measured."""
        core, waking = self.core, self.waking
        metrics, store, bus = core.metrics, core.store, core.bus
        metrics.gauge("device_sockets", "Devices connected.", lambda: self.sockets.open)
        metrics.gauge("event_loop_lag_seconds", "By how much the event loop is late.", lambda: self.pulse.lag)
        metrics.gauge("begins_under_way", "Sign-ins being begun.", lambda: self.gate.under_way)
        metrics.gauge("begins_bound", "How many may be begun at once.", lambda: self.gate.bound)
        metrics.gauge("writes_queued", "Writes queued or running.", lambda: store.queued)
        if isinstance(store, SqliteStore):
            metrics.gauge("store_disk_free_bytes", "Room on the store's disk.", lambda: store.disk_free)
        metrics.gauge("passwords_hashing", "Passwords being hashed or waiting.", lambda: core.passwords.taken)
        metrics.gauge("listeners", "Waiters and sockets that hear the bell.", lambda: bus.listening)
        metrics.gauge("bus_connected", "Whether the bell reaches other processes.", lambda: bus.trouble is None)
        metrics.counter("bus_reconnects", "Connections to the bus that came back.", lambda: bus.reconnects)
        metrics.counter("bus_rings_dropped", "Rings that other processes won't hear.", lambda: bus.rings_dropped)
        metrics.gauge(
            "wakes_held", "Prompts that phones are still to be woken for.", lambda: waking.held if waking else 0
        )
        metrics.gauge(
            "push_circuit_open", "1 while the push network is left alone.", lambda: waking.circuit_open if waking else 0
        )
        metrics.gauge("push_alarm", "1 while an operator has to look.", lambda: bool(waking and waking.alarms()))
        metrics.gauge(
            "messages_held", "Texts and calls that are being handed over.", lambda: telephony.held if telephony else 0
        )
        metrics.gauge(
            "telephony_circuit_open",
            "1 while the telephony provider is left alone.",
            lambda: telephony.circuit_open if telephony else 0,
        )
        metrics.gauge(
            "telephony_alarm", "1 while an operator has to look.", lambda: bool(telephony and telephony.alarms())
        )

    def leave(self) -> None:
        """Not ready any more. Everything else goes on, until a proxy has noticed."""
        self.leaving = True
        self.operations.drain()

    async def _measured_alone(self) -> bytes:
        return self.core.metrics.text()

    def _observe(self, request: web.Request, status: int, seconds: float, code: str | None) -> None:
        self.core.metrics.request(http.route_of(request), request.method, status, seconds)
        if code:
            self.core.hops.refused(code)

    async def _let_go(self, _: web.Request, response: web.StreamResponse) -> None:
        """A response-prepare signal: from now on an answer is its connection's last; the next goes elsewhere."""
        if self.leaving and response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            response.force_close()
            response.headers["Connection"] = "close"


async def serve(settings: Settings, seat: Seat | None = None) -> None:
    """Listen until told to end, then end politely: no new work, answers finished, sockets sent away.

    Alone, or as one of several workers: on that seat.
    """
    set_up_logs(
        settings.log_level.value, json=settings.log_format.value == "json", worker=None if seat is None else seat.number
    )
    server_logger.addFilter(http.QuietAboutMalformed())
    async with AsyncExitStack() as stack:
        bound = stack.enter_context(listening_socket(settings.listen) if seat is None else seat.listening_socket())
        address = endpoint_of(bound)
        orders = stack.enter_context(orders_alone(address, settings.drain_seconds) if seat is None else orders_at(seat))
        core = await stack.enter_async_context(open_core(settings, port=address.port, logged=True))
        waking = await opened_waking(stack, core)
        telephony = await opened_telephony(stack, core)
        server = Server(core, waking, telephony, seat)
        if server.siblings is not None:
            await stack.enter_async_context(server.siblings.giving())
        await stack.enter_async_context(core.bus.attach(APPLICATIONS, core.applications.changed))
        keys_rung = asyncio.Event()
        await stack.enter_async_context(core.bus.attach(SIGNING_KEYS, keys_rung.set))
        keys_rung.set()  # processes that start at once on an empty store each make a key: read what the others made
        runner = web.AppRunner(
            server.app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=FINISH_SECONDS,
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
            asyncio.create_task(server.app_password_uses.run()),
            asyncio.create_task(server.housekeeping.run()),
            asyncio.create_task(server.pulse.run()),
            asyncio.create_task(_refresh_keys(core.keyring, keys_rung)),
        ]
        outboxes = [each for each in (waking, telephony) if each]
        tasks += [asyncio.create_task(each.run()) for each in outboxes]
        stack.push_async_callback(_end, tasks)
        orders.ready()
        _calm_the_collector()
        await orders.leave.wait()
        server.leave()
        await orders.end.wait()
        for each in outboxes:
            each.drain()
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
