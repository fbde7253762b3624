"""The one writer: a thread that commits whatever is queued in one durable transaction.

Each command runs in a savepoint of its own, so that a failing one leaves its neighbours alone; their callers hear of it
only after the commit. Commands of one turn of the event loop are handed over together: under load that is what groups
them.

The thread also notices what other processes commit (the command line beside a running server) and reads from the audit
which bells to ring for it.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar, cast

from push_service.model.errors import Busy, ServiceError, StoreUnavailable
from push_service.model.ids import SignInId, UserId
from push_service.model.instant import Instant
from push_service.ports import APPLICATIONS, SIGNING_KEYS, Duplicate, Topic
from push_service.store.sqlite.connection import connect

T = TypeVar("T")
Command = Callable[[sqlite3.Connection, Instant], T]
Clock = Callable[[], Instant]

MAX_QUEUED = 10_000
_LARGEST_BATCH = 1000
_LISTEN_SECONDS = 0.25
_RETRY_SECONDS = 1.0


class _Job(Generic[T]):
    """A queued command, and where its caller waits."""

    __slots__ = ("command", "error", "future", "result")

    def __init__(self, command: Command[T], future: asyncio.Future[T]) -> None:
        self.command, self.future = command, future
        self.result: T | None = None
        self.error: Exception | None = None

    def tell(self) -> None:
        """Give the caller, if it still waits, what came of it."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(cast("T", self.result))


_Jobs = list[_Job[object]]


class Writer:
    """Runs commands in the order in which they were submitted."""

    def __init__(self, path: Path, clock: Clock, foreign: Callable[[Sequence[Topic]], None]) -> None:
        """Write to this file; `foreign` is called on the event loop with what other processes changed."""
        self._connection = connect(path)
        self._clock, self._foreign = clock, foreign
        self._loop = asyncio.get_running_loop()
        self._turn: _Jobs = []
        self._queue: queue.SimpleQueue[_Jobs | None] = queue.SimpleQueue()
        self._outstanding = 0
        self._seen = self._data_version()
        self._last_seq = self._newest_seq()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def outstanding(self) -> int:
        """How many commands are queued or running."""
        return self._outstanding

    async def submit(self, command: Command[T]) -> T:
        """Run a command in the next transaction and return what it returned, once that is durable."""
        if self._outstanding >= MAX_QUEUED:
            raise Busy(retry_after=_RETRY_SECONDS)
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        self._turn.append(cast("_Job[object]", _Job(command, future)))
        self._outstanding += 1
        return await future

    async def close(self) -> None:
        """Finish what is queued, and end."""
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _hand_over(self) -> None:
        if self._turn:
            self._queue.put(self._turn)
            self._turn = []

    def _run(self) -> None:
        while True:
            try:
                jobs = self._queue.get(timeout=_LISTEN_SECONDS)
            except queue.Empty:
                self._listen()
                continue
            ended = jobs is None
            batch: _Jobs = list(jobs or ())
            while not ended and len(batch) < _LARGEST_BATCH:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                ended = more is None
                batch += more or ()
            if batch:
                self._commit(batch)
                self._loop.call_soon_threadsafe(self._tell, batch)
            if ended:
                return

    def _tell(self, batch: _Jobs) -> None:
        self._outstanding -= len(batch)
        for job in batch:
            job.tell()

    def _commit(self, batch: _Jobs) -> None:
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            self._listen()
            for job in batch:
                execute("SAVEPOINT command")
                try:
                    job.result = job.command(self._connection, self._clock())
                except (ServiceError, Duplicate) as refusal:
                    job.error = refusal
                except sqlite3.IntegrityError as problem:
                    job.error = _duplicate(problem)
                except sqlite3.OperationalError:
                    raise
                except Exception as defect:  # noqa: BLE001 - its caller's, not its neighbours'
                    job.error = defect
                if job.error is not None:
                    execute("ROLLBACK TO command")
                execute("RELEASE command")
            execute("COMMIT")
            self._last_seq = self._newest_seq()
        except sqlite3.Error as problem:
            self._undo()
            for job in batch:
                job.error = StoreUnavailable(f"The store refused to write: {problem}.", retry_after=_RETRY_SECONDS)

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _listen(self) -> None:
        """Ring for what others committed since we last looked."""
        try:
            version = self._data_version()
            if version == self._seen:
                return
            rows = self._connection.execute(
                "SELECT seq, user_id, sign_in_id, kind FROM audit WHERE seq > ? ORDER BY seq", (self._last_seq,)
            ).fetchall()
        except sqlite3.Error:
            return  # asked again in a moment; the waiters' floor makes good for it
        self._seen = version
        if rows:
            self._last_seq = rows[-1][0]
            topics = tuple({topic for row in rows for topic in _topics(*row[1:])})
            self._loop.call_soon_threadsafe(self._foreign, topics)

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _newest_seq(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM audit").fetchone()[0])


def _topics(user_id: str | None, sign_in_id: str | None, kind: str) -> list[Topic]:
    topics = []
    if user_id:
        topics.append(Topic.user(UserId(user_id)))
    if sign_in_id:
        topics.append(Topic.sign_in(SignInId(sign_in_id)))
    if kind.startswith("application."):
        topics.append(APPLICATIONS)
    if kind.startswith("key."):
        topics.append(SIGNING_KEYS)
    return topics


def _duplicate(problem: sqlite3.IntegrityError) -> Exception:
    what, _, column = str(problem).partition("failed: ")
    return Duplicate(column.split(",")[0]) if what.startswith("UNIQUE") else problem
