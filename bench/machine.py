"""The machine a benchmark runs on: which core serves and which one loads, its limits, what to print beside a figure.

The server gets one core and the load another, so that neither measures the other. Called by every benchmark.
"""

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """Which cores this run may use, and who gets which."""

    everyone: frozenset[int]
    server: frozenset[int]
    load: frozenset[int]

    @property
    def shared(self) -> bool:
        """Whether server and load have to share a core, so that rates mean little."""
        return self.server == self.load


@cache
def cores() -> Cores:
    """The first core that this process may use serves, the second loads; decided once, before anything is pinned."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(allowed), frozenset(allowed[:1]), frozenset(allowed[1:2] or allowed[:1]))


@contextmanager
def pinned(to: frozenset[int]) -> Iterator[None]:
    """This thread, and every process and thread that it starts meanwhile, runs on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class LimitError(Exception):
    """The machine does not allow what a benchmark needs; the text says what, and how to see it."""


def allow_open_files(wanted: int) -> None:
    """Raise this process's limit of open files, which its children inherit, to at least `wanted`.

    Raises `LimitError` where the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise LimitError(f"this benchmark opens {wanted} files and sockets; the limit here is {hard} (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass(frozen=True)
class Machine:
    """What has to be known about the machine to judge a figure."""

    cpu: str
    cores: int
    python: str
    system: str
    load_average: float


def describe() -> Machine:
    """The machine as it is now; its load average tells how quiet it was before the run."""
    return Machine(
        _cpu_model(), len(os.sched_getaffinity(0)), platform.python_version(), platform.system(), os.getloadavg()[0]
    )


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
