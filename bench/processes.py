"""Servers under measurement: started on cores of their own with private data, watched from outside, ended by their pid.

Both the prototype and the service are ordinary processes whose CPU time and memory the operating system counts,
children included; nothing inside them is instrumented. Called by every benchmark.
"""

import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.machine import pinned
from bench.wire import Address

START_DEADLINE = 60.0
"""Seconds within which a server says that it is ready."""

STOP_DEADLINE = 30.0
"""Seconds within which it ends after SIGTERM."""

CHECKOUT = Path(__file__).resolve().parent.parent

WIDE_OPEN = {
    "PUSH_SERVICE_POLICY__BEGINS_PER_PERSON": "1000000/1m",
    "PUSH_SERVICE_POLICY__BEGINS_PER_ADDRESS": "1000000/1m",
    "PUSH_SERVICE_POLICY__PROMPTS_UNANSWERED": "1000000/1s",
}
"""Limits by person and address, moved out of the way: a benchmark's few hundred people sign in all day.

Prompts are remembered for as long as they count, so that window is short too, or a person's record would grow with
the run.
"""


class StartError(Exception):
    """A server, or a command that prepares it, did not do its job; the text ends with what it said."""


@dataclass(frozen=True)
class Memory:
    """Memory of a server and its children, in bytes."""

    rss: int
    pss: int
    """As `rss`, with shared pages divided among those who share them."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    address: Address
    pid: int
    bus: int | None = None
    """The process of the bus, where there is one: it counts as part of the server."""
    database: int | None = None
    """The first process of the database server, where it is not within this one: counted apart."""
    siblings: Sequence[int] = ()
    """Further processes of the same service, started by themselves."""

    def cpu_seconds(self) -> float:
        """CPU time that the server, its children and its bus have used so far."""
        return _cpu_seconds(self._family()) + self.bus_cpu_seconds()

    def bus_cpu_seconds(self) -> float:
        """CPU time that the bus has used so far."""
        return 0.0 if self.bus is None else _cpu_seconds(_family(self.bus))

    def database_cpu_seconds(self) -> float:
        """CPU time that the database server's processes have used so far, those included that have ended."""
        return 0.0 if self.database is None else _cpu_seconds(_family(self.database))

    def memory(self) -> Memory:
        """What the server and its children occupy now."""
        infos = [process.memory_full_info() for process in self._family()]
        return Memory(sum(info.rss for info in infos), sum(info.pss for info in infos))

    def rss(self) -> int:
        """As `memory().rss`, without walking every page: cheap enough for once a second."""
        return sum(process.memory_info().rss for process in self._family())

    def _family(self) -> Sequence[psutil.Process]:
        return [each for pid in (self.pid, *self.siblings) for each in _family(pid)]


def _family(pid: int) -> Sequence[psutil.Process]:
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """Of these, and of the children that they have waited for: a database's sessions may end with each request."""
    used = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since, and is in its parent's account now
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used


@contextmanager
def prototype(cores: frozenset[int]) -> Iterator[Server]:
    """A prototype with an empty database, on these cores."""
    with data_directory() as directory:
        address = free_address()
        command = [sys.executable, "-m", "bench.prototype", str(address.port), str(directory / "prototype.sqlite")]
        with _running(command, {}, address, cores, directory / "prototype.log") as server:
            yield server


@contextmanager
def bare_route(cores: frozenset[int]) -> Iterator[Server]:
    """A server with one route that does nothing, on these cores."""
    with data_directory() as directory:
        address = free_address()
        command = [sys.executable, "-m", "bench.bare_route", str(address.port)]
        with _running(command, {}, address, cores, directory / "bare_route.log") as server:
            yield server


@contextmanager
def service(data: Path, cores: frozenset[int], settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """The service over this data directory, on these cores, with its limits wide open and these settings besides."""
    address = free_address()
    environment = {
        **service_environment(data),
        **WIDE_OPEN,
        "PUSH_SERVICE_LISTEN": f"{address.host}:{address.port}",
        "PUSH_SERVICE_PUBLIC_URL": address.url,
        **(settings or {}),
    }
    command = [sys.executable, "-m", "push_service", "serve"]
    with _running(command, environment, address, cores, data.parent / "service.log") as server:
        yield server


def service_environment(data: Path) -> dict[str, str]:
    """The settings that every command on this data directory needs."""
    return {"PUSH_SERVICE_DATA_DIR": str(data)}


def run_command(data: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> str:
    """Run one `push-service` command on this data directory, with these settings besides; its standard output.

    Raises `StartError` if it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "push_service", *arguments],
        env={**_clean_environment(), **service_environment(data), **(settings or {})},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StartError(f"push-service {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def data_directory() -> Iterator[Path]:
    """A private temporary directory, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="push-service-bench-") as directory:
        yield Path(directory)


def free_address() -> Address:
    """A loopback address on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Address("127.0.0.1", probe.getsockname()[1])


@contextmanager
def _running(
    command: Sequence[str], settings: Mapping[str, str], address: Address, cores: frozenset[int], log: Path
) -> Iterator[Server]:
    with log.open("w") as complaints, pinned(cores):  # a child inherits the cores of the thread that starts it
        process = subprocess.Popen(
            command, env={**_clean_environment(), **settings}, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=complaints
        )
    try:
        _wait_until_ready(process, " ".join(command), log)
        yield Server(address, process.pid)
    finally:
        stop(process)


def _clean_environment() -> dict[str, str]:
    """Our environment without the settings of whoever runs the benchmark: every run measures the same service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PUSH_SERVICE_")}


def _wait_until_ready(process: subprocess.Popen[bytes], command: str, log: Path) -> None:
    """A server prints one line when it is ready."""
    if process.stdout is None:
        raise ValueError("the server's standard output has to be a pipe")
    readable, _, _ = select.select([process.stdout], [], [], START_DEADLINE)
    if not readable or not process.stdout.readline():
        raise StartError(f"{command} did not start: {log.read_text()[-2000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it by SIGTERM, or by SIGKILL when it takes too long."""
    process.terminate()
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()
