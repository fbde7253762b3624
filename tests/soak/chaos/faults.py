"""Each fault, from its beginning to its end. What it did is undone when it returns, but for the coming back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine

import asyncpg
from redis.exceptions import RedisError

from mobile_stub.firebase_faults import Endpoint, Fault, FaultKind
from tests.soak.chaos.schedule import Kind, Part, Strike
from tests.soak.chaos.stage import Stage
from tests.support.proxy import CLEAR, HOLE, Proxy, Way
from tests.support.service import Service

EVERY_SECONDS = 0.5
LONGEST_AWAY_SECONDS = 2.0
LARGEST_DELAY_SECONDS = 0.6
MOST_BYTES = 20_000
ALL_FROM = 0.5
_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_PROVIDER = {
    Kind.FIREBASE_UNREGISTERED: FaultKind.UNREGISTERED,
    Kind.FIREBASE_MISMATCH: FaultKind.SENDER_ID_MISMATCH,
    Kind.FIREBASE_ARGUMENT: FaultKind.INVALID_ARGUMENT,
    Kind.FIREBASE_QUOTA: FaultKind.QUOTA_EXCEEDED,
    Kind.FIREBASE_UNAVAILABLE: FaultKind.UNAVAILABLE,
    Kind.FIREBASE_INTERNAL: FaultKind.INTERNAL,
    Kind.FIREBASE_AUTH: FaultKind.THIRD_PARTY_AUTH_ERROR,
    Kind.FIREBASE_GATEWAY: FaultKind.BAD_GATEWAY,
    Kind.FIREBASE_LATE: FaultKind.LATE,
    Kind.FIREBASE_SILENT: FaultKind.SILENT,
    Kind.FIREBASE_DRIBBLE: FaultKind.DRIBBLE,
    Kind.FIREBASE_LOST: FaultKind.LOST,
}


async def strike(stage: Stage, blow: Strike) -> None:
    """Let it happen, and let it be over."""
    await _OF[blow.kind.part](stage, blow)


# --- the service ------------------------------------------------------------------------------------------------------


async def _service(stage: Stage, blow: Strike) -> None:
    member = stage.fleet.members[blow.member]
    match blow.kind:
        case Kind.STOP:
            os.kill(member.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(blow.seconds)
            finally:
                os.kill(member.pid, signal.SIGCONT)
        case Kind.KILL:
            await member.kill()
            await _away(stage, member, blow)
        case _:
            await stage.end(member)
            await _away(stage, member, blow)


async def _away(stage: Stage, member: Service, blow: Strike) -> None:
    await asyncio.sleep(min(blow.seconds, LONGEST_AWAY_SECONDS * blow.dose))
    await stage.start(member)


# --- Redis ------------------------------------------------------------------------------------------------------------


async def _redis(stage: Stage, blow: Strike) -> None:
    redis = stage.redis
    match blow.kind:
        case Kind.REDIS_KILL:
            await asyncio.to_thread(redis.kill)
            await asyncio.sleep(blow.seconds)
            await asyncio.to_thread(redis.start)
        case Kind.REDIS_STOP:
            redis.pause()
            try:
                await asyncio.sleep(blow.seconds)
            finally:
                redis.resume()
        case Kind.REDIS_PAUSE:
            await redis.command("CLIENT", "PAUSE", str(round(blow.seconds * 1000)), "ALL")
            await asyncio.sleep(blow.seconds)
        case Kind.REDIS_CUT:
            await _again_and_again(blow, lambda: redis.command("CLIENT", "KILL", "TYPE", "pubsub"))
        case _:
            await _again_and_again(blow, lambda: redis.command("FLUSHALL"))


async def _again_and_again(blow: Strike, do: Callable[[], Coroutine[None, None, object]]) -> None:
    for _ in range(max(1, round(blow.seconds / EVERY_SECONDS))):
        with contextlib.suppress(RedisError, asyncpg.PostgresError, OSError):
            await do()
        await asyncio.sleep(EVERY_SECONDS)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


async def _postgres(stage: Stage, blow: Strike) -> None:
    postgres = stage.postgres
    match blow.kind:
        case Kind.POSTGRES_CRASH:
            await asyncio.to_thread(postgres.crash)
            await asyncio.sleep(blow.seconds)
            await asyncio.to_thread(postgres.start)
        case Kind.POSTGRES_STOP:
            with postgres.paused():
                await asyncio.sleep(blow.seconds)
        case Kind.POSTGRES_CUT:
            await _again_and_again(blow, lambda: asyncio.to_thread(postgres.execute, _CUT, stage.database))
        case Kind.POSTGRES_READ_ONLY:
            await _read_only(stage, blow)
        case _:
            await _locked(stage, blow)


async def _read_only(stage: Stage, blow: Strike) -> None:
    connection = await asyncpg.connect(stage.postgres.url())
    try:
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await connection.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(blow.seconds)
    finally:
        await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()


async def _locked(stage: Stage, blow: Strike) -> None:
    connection = await asyncpg.connect(stage.url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(blow.seconds)
    finally:
        await connection.close()


# --- Firebase ---------------------------------------------------------------------------------------------------------


async def _firebase(stage: Stage, blow: Strike) -> None:
    faults = stage.world.firebase.faults
    if blow.kind is Kind.FIREBASE_TOKEN:
        faults.add(Fault(kind=FaultKind.UNAVAILABLE, endpoint=Endpoint.TOKEN))
        stage.world.firebase.account.revoke()
    else:
        faults.add(Fault(kind=_PROVIDER[blow.kind], retry_after=1 if blow.dose < ALL_FROM else None, late=blow.seconds))
    await asyncio.sleep(blow.seconds)
    faults.clear()


# --- the network ------------------------------------------------------------------------------------------------------


async def _network(stage: Stage, blow: Strike) -> None:
    everyone = range(len(stage.ways)) if blow.dose > ALL_FROM else (blow.member,)
    ways = [_between(stage, blow.kind, member) for member in everyone]
    for proxy in ways:
        match blow.kind:
            case Kind.POSTGRES_SLOW | Kind.REDIS_SLOW:
                proxy.up = proxy.down = Way(delay=LARGEST_DELAY_SECONDS * blow.dose)
            case Kind.POSTGRES_SHORT | Kind.REDIS_SHORT:
                proxy.up = proxy.down = Way(cut_after=round(MOST_BYTES * blow.dose))
            case _:
                proxy.up = proxy.down = HOLE
    await asyncio.sleep(blow.seconds)
    for proxy in ways:
        proxy.up = proxy.down = CLEAR


def _between(stage: Stage, kind: Kind, member: int) -> Proxy:
    ways = stage.ways[member]
    return ways.postgres if kind in {Kind.POSTGRES_SLOW, Kind.POSTGRES_SHORT, Kind.POSTGRES_HOLE} else ways.redis


_OF: dict[Part, Callable[[Stage, Strike], Coroutine[None, None, None]]] = {
    Part.SERVICE: _service,
    Part.REDIS: _redis,
    Part.POSTGRES: _postgres,
    Part.FIREBASE: _firebase,
    Part.NETWORK: _network,
}
