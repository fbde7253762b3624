"""The composition root's inner half: store, bus, keys and use cases, without a server.

What the command line works with, beside a running server or without one. It imports nothing of HTTP, so that a command
starts fast.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from push_service.administrator import Administrator
from push_service.applications import Applications
from push_service.bus.local import LocalBus
from push_service.config import InvalidSettings, Settings, make_data_dir
from push_service.crypto.keyring import Keyring
from push_service.crypto.passwords import Argon2Passwords
from push_service.crypto.sealing import Sealer, key_from_file
from push_service.decisions import Decisions
from push_service.drafts import Drafter
from push_service.funnel import Funnel
from push_service.hops import Hops
from push_service.observability import Metrics, log_committed
from push_service.registrar import Registrar
from push_service.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class Core:
    """Everything but the server: what the command line works with, beside a running server or without one."""

    settings: Settings
    public_url: str
    store: SqliteStore
    bus: LocalBus
    sealer: Sealer
    decisions: Decisions
    passwords: Argon2Passwords
    keyring: Keyring
    applications: Applications
    administrator: Administrator
    registrar: Registrar
    drafter: Drafter
    metrics: Metrics
    hops: Hops


@asynccontextmanager
async def open_core(settings: Settings, *, port: int | None = None, logged: bool = False) -> AsyncIterator[Core]:
    """Open the store and wire the use cases. `port` is the one listened on, where the settings leave it to chance."""
    make_data_dir(settings)
    policy = settings.policy.to_policy()
    public_url = settings.public_url or f"http://localhost:{port or settings.listen.port}"
    sealer = Sealer(settings.key or _key(settings))
    bus, metrics = LocalBus(), Metrics()
    async with AsyncExitStack() as stack:
        hops = await stack.enter_async_context(_hops(settings, metrics)) if logged else Hops()
        store = await stack.enter_async_context(
            SqliteStore(settings.database_file, sealer, foreign=bus.ring_now, hops=hops)
        )
        observers = (metrics.committed, log_committed) if logged else ()
        decisions = Decisions(store, bus, observers, hops)
        passwords = Argon2Passwords(
            concurrency=settings.password_hash_concurrency,
            waiting=settings.password_hash_waiting,
            memory_kib=settings.argon2.memory_kib,
            time_cost=settings.argon2.time_cost,
            parallelism=settings.argon2.parallelism,
        )
        stack.callback(passwords.close)
        keyring = Keyring(store, bus)
        await keyring.open()
        drafter = Drafter(keyring, policy, public_url)
        applications = Applications(store, public_url)
        yield Core(
            settings=settings,
            public_url=public_url,
            store=store,
            bus=bus,
            sealer=sealer,
            decisions=decisions,
            passwords=passwords,
            keyring=keyring,
            applications=applications,
            administrator=Administrator(store, decisions, passwords, bus),
            registrar=Registrar(
                store=store,
                decisions=decisions,
                drafter=drafter,
                applications=applications,
                policy=policy,
                issuer=public_url,
            ),
            drafter=drafter,
            metrics=metrics,
            hops=hops,
        )


@asynccontextmanager
async def _hops(settings: Settings, metrics: Metrics) -> AsyncIterator[Hops]:
    """Who hears the hops: the metrics, and where traces are asked for those, too."""
    funnel, endpoint = Funnel(metrics.registry), settings.telemetry.traces_endpoint
    if endpoint is None:
        yield funnel
        return
    try:
        from push_service.traces import Traces  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as missing:
        told = "traces need the extra `telemetry`: pip install 'push-service[telemetry]'"
        raise InvalidSettings(f"PUSH_SERVICE_TELEMETRY__TRACES_ENDPOINT: {told} ({missing})") from missing
    traces = Traces(funnel, endpoint, settings.telemetry.traces_share)
    try:
        yield traces
    finally:
        await asyncio.to_thread(traces.close)


def _key(settings: Settings) -> bytes:
    try:
        return key_from_file(settings.key_file)
    except (OSError, ValueError) as problem:
        raise InvalidSettings(f"PUSH_SERVICE_ENCRYPTION_KEY_FILE: {problem}") from problem
