"""A bounded number of connections, each used by one call at a time; every wait has an end.

A request never holds a connection: a call runs in a task of its own, which goes on when whoever asked has left, so that
no statement is broken off and no transaction is left open (R-25). A connection that met with trouble is thrown away and
the next call makes a new one, so that nothing is poisoned and a server that comes back is used at once (R-24).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from push_service.model.errors import Busy, StoreUnavailable
from push_service.store.postgres.trouble import RETRY_SECONDS, TROUBLES, spoils, told
from push_service.store.rows import Row

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

T = TypeVar("T")
Call = Callable[["Connection"], Awaitable[T]]

MAX_QUEUED = 10_000
ANSWER_SECONDS = 1.8
"""Whoever asks is told within this time, if only that the store did not answer."""
CONNECT_SECONDS = 1.0
CLOSE_SECONDS = 2.0
_GRACE_SECONDS = 0.2
"""The server ends a statement that takes too long; this much later it is given up from here."""
_ROLLBACK_SECONDS = 0.2
"""What is given up in a transaction rolls it back, and waits for that: over a dead connection, for ever, unless that
wait has an end of its own."""
_NEVER = (
    "enable_seqscan",
    "enable_bitmapscan",
    "enable_material",
    "enable_memoize",
    "enable_hashjoin",
    "enable_mergejoin",
    "jit",
)
"""What no plan is made of: few statements, always by key, are planned once each. They are to go row by row over indices
even where tables are empty yet and reading all of them once would seem cheaper; and nothing is worth compiling."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process takes of the server."""

    connections: int = 8
    statement_seconds: float = 1.5


class Connections:
    """Calls with a connection; as many at once as there are connections, the rest in the order in which they came."""

    def __init__(self, url: str, size: int, statement_seconds: float) -> None:
        """Connect when first needed."""
        self._url, self._seconds = url, statement_seconds
        self.size = size
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._calls: set[asyncio.Task[object]] = set()
        self._waiting = 0
        self._closing = False

    @property
    def outstanding(self) -> int:
        """How many calls wait or run."""
        return self._waiting + len(self._calls)

    async def run(self, call: Call[T]) -> T:
        """Make the call for somebody who may leave. Raises what `told` makes of troubles."""
        if self.outstanding >= MAX_QUEUED:
            raise Busy(retry_after=RETRY_SECONDS)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(await self._start(call))
        except TROUBLES as problem:
            raise told(problem) from problem

    async def use(self, call: Call[T]) -> T:
        """Make the call for a task that stays. Raises TROUBLES as they are."""
        return await (await self._start(call))

    async def close(self) -> None:
        """Let what runs come to its end, take nothing more, and hang up."""
        self._closing = True
        while self._calls:
            await asyncio.wait(self._calls)
        idle, self._idle = self._idle, []
        for connection in idle:
            try:
                await connection.close(timeout=CLOSE_SECONDS)
            except TROUBLES:
                connection.terminate()

    async def _start(self, call: Call[T]) -> asyncio.Task[T]:
        """Wait for one's turn. Whoever leaves before it comes has asked for nothing."""
        if self._closing:
            raise StoreUnavailable("The store is closed.", retry_after=RETRY_SECONDS)
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        task = asyncio.ensure_future(self._run(call))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._calls.discard(task)
        self._free.release()
        if not task.cancelled():
            task.exception()  # told to whoever still waits; nobody else misses it

    async def _run(self, call: Call[T]) -> T:
        connection = self._idle.pop() if self._idle else None
        if connection is None or connection.is_closed():
            connection = await self._connect()
        seconds = self._seconds + _GRACE_SECONDS
        try:
            async with asyncio.timeout(seconds + _ROLLBACK_SECONDS), asyncio.timeout(seconds):
                result = await call(connection)
        except BaseException as problem:
            if spoils(problem) or connection.is_closed():
                connection.terminate()
            else:
                self._idle.append(connection)
            raise
        self._idle.append(connection)
        return result

    async def _connect(self) -> Connection:
        return await connect(self._url, self._seconds)


async def fetch(connection: Connection, statement: str, *values: object) -> list[Row]:
    """The rows that a statement gives."""
    return [tuple(row) for row in await connection.fetch(statement, *values)]


async def connect(url: str, statement_seconds: float, lock_seconds: float | None = None) -> Connection:
    """A connection on which nothing takes for ever (`statement_seconds` 0: as long as it takes).

    What is so for the connection is set after it is made, not along with it: a pooler in between would refuse that.
    """
    milliseconds = round(statement_seconds * 1000)
    settings = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds if lock_seconds is None else round(lock_seconds * 1000),
        "idle_in_transaction_session_timeout": milliseconds or 60_000,
        "plan_cache_mode": "force_generic_plan",
        **dict.fromkeys(_NEVER, "off"),
    }
    async with asyncio.timeout(CONNECT_SECONDS):
        connection = await asyncpg.connect(
            url, max_cached_statement_lifetime=0, server_settings={"application_name": "push-service"}
        )
        try:
            await connection.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
        except BaseException:
            connection.terminate()
            raise
    return connection
