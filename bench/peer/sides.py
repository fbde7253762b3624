"""The two that are compared: each as it runs with its people, behind the same `Pair` of browser and phone.

Called by `bench.peer.comparison`.
"""

import dataclasses
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import uvloop
from rich.console import Console

from bench import processes
from bench.backends import Backend, redis
from bench.contestants import registered, service_pair
from bench.exchange import ExchangeError, Pair
from bench.machine import cores
from bench.peer.enrolment import enrol
from bench.peer.installation import install
from bench.peer.interface import Peer
from bench.peer.pair import POLL, peer_pair
from bench.peer.server import privacyidea
from bench.peer.tables import OURS, PEERS, Way
from bench.results import Bus

DATABASE_OF_OURS = "service"
DATABASE_OF_PEERS = "privacyidea"

PEERS_SLOWNESS = 6


@dataclass(frozen=True)
class Side:
    """One of the two, and how to make the pair of its person with a given number."""

    name: str
    server: processes.Server
    people: Mapping[Way, int]
    """How many saturate it."""
    slowness: int
    """How many times as long its saturated load has to be measured until there is enough to count."""
    saturating: Callable[[Way, int], Pair]
    steady: Callable[[int], Pair]


@contextmanager
def service_side(people: Mapping[Way, int], database: Backend | None, bus: Bus, console: Console) -> Iterator[Side]:
    """The service on all cores, over a PostgreSQL server or else its embedded database."""
    with ExitStack() as stack:
        folder = stack.enter_context(processes.data_directory())
        bell = stack.enter_context(redis(folder)) if bus is Bus.REDIS else None
        settings: dict[str, str] = {}
        if database is not None:
            settings["PUSH_SERVICE_DATABASE_URL"] = f"{database.url}/{DATABASE_OF_OURS}"
        if bell is not None:
            settings["PUSH_SERVICE_BUS_URL"] = bell.url
        everybody = registered(max(people.values()), folder / "data", console, settings)
        running = stack.enter_context(processes.service(folder / "data", cores().everyone, settings))
        server = dataclasses.replace(
            running, bus=None if bell is None else bell.pid, database=None if database is None else database.pid
        )

        def pair(way: Way, number: int) -> Pair:
            person = everybody.persons[number]
            password = person.password if way is Way.PASSWORD else ""
            return service_pair(server.address, everybody.vouching, person, password=password)

        yield Side(OURS, server, people, 1, pair, lambda number: pair(Way.VOUCHED, number))


@contextmanager
def peer_side(people: Mapping[Way, int], database: Backend, console: Console) -> Iterator[Side]:
    """The same of privacyIDEA. Raises `StartError` if it can't be installed, does not start or refuses its people."""
    installation, password = install(console), secrets.token_urlsafe(15)
    with ExitStack() as stack:
        folder = stack.enter_context(processes.data_directory())
        with console.status("privacyIDEA starts, and enrols its people: a second of key making for each"):
            server = stack.enter_context(privacyidea(installation, folder, database, DATABASE_OF_PEERS, password))
            peer = Peer(server.address)
            try:
                population = uvloop.run(enrol(peer, folder, password, max(people.values())))
            except* (ExchangeError, OSError) as refused:
                raise processes.StartError(f"privacyIDEA did not enrol its people: {refused.exceptions}") from refused

        def saturating(way: Way, number: int) -> Pair:
            session = population.session if way is Way.VOUCHED else ""
            return peer_pair(peer, population.persons[number], session=session, poll=None)

        def steady(number: int) -> Pair:
            return peer_pair(peer, population.persons[number], session=population.session, poll=POLL)

        yield Side(PEERS, server, people, PEERS_SLOWNESS, saturating, steady)
