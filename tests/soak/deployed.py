"""A story's service on the store and bus that it names, and what is wrong with the rows that it leaves.

Used by the stories that are told embedded and on PostgreSQL: `herd.py` and `texts.py`.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from tests.soak import checker
from tests.soak.mirror import mirrored
from tests.soak.story import WIDE_OPEN
from tests.support.deployments import Deployment, between
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.service import Service


async def deployed(stack: AsyncExitStack, folder: Path, deployment: Deployment, **settings: str) -> Service:
    """The service, not started; what it needs has been, and waits for the disk as an installation's does."""
    if deployment is Deployment.EMBEDDED:
        return Service(folder, **WIDE_OPEN, **settings)
    postgres = await asyncio.to_thread(PostgresServer, fsync="on", full_page_writes="on")
    stack.callback(postgres.close)
    await asyncio.to_thread(postgres.start)
    redis = RedisServer(folder / "redis")
    stack.callback(redis.kill)
    await asyncio.to_thread(redis.start)
    deploy = between(deployment, postgres, redis)
    return await asyncio.to_thread(lambda: deploy(folder, **WIDE_OPEN, **settings))


async def written(service: Service) -> list[str]:
    """What is wrong with what stands in the store."""
    url = service.environment.get("PUSH_SERVICE_DATABASE_URL")
    if url is None:
        with checker.copied(service.folder / "data" / "push-service.db") as connection:
            return checker.check_rows(connection)
    async with mirrored(url) as connection:
        return checker.check_rows(connection, gapless=False)
