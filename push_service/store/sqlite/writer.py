"""The one writer: commits whatever is queued in one durable transaction.

The statements of a batch run on the event loop, where they take microseconds each; the commit, which waits for the
disk, runs in a thread, and so does waiting for another process's lock. What is submitted meanwhile is the next batch:
that is what groups commits under load. (Statements in a thread would be dearer: SQLite's driver gives up the
interpreter's lock at every one of them, and taking it back costs two switches of threads; docs/decisions/0002.)

A failing command leaves its neighbours alone, and all callers hear of it only after the commit. The writer also notices
what other processes commit (the command line beside a running server) and reads from the audit which bells to ring.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar, cast

from push_service.hops import Hops
from push_service.model.errors import Busy, ServiceError, StoreUnavailable
from push_service.model.instant import Instant
from push_service.ports import Duplicate, Topic
from push_service.store.records import topics_of_record
from push_service.store.sqlite.connection import BUSY_SECONDS, connect

T = TypeVar("T")
Command = Callable[[sqlite3.Connection, Instant], T]
Clock = Callable[[], Instant]

MAX_QUEUED = 10_000
_LARGEST_BATCH = 64
_LISTEN_SECONDS = 0.25
_RETRY_SECONDS = 1.0


class _Job(Generic[T]):
    """A queued command, and where its caller waits."""

    __slots__ = ("command", "error", "future", "result", "since")

    def __init__(self, command: Command[T], future: asyncio.Future[T], since: float) -> None:
        self.command, self.future, self.since = command, future, since
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


class Writer:
    """Runs commands in the order in which they were submitted."""

    def __init__(
        self, path: Path, clock: Clock, foreign: Callable[[Sequence[Topic]], None], hops: Hops | None = None
    ) -> None:
        """Write to this file; `foreign` is called on the event loop with what other processes changed."""
        self._hops = hops or Hops()
        self._begun_at = 0.0
        self._connection = connect(path, busy_seconds=0)
        self._clock, self._foreign = clock, foreign
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Job[object]] = deque()
        self._batch: list[_Job[object]] = []
        self._outstanding = 0
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._disk = _Disk(self._loop)
        self._seen = self._data_version()
        self._last_seq = self._own_seq = self._newest_seq()
        self._timer = self._loop.call_later(_LISTEN_SECONDS, self._listen_now_and_then)

    @property
    def outstanding(self) -> int:
        """How many commands are queued or running."""
        return self._outstanding

    async def submit(self, command: Command[T]) -> T:
        """Run a command in the next transaction and return what it returned, once that is durable."""
        if self._closing:
            raise StoreUnavailable("The store is being closed.", retry_after=_RETRY_SECONDS)
        if self._outstanding >= MAX_QUEUED:
            raise Busy(retry_after=_RETRY_SECONDS)
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.append(cast("_Job[object]", _Job(command, future, self._loop.time())))
        self._outstanding += 1
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._begin)
        return await future

    async def close(self) -> None:
        """Finish what is queued, take nothing more, and end."""
        self._closing = True
        await self._idle.wait()
        self._timer.cancel()
        await self._disk.close()
        self._connection.close()

    def _begin(self) -> None:
        """Start a transaction with what is queued: at once if nobody else writes, else when the lock is free."""
        while self._queue and len(self._batch) < _LARGEST_BATCH:
            self._batch.append(self._queue.popleft())
        self._begun_at = self._loop.time()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            self._disk.run(self._wait_for_lock, self._begun)
        else:
            self._begun(None)

    def _wait_for_lock(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        finally:
            self._connection.execute("PRAGMA busy_timeout = 0")

    def _begun(self, problem: Exception | None) -> None:
        if problem is None:
            try:
                self._listen()
                self._run_all()
                self._own_seq = self._newest_seq()
            except sqlite3.Error as refused:
                problem = refused
        else:
            # What came meanwhile has stood behind the same lock: nobody waits for it twice.
            self._batch += self._queue
            self._queue.clear()
        if problem is None:
            self._disk.run(self._commit, self._committed)
        else:
            self._committed(problem)

    def _run_all(self) -> None:
        """Run the batch; if one fails, run it again with a savepoint for each, so that only the guilty one does."""
        self._connection.execute("SAVEPOINT batch")
        try:
            for job in self._batch:
                job.result = job.command(self._connection, self._clock())
        except sqlite3.OperationalError:
            raise  # the store's trouble, not a command's
        except Exception:  # noqa: BLE001 - found again, and told to whom it belongs, below
            self._connection.execute("ROLLBACK TO batch")
            for job in self._batch:
                self._run(job)

    def _run(self, job: _Job[object]) -> None:
        execute = self._connection.execute
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

    def _commit(self) -> None:
        self._connection.execute("COMMIT")

    def _committed(self, problem: Exception | None) -> None:
        if problem is None:
            self._last_seq = self._own_seq
            begun_at = self._begun_at
            self._hops.batch(len(self._batch), begun_at - self._batch[0].since, self._loop.time() - begun_at)
        else:
            self._hops.store_failed(len(self._batch))
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
        batch, self._batch = self._batch, []
        self._outstanding -= len(batch)
        for job in batch:
            if problem is not None:
                job.error = StoreUnavailable(f"The store refused to write: {problem}.", retry_after=_RETRY_SECONDS)
            job.tell()
        if self._queue:
            self._loop.call_soon(self._begin)
        else:
            self._idle.set()

    def _listen_now_and_then(self) -> None:
        if self._idle.is_set():
            with contextlib.suppress(sqlite3.Error):  # asked again in a moment
                self._listen()
        self._timer = self._loop.call_later(_LISTEN_SECONDS, self._listen_now_and_then)

    def _listen(self) -> None:
        """Ring for what others committed since we last looked. Our own commits don't move the data version."""
        version = self._data_version()
        if version == self._seen:
            return
        rows = self._connection.execute(
            "SELECT seq, user_id, sign_in_id, kind FROM audit WHERE seq > ? ORDER BY seq", (self._last_seq,)
        ).fetchall()
        self._seen = version
        if rows:
            self._last_seq = rows[-1][0]
            # Not from here: whatever a bell does wrong must not be the batch's trouble.
            self._loop.call_soon(self._foreign, tuple({topic for row in rows for topic in topics_of_record(*row[1:])}))

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _newest_seq(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM audit").fetchone()[0])


class _Disk:
    """A thread for what waits for the disk or a lock: one call at a time, its end told on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: queue.SimpleQueue[tuple[Callable[[], None], Callable[[Exception | None], None]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name="store-disk", daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], None], then: Callable[[Exception | None], None]) -> None:
        """Make the call; afterwards `then` is told what went wrong, or None."""
        self._calls.put((call, then))

    async def close(self) -> None:
        """End the thread."""
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (wanted := self._calls.get()) is not None:
            call, then = wanted
            problem: Exception | None = None
            try:
                call()
            except Exception as refused:  # noqa: BLE001 - told to whoever waits: a dead thread would hang them all
                problem = refused
            self._loop.call_soon_threadsafe(then, problem)


def _duplicate(problem: sqlite3.IntegrityError) -> Exception:
    what, _, column = str(problem).partition("failed: ")
    return Duplicate(column.split(",")[0]) if what.startswith("UNIQUE") else problem
