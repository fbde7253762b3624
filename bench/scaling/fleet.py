"""A service of several processes under measurement, asleep while it is not its turn.

All of them are kept running, or each turn would measure a start; but a process that only looks after itself still asks
its database four times a second, which would be counted as somebody else's. So those whose turn it is not are stopped
(SIGSTOP). Used by `benchmark.py` and `population.py`.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import processes
from bench.backends import Backend
from bench.contestants import service_pair
from bench.exchange import Pair
from bench.machine import cores
from bench.people import People
from bench.wire import Address


@dataclass(frozen=True)
class Setup:
    """How a service is set up: where the truth is, what the bell goes over, and how many processes there are."""

    name: str
    processes: int = 1
    postgres: bool = False
    redis: bool = False
    apart: bool = False
    """The processes have nothing to do with one another, each with a database of its own: what sharing a core costs."""

    def databases(self, name: str) -> Sequence[str]:
        """The databases that it needs, derived from a name."""
        if not self.postgres:
            return ()
        return [f"{name}_{place}" for place in range(self.processes)] if self.apart else [name]


@dataclass(frozen=True)
class Fleet:
    """The running processes of one setup."""

    setup: Setup
    server: processes.Server
    addresses: Sequence[Address]
    people: People

    def pair(self, number: int) -> Pair:
        """Browsers are dealt out one by one; the phone is at the next process, so at another if there is one."""
        count = len(self.addresses)
        if self.setup.apart:
            return service_pair(self.addresses[number % count], self.people.vouching, self.people.persons[number])
        at = self.addresses[number % count], self.addresses[(number + 1 + number // count) % count]
        return service_pair(
            at[0], self.people.vouching, self.people.persons[number], phone_at=at[1], public=self.addresses[0]
        )

    @contextmanager
    def awake(self) -> Iterator[None]:
        """It runs meanwhile."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.signal(signal.SIGSTOP)

    def signal(self, number: signal.Signals) -> None:
        """Send it to all of them."""
        for pid in (self.server.pid, *self.server.siblings):
            os.kill(pid, number)


@contextmanager
def fleet(setup: Setup, data: Path, people: People, database: Backend, name: str, bell: Backend) -> Iterator[Fleet]:
    """Start it over this directory, or over the databases of this name."""
    settings: dict[str, str] = {}
    names = setup.databases(name)
    if setup.redis:
        settings["PUSH_SERVICE_BUS_URL"] = bell.url
    with ExitStack() as stack:
        running: list[processes.Server] = []
        for place in range(setup.processes):
            if names:
                settings["PUSH_SERVICE_DATABASE_URL"] = f"{database.url}/{names[place % len(names)]}"
            if running and not setup.apart:
                settings["PUSH_SERVICE_PUBLIC_URL"] = running[0].address.url
            running.append(stack.enter_context(processes.service(data, cores().server, settings)))
        server = replace(
            running[0],
            siblings=tuple(each.pid for each in running[1:]),
            bus=bell.pid if setup.redis else None,
            database=database.pid if setup.postgres else None,
        )
        started = Fleet(setup, server, [each.address for each in running], people)
        started.signal(signal.SIGSTOP)
        try:
            yield started
        finally:
            started.signal(signal.SIGCONT)


def copied(data: Path, database: Backend, name: str, settings: Mapping[str, str] | None = None) -> None:
    """Copy what an embedded installation holds into an empty database."""
    processes.run_command(data, "store", "copy", "--to", f"{database.url}/{name}", settings=settings)
