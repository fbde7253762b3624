"""The composition root's inner half: store, bus, keys and use cases, without a server.

What the command line works with, beside a running server or without one. It imports nothing of HTTP, so that a command
starts fast.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from push_service.administrator import Administrator
from push_service.applications import Applications
from push_service.bus.local import LocalBus
from push_service.codes import Codes
from push_service.config import InvalidSettings, LogLevel, Settings, make_data_dir
from push_service.crypto.keyring import Keyring
from push_service.crypto.passwords import Argon2Passwords
from push_service.crypto.sealing import Sealer, key_from_file
from push_service.decisions import Decisions
from push_service.drafts import Drafter
from push_service.enroller import Enroller
from push_service.funnel import Funnel
from push_service.hops import Hops
from push_service.journal import Journal
from push_service.methods import offered
from push_service.model.method import Methods
from push_service.observability import Metrics, log_committed
from push_service.ports import Bus
from push_service.recovery import Recovery
from push_service.registrar import Registrar
from push_service.store import UnsafeDatabase
from push_service.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from push_service.bus.redis import RedisBus
    from push_service.store.postgres import PostgresStore

    ServedStore = SqliteStore | PostgresStore


@dataclass(frozen=True, slots=True)
class Core:
    """Everything but the server: what the command line works with, beside a running server or without one."""

    settings: Settings
    public_url: str
    store: ServedStore
    bus: Bus
    sealer: Sealer
    decisions: Decisions
    passwords: Argon2Passwords
    keyring: Keyring
    applications: Applications
    administrator: Administrator
    registrar: Registrar
    enroller: Enroller
    drafter: Drafter
    methods: Methods
    codes: Codes
    recovery: Recovery
    metrics: Metrics
    hops: Hops


@asynccontextmanager
async def open_core(settings: Settings, *, port: int | None = None, logged: bool = False) -> AsyncIterator[Core]:
    """Open the store and wire the use cases. `port` is the one listened on, where the settings leave it to chance."""
    make_data_dir(settings)
    policy = settings.to_policy()
    public_url = settings.public_url or f"http://localhost:{port or settings.listen.port}"
    sealer = Sealer(settings.key or _key(settings))
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        bus = await _bus(settings.bus_url, stack)
        hops = await stack.enter_async_context(_hops(settings, metrics)) if logged else Hops()
        try:
            store = await stack.enter_async_context(_store(settings, sealer, bus, hops))
        except UnsafeDatabase as problem:
            raise InvalidSettings(f"PUSH_SERVICE_DATABASE_URL: {problem}") from problem
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
        methods = offered(telephony=settings.telephony.is_set_up)
        codes = Codes(store, sealer.mac)
        registrar = Registrar(
            store=store,
            decisions=decisions,
            drafter=drafter,
            applications=applications,
            policy=policy,
            issuer=public_url,
            methods=methods,
        )
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
            administrator=Administrator(store, decisions, passwords, bus, methods),
            registrar=registrar,
            enroller=Enroller(
                store=store, decisions=decisions, registrar=registrar, codes=codes, policy=policy, issuer=public_url
            ),
            drafter=drafter,
            methods=methods,
            codes=codes,
            recovery=Recovery(store, decisions, codes),
            metrics=metrics,
            hops=hops,
        )


@asynccontextmanager
async def _hops(settings: Settings, metrics: Metrics) -> AsyncIterator[Hops]:
    """Who hears the hops: the metrics; at log level debug the log; and where traces are asked for those, too."""
    heard: Hops = Funnel(metrics.registry)
    if settings.log_level is LogLevel.DEBUG:
        heard = Journal(heard)
    endpoint = settings.telemetry.traces_endpoint
    if endpoint is None:
        yield heard
        return
    try:
        from push_service.traces import Traces  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as missing:
        told = "traces need the extra `telemetry`: pip install 'push-service[telemetry]'"
        raise InvalidSettings(f"PUSH_SERVICE_TELEMETRY__TRACES_ENDPOINT: {told} ({missing})") from missing
    traces = Traces(heard, endpoint, settings.telemetry.traces_share)
    try:
        yield traces
    finally:
        await asyncio.to_thread(traces.close)


async def _bus(url: str, stack: AsyncExitStack) -> LocalBus | RedisBus:
    if url == "local:":
        return LocalBus()
    from push_service.bus.redis import RedisBus  # noqa: PLC0415 - most commands start without Redis

    return await stack.enter_async_context(RedisBus(url))


def _store(
    settings: Settings, sealer: Sealer, bus: LocalBus | RedisBus, hops: Hops
) -> AbstractAsyncContextManager[ServedStore]:
    """The store that the settings name; what other processes change in it rings at this process's bus."""
    if not settings.on_postgres:
        return SqliteStore(settings.database_file, sealer, foreign=bus.ring_now, hops=hops)
    from push_service.store.postgres import Limits, PostgresStore  # noqa: PLC0415 - not loaded with the embedded store

    return PostgresStore(
        settings.database_url,
        sealer,
        limits=Limits(settings.postgres.connections, settings.postgres.statement_seconds),
        foreign=bus.ring_now,
        belled=lambda: not isinstance(bus, LocalBus) and bus.trouble is None,
        hops=hops,
        allow_asynchronous_commit=settings.postgres.allow_asynchronous_commit,
    )


def _is_credential(path: Path) -> bool:
    """Whether systemd handed the file over (LoadCredential=)."""
    return path.parent == Path(os.environ.get("CREDENTIALS_DIRECTORY") or os.devnull)


def _key(settings: Settings) -> bytes:
    try:
        return key_from_file(settings.key_file, group_may_read=_is_credential(settings.key_file))
    except (OSError, ValueError) as problem:
        raise InvalidSettings(f"PUSH_SERVICE_ENCRYPTION_KEY_FILE: {problem}") from problem
