"""`population`: what a sign-in costs among few people and among a million, on either store.

The same people sign in at the same rate, while ever more rows stand beside theirs: users and their devices, which never
sign in. They are written as rows, not registered: a registration costs two password hashes. All sizes of a store take
turns within every round. So many at a time as are due at that rate, not as many as can be: then no load is shed, and
every size does the same work.
"""

import asyncio
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import uvloop
from rich.console import Console

from bench import processes
from bench.backends import Backend, postgres, redis
from bench.contestants import registered
from bench.driver import Measurement, connected, open_loop
from bench.figures import Spread
from bench.machine import cores, pinned
from bench.results import Options, Table, errors_text
from bench.scaling.fleet import Fleet, Setup, copied, fleet

PEOPLE = 128
ROUNDS = 5
SECONDS = 4.0
RATE = 60.0
"""Sign-ins a second."""
SIZES = (10, 10_000, 1_000_000)
"""How many there are besides those who sign in."""
STORES = (Setup("SQLite"), Setup("PostgreSQL", postgres=True))

_KEY = "CAST(CAST({n} AS BIGINT) * {odd} % 1000003 AS TEXT) || '-' || CAST({n} AS TEXT)"
"""Keys in no order, as ids have none; 1000003 is a prime."""
_USERS = (
    "INSERT INTO users (id, name_key, username, state, admin, version, guard)"
    " SELECT 'usr_' || {key}, 'nobody-' || {other}, 'nobody-' || {other}, 'enforced', 0, 1, '{{}}' FROM {numbers}"
)
_DEVICES = (
    "INSERT INTO devices (id, user_id, x, y, thumbprint, name, platform, state, activated_at)"
    " SELECT 'dev_' || {key}, 'usr_' || {key}, {other}, {other}, {other}, 'Phone', 'android', 'active', 0"
    " FROM {numbers}"
)
_OF_POSTGRES = "generate_series(1, {count}) AS t (n)"
_OF_SQLITE = "(WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {count}) SELECT n FROM t) AS t"


@dataclass(frozen=True)
class Among:
    """One store of one size in one round."""

    store: str
    others: int
    taken: Measurement


@dataclass(frozen=True)
class PopulationResult:
    """All rounds."""

    people: int
    rounds: Sequence[Sequence[Among]]

    def tables(self) -> Sequence[Table]:
        """A line for each store and size."""
        columns = ("store", "other people", "CPU ms a sign-in: service", "database", "answer→browser p50 ms", "errors")
        title = (
            f"{self.people} people sign in {RATE:.0f} times a second among others;"
            f" median [range] of {len(self.rounds)} rounds"
        )
        return [Table(title, columns, [self._row(place) for place in range(len(self.rounds[0]))])]

    def _row(self, place: int) -> Sequence[str]:
        mine = [round_[place] for round_ in self.rounds]

        def text(read: Callable[[Measurement], float], digits: int = 2) -> str:
            return Spread.of(read(each.taken) for each in mine).text(digits)

        return (
            mine[0].store,
            f"{mine[0].others:,}",
            text(lambda taken: taken.server_cpu_ms),
            text(lambda taken: taken.database_cpu_ms),
            text(lambda taken: taken.answer_to_browser.p50, 1),
            errors_text(sum((Counter(each.taken.errors) for each in mine), Counter())),
        )


def run(options: Options, console: Console) -> PopulationResult:
    """Measure. Raises `StartError` if anything does not start."""
    people, seconds = options.people or PEOPLE, options.seconds_or(SECONDS)
    sizes = tuple(size for size in SIZES if options.others is None or size <= options.others)
    rounds: list[Sequence[Among]] = []
    with ExitStack() as stack:
        folder = stack.enter_context(processes.data_directory())
        with pinned(cores().server):
            database = stack.enter_context(postgres([_name(size) for size in sizes]))
            bell = stack.enter_context(redis(folder))
        places = _places(stack, folder, database, bell, people, sizes, console)
        with pinned(cores().load):
            for number in range(-1, options.rounds_or(ROUNDS)):  # the first one warms up
                with console.status(f"round {number + 1}"):
                    turns = {}
                    for place in sorted(places, reverse=number % 2 == 1):
                        with places[place].awake():
                            turns[place] = uvloop.run(_turn(places[place], people, seconds))
                if number >= 0:
                    rounds.append([Among(STORES[kind].name, size, turns[kind, size]) for kind, size in sorted(places)])
    return PopulationResult(people, rounds)


def _places(
    stack: ExitStack,
    folder: Path,
    database: Backend,
    bell: Backend,
    people: int,
    sizes: Sequence[int],
    console: Console,
) -> dict[tuple[int, int], Fleet]:
    """A running service for each store and size."""
    first = folder / "data"
    everybody = registered(people, first, console)
    places: dict[tuple[int, int], Fleet] = {}
    for size in sizes:
        data = folder / str(size) / "data"
        shutil.copytree(first, data)
        copied(data, database, _name(size))
        with console.status(f"writing {size:,} people"):
            _fill_sqlite(data / "push-service.db", size)
            asyncio.run(_fill_postgres(f"{database.url}/{_name(size)}", size))
        for kind, setup in enumerate(STORES):
            places[kind, size] = stack.enter_context(fleet(setup, data, everybody, database, _name(size), bell))
    return places


async def _turn(each: Fleet, people: int, seconds: float) -> Measurement:
    pairs = [each.pair(number) for number in range(people)]
    async with connected(pairs):
        return await open_loop(each.server, pairs, RATE, seconds)


def _name(size: int) -> str:
    return f"among_{size}"


def _statements(numbers: str, count: int) -> Sequence[str]:
    key, other = _KEY.format(n="n", odd=7919), _KEY.format(n="n", odd=104_729)
    filled = {"key": key, "other": other, "numbers": numbers.format(count=count)}
    return [_USERS.format(**filled), _DEVICES.format(**filled)]


def _fill_sqlite(file: Path, count: int) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in _statements(_OF_SQLITE, count):
            connection.execute(statement)
        connection.execute("ANALYZE")


async def _fill_postgres(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in _statements(_OF_POSTGRES, count):
            await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
