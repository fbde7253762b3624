"""Who is measured: the service, and beside it the bare prototype, both behind the same `Pair` of browser and phone.

Used by the benchmarks that compare the two.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console

from bench import processes
from bench.exchange import Pair
from bench.machine import cores
from bench.people import People, Person, Vouching, prepare
from bench.prototype_client import prototype_pair
from bench.service_browser import ServiceBrowser
from bench.service_phone import ServicePhone
from bench.wire import Address

PROTOTYPE = "prototype"
SERVICE = "service"


@dataclass(frozen=True)
class Contestant:
    """A running server, and how to make the pair of its person with a given number."""

    name: str
    server: processes.Server
    pair: Callable[[int], Pair]


@contextmanager
def contestants(people: int, console: Console, *, prototype_only: bool = False) -> Iterator[list[Contestant]]:
    """The prototype and the service, each with that many people, both on the server's core: they take turns."""
    with ExitStack() as stack:
        running = [stack.enter_context(prototype(people))]
        if not prototype_only:
            running.append(stack.enter_context(service(people, console)))
        yield running


@contextmanager
def prototype(people: int) -> Iterator[Contestant]:
    """A fresh prototype."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(people)]
    with processes.prototype(cores().server) as server:
        yield Contestant(PROTOTYPE, server, lambda number: prototype_pair(server.address, number, keys[number]))


@contextmanager
def service(count: int, console: Console) -> Iterator[Contestant]:
    """A fresh service, whose people were registered before it was started anew for the measurement."""
    with processes.data_directory() as directory:
        people = registered(count, directory / "data", console)
        with processes.service(directory / "data", cores().server) as server:
            yield Contestant(
                SERVICE, server, lambda number: service_pair(server.address, people.vouching, people.persons[number])
            )


def registered(count: int, data: Path, console: Console, settings: Mapping[str, str] | None = None) -> People:
    """That many people with a phone each (see `prepare`), while the screen says what takes so long."""
    with console.status(f"registering {count:,} people, two password hashes each"):
        return prepare(data, count, settings)


def service_pair(
    address: Address,
    vouching: Vouching,
    person: Person,
    *,
    password: str = "",
    phone_at: Address | None = None,
    public: Address | None = None,
) -> Pair:
    """A browser whose application gives the person's password, or else vouches for it; and the person's phone.

    The phone is connected at `phone_at`, where that is another process of the same service, known as `public`.
    """
    phone = ServicePhone(phone_at or address, person, public)
    return Pair(ServiceBrowser(address, vouching, person, password=password), phone)
