"""All the parts, as real processes: three servers behind a balancer, PostgreSQL, Redis, Firebase, and ways between.

Each server reaches PostgreSQL and Redis by a way of its own, which can be slow, be cut or swallow everything. `answer`
waits until every part answers for itself, asked directly: that is the moment from which on everybody must be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
from redis.exceptions import RedisError

from mobile_stub.world import World, world
from tests.soak.chaos.schedule import MEMBERS
from tests.soak.story import WIDE_OPEN
from tests.support.fleet import Fleet
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy, proxy_to
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.waking import firebase_settings

BACK_SECONDS = 120.0
"""Longer than anything takes to come back; who is not back then never will be."""
LOOK_SECONDS = 0.05
ANSWER_SECONDS = 2.0
AGAIN_SECONDS = 0.5


@dataclass
class Ways:
    """How one server reaches the others."""

    postgres: Proxy
    redis: Proxy


@dataclass
class Stage:
    """The parts, running."""

    fleet: Fleet
    postgres: PostgresServer
    database: str
    redis: RedisServer
    world: World
    ways: list[Ways]
    codes: list[int] = field(default_factory=list)
    """What processes ended with that were told to end: -9 where one didn't."""
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        """The database, directly."""
        return self.postgres.url(self.database)

    async def start(self, member: Service) -> None:
        """Start a server, again and again until it runs: what a service manager does, too."""
        async with asyncio.timeout(BACK_SECONDS):
            while True:
                try:
                    await member.start()
                except AssertionError:  # it has ended, having said why: a part that it needs is not there
                    self.counts["starts in vain"] += 1
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    return

    async def end(self, member: Service) -> None:
        """Tell a server to end, and take down how it did."""
        try:
            self.codes.append(await member.stop())
        except TimeoutError:
            self.codes.append(await member.kill())

    async def answer(self) -> float:
        """Wait until all parts answer; since when, by the monotonic clock."""
        async with asyncio.timeout(BACK_SECONDS):
            while True:
                asked = time.monotonic()
                answers = await asyncio.gather(
                    self._postgres_writes(), self._redis_answers(), *map(_lives, self.fleet.members)
                )
                if all(answers):
                    return asked
                await asyncio.sleep(LOOK_SECONDS)

    async def _postgres_writes(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url, timeout=ANSWER_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        try:
            return bool(await connection.fetchval("SHOW transaction_read_only", timeout=ANSWER_SECONDS) == "off")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        finally:
            connection.terminate()

    async def _redis_answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return bool(await self.redis.command("PING"))
        except (OSError, TimeoutError, RedisError):
            return False


async def _lives(member: Service) -> bool:
    limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(f"http://127.0.0.1:{member.port}/livez") as answer,
        ):
            return answer.status == 200
    return False


@asynccontextmanager
async def stage(folder: Path, mutation: str | None = None) -> AsyncIterator[Stage]:
    """Everything, started; a `mutation` is a break of tests/soak/mutants.py that all servers have."""
    async with AsyncExitStack() as stack:
        postgres = await asyncio.to_thread(PostgresServer)
        stack.callback(postgres.close)
        await asyncio.to_thread(postgres.start)
        database = await asyncio.to_thread(lambda: postgres.create(postgres.migrated))
        redis = RedisServer(folder / "redis")
        stack.callback(redis.kill)
        await asyncio.to_thread(redis.start)
        google = await stack.enter_async_context(world())
        ways = [
            Ways(
                await stack.enter_async_context(proxy_to(postgres.port)),
                await stack.enter_async_context(proxy_to(redis.port)),
            )
            for _ in range(MEMBERS)
        ]
        settings = {
            **WIDE_OPEN,
            **firebase_settings(google),
            "DATABASE_URL": postgres.url(database),
            "POSTGRES__CONNECTIONS": "6",
            "BUS_URL": redis.url,
        }
        fleet = Fleet(folder, MEMBERS, **settings)
        fleet.apart = tuple(
            {
                "PUSH_SERVICE_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{each.postgres.port}/{database}",
                "PUSH_SERVICE_BUS_URL": f"redis://127.0.0.1:{each.redis.port}",
            }
            for each in ways
        )
        if mutation is not None:
            for member in fleet.members:
                member.program = (member.program[0], "-m", "tests.soak.mutants", mutation, "serve")
        stack.push_async_callback(fleet.kill)
        await fleet.start()
        yield Stage(fleet, postgres, database, redis, google, ways)
