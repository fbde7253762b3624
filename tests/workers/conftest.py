"""Machines with several workers, watched from outside: by their processes, their port and their metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import aiohttp
import psutil
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from tests.support.several import Several

T = TypeVar("T")
PATIENCE_SECONDS = 30.0
MakeMachine = Callable[..., Awaitable[Several]]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Several]:
    """Two workers for all stories that leave two workers behind. In the end they end politely."""
    several = Several(tmp_path_factory.mktemp("pair"), 2)
    await several.start()
    try:
        yield several
        assert await several.stop() == 0
    finally:
        await several.kill()


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[MakeMachine]:
    """Start machines: `await machine(workers=2, LOG_LEVEL="info")`."""
    async with AsyncExitStack() as stack:

        async def make(workers: int = 2, **settings: str) -> Several:
            made = Several(tmp_path, workers, **settings)
            stack.push_async_callback(made.kill)
            await made.start()
            return made

        yield make


def workers_of(machine: Several) -> set[int]:
    """The process ids of the workers."""
    return {child.pid for child in psutil.Process(machine.pid).children()}


async def until(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """Look at another process, again and again, until it is as it must become."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds(found := await look()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    return found


async def fetch(machine: Several, path: str) -> tuple[int, str, str]:
    """Status, text and `Connection` of an answer, on a connection of its own."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
        session.get(f"http://127.0.0.1:{machine.port}{path}") as answer,
    ):
        return answer.status, await answer.text(), answer.headers.get("Connection", "")


async def measured(machine: Several, name: str) -> dict[str, float]:
    """A metric summed by worker."""
    _, text, _ = await fetch(machine, "/metrics")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                worker = sample.labels["worker"]
                found[worker] = found.get(worker, 0.0) + sample.value
    return found
