"""Fixtures for stories that need the real server: one shared by many, or one of their own with other settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.deployments import Deploy, Deployment, between
from tests.support.people import Office, office
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.service import Service

MakeService = Callable[..., Awaitable[Service]]
MakeOffice = Callable[[Service], Awaitable[Office]]


@pytest.fixture(scope="session")
def deploy(request: pytest.FixtureRequest) -> Deploy:
    """Makes services: embedded ones, unless a folder's stories are told for every deployment."""
    deployment: Deployment = getattr(request, "param", Deployment.EMBEDDED)
    if deployment is Deployment.EMBEDDED:
        return Service
    return between(deployment, request.getfixturevalue("postgres_server"), request.getfixturevalue("shared_redis"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_service(tmp_path_factory: pytest.TempPathFactory, deploy: Deploy) -> AsyncIterator[Service]:
    """A server for all stories that bring their own people; limits by address are wide, the others as by default."""
    service = deploy(tmp_path_factory.mktemp("service"), POLICY__BEGINS_PER_ADDRESS="100000/1m")
    await service.start()
    yield service
    await service.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A private PostgreSQL server, started when the first test asks for it."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def service(shared_service: Service) -> Service:
    """The shared server."""
    return shared_service


@pytest.fixture
async def make_service(tmp_path: Path, deploy: Deploy) -> AsyncIterator[MakeService]:
    """Start servers of one's own: `await make_service(POLICY__SIGN_IN_SECONDS="3")`."""
    async with AsyncExitStack() as stack:
        count = 0

        async def make(**settings: str) -> Service:
            nonlocal count
            count += 1
            folder = tmp_path / f"service{count}"
            folder.mkdir()
            made = deploy(folder, **settings)
            await made.start()
            stack.push_async_callback(made.kill)
            return made

        yield make


@pytest.fixture
async def desk(service: Service) -> AsyncIterator[Office]:
    """The operator beside the shared server."""
    async with office(service) as opened:
        yield opened


@pytest.fixture
async def make_office() -> AsyncIterator[MakeOffice]:
    """The operator beside a server of one's own."""
    async with AsyncExitStack() as stack:

        async def make(service: Service) -> Office:
            return await stack.enter_async_context(office(service))

        yield make


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for all stories that leave it running; each worker of a parallel run has its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of one's own, to be maltreated."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()
