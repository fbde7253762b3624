"""`passwords`: sign-ins with a password against what argon2id itself allows, and whether they slow the others.

Measured once for each number of lanes (passwords that the service hashes at the same time): as many as cores, and one
fewer, which leaves a core to everything else. Raw: as many threads as lanes hash with the service's parameters and do
nothing else, before and after the service does. Begun: people post name and password over and over, each time
replacing their former sign-in. Completed: the same with the phone's answer and the browser told. Neighbours: vouched
sign-ins, fifty a second at random instants, without and with people beside them who begin with passwords. Server and
load both use every core here; raw and service take turns.
"""

import asyncio
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import uvloop
from argon2.low_level import Type, hash_secret_raw
from rich.console import Console

from bench import processes
from bench.contestants import registered, service_pair
from bench.driver import Measurement, closed_loop, connect, open_loop
from bench.exchange import Begun, Browser, ExchangeError, Pair
from bench.figures import Spread
from bench.machine import cores
from bench.people import People
from bench.results import Options, Table, errors_text

ROUNDS = 5
SECONDS = 5.0

WITH_PASSWORD = 16
"""People who sign in with a password at the same time: enough to keep every core hashing."""

VOUCHED_EACH = 4
"""People for whom the application vouches, for each of those."""

VOUCHED_RATE = 50.0

LEFT_WAITING = {"PUSH_SERVICE_POLICY__PENDING_PER_PERSON": "20"}
"""Everybody's last sign-in of a turn is left waiting: room for those of a few turns."""

LANES = "PUSH_SERVICE_PASSWORD_HASH_CONCURRENCY"

TIME_COST, MEMORY_COST, PARALLELISM, HASH_LENGTH, SALT_LENGTH = 2, 19_456, 1, 32, 16
"""The service's argon2id: OWASP's minimum, memory in KiB."""


@dataclass(frozen=True)
class Round:
    """One turn of everything."""

    lanes: int
    raw_per_second: float
    begun_per_second: float
    begun_errors: Mapping[str, int]
    completed: Measurement
    vouched_alone: Measurement
    vouched_beside_passwords: Measurement
    beside_per_second: float
    """Sign-ins with a password begun beside the vouched ones."""


@dataclass(frozen=True)
class PasswordsResult:
    """All rounds."""

    rounds: Sequence[Round]

    def tables(self) -> Sequence[Table]:
        """What the hash allows and what the service makes of it; then the neighbours."""
        return [
            table
            for lanes, taken in self._by_lanes()
            for table in (_rates_table(lanes, taken), _neighbours_table(lanes, taken))
        ]

    def _by_lanes(self) -> Sequence[tuple[int, Sequence[Round]]]:
        return [(lanes, [each for each in self.rounds if each.lanes == lanes]) for lanes in lanes_measured()]


def lanes_measured() -> Sequence[int]:
    """One fewer than cores, where there is more than one, and as many as cores."""
    all_of_them = len(cores().everyone)
    return sorted({max(1, all_of_them - 1), all_of_them})


def _rates_table(lanes: int, rounds: Sequence[Round]) -> Table:
    begun = Spread.of(taken.begun_per_second / taken.raw_per_second for taken in rounds)
    completed = Spread.of(taken.completed.per_second / taken.raw_per_second for taken in rounds)
    errors = sum((Counter(taken.begun_errors) for taken in rounds), Counter[str]())
    failed = sum((Counter(taken.completed.errors) for taken in rounds), Counter[str]())
    rows = [
        ("argon2id alone", Spread.of(taken.raw_per_second for taken in rounds).text(), "1", "0"),
        (
            "sign-ins begun with a password",
            Spread.of(taken.begun_per_second for taken in rounds).text(),
            begun.text(3),
            errors_text(errors),
        ),
        (
            "sign-ins completed with a password",
            Spread.of(taken.completed.per_second for taken in rounds).text(),
            completed.text(3),
            errors_text(failed),
        ),
    ]
    title = f"{_hashed(lanes)} on {len(cores().everyone)} cores; medians [range] of {len(rounds)} rounds"
    return Table(title, ("", "a second", "of argon2id alone", "errors"), rows)


def _neighbours_table(lanes: int, rounds: Sequence[Round]) -> Table:
    columns = ("vouched sign-ins", "a second", "answer→browser p50 ms", "p99 ms", "with passwords a second", "errors")
    alone = [taken.vouched_alone for taken in rounds]
    beside = [taken.vouched_beside_passwords for taken in rounds]
    rate = Spread.of(taken.beside_per_second for taken in rounds)
    rows = [_row("alone", alone, "0"), _row("beside passwords", beside, rate.text())]
    return Table(f"{_hashed(lanes)}: whether that slows the others", columns, rows)


def _hashed(lanes: int) -> str:
    return "One password hashed at a time" if lanes == 1 else f"{lanes} passwords hashed at a time"


def _row(name: str, taken: Sequence[Measurement], beside: str) -> Sequence[str]:
    return (
        name,
        Spread.of(m.per_second for m in taken).text(),
        Spread.of(m.answer_to_browser.p50 for m in taken).text(2),
        Spread.of(m.answer_to_browser.p99 for m in taken).text(1),
        beside,
        errors_text(sum((Counter(m.errors) for m in taken), Counter[str]())),
    )


def run(options: Options, console: Console) -> PasswordsResult:
    """Measure. Raises `StartError` if the service does not start."""
    rounds, seconds = options.rounds_or(ROUNDS), options.seconds_or(SECONDS)
    taken: list[Round] = []
    with processes.data_directory() as directory:
        with_password = options.people or WITH_PASSWORD
        people = registered(with_password * (1 + VOUCHED_EACH), directory / "data", console)
        for lanes in lanes_measured():
            settings = {**LEFT_WAITING, LANES: str(lanes)}
            with processes.service(directory / "data", cores().everyone, settings) as server:
                for number in range(rounds):
                    with console.status(f"{_hashed(lanes)}, round {number + 1} of {rounds}"):
                        taken.append(_round(server, people, lanes, seconds))
    return PasswordsResult(taken)


def hashes_per_second(threads: int, seconds: float) -> float:
    """How many passwords argon2id alone hashes, on so many threads."""
    start = threading.Barrier(threads)

    def hash_until_done() -> tuple[int, float]:
        start.wait()
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            hash_secret_raw(
                b"correct horse battery",
                secrets.token_bytes(SALT_LENGTH),
                TIME_COST,
                MEMORY_COST,
                PARALLELISM,
                HASH_LENGTH,
                Type.ID,
            )
            count += 1
        return count, time.perf_counter() - began

    with ThreadPoolExecutor(threads) as pool:
        done = [pool.submit(hash_until_done) for _ in range(threads)]
        return sum(count / elapsed for count, elapsed in (future.result() for future in done))


def _round(server: processes.Server, people: People, lanes: int, seconds: float) -> Round:
    before = hashes_per_second(lanes, seconds)
    begun, errors, completed = uvloop.run(_with_passwords(server, people, seconds))
    raw = (before + hashes_per_second(lanes, seconds)) / 2
    alone, beside, beside_rate, beside_errors = uvloop.run(_neighbours(server, people, seconds))
    return Round(lanes, raw, begun, errors + beside_errors, completed, alone, beside, beside_rate)


async def _with_passwords(
    server: processes.Server, people: People, seconds: float
) -> tuple[float, Counter[str], Measurement]:
    """Sign-ins begun a second and what went wrong with them, and complete sign-ins, all with passwords."""
    pairs = _with_password(server, people)
    await connect(pairs)
    try:
        begun, errors = await _begun_per_second([pair.browser for pair in pairs], seconds)
        return begun, errors, await closed_loop(server, pairs, seconds)
    finally:
        _close(pairs)


async def _neighbours(
    server: processes.Server, people: People, seconds: float
) -> tuple[Measurement, Measurement, float, Counter[str]]:
    """Vouched sign-ins alone, the same beside people with passwords, and the others' rate and errors."""
    others = _with_password(server, people)
    vouched = [
        service_pair(server.address, people.vouching, person) for person in people.persons[_first_vouched(people) :]
    ]
    await connect([*others, *vouched])
    try:
        alone = await open_loop(server, vouched, VOUCHED_RATE, seconds)
        beginning = asyncio.create_task(_begun_per_second([pair.browser for pair in others], seconds + 1))
        beside = await open_loop(server, vouched, VOUCHED_RATE, seconds)
        return alone, beside, *await beginning
    finally:
        _close([*others, *vouched])


def _with_password(server: processes.Server, people: People) -> Sequence[Pair]:
    return [
        service_pair(server.address, people.vouching, person, password=person.password)
        for person in people.persons[: _first_vouched(people)]
    ]


def _first_vouched(people: People) -> int:
    """Before this one are those who give a password."""
    return len(people.persons) // (1 + VOUCHED_EACH)


def _close(pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        pair.close()


async def _begun_per_second(browsers: Sequence[Browser], seconds: float) -> tuple[float, Counter[str]]:
    """Everybody begins over and over for that long; how many were begun a second, and what went wrong."""
    until, begun, errors = time.perf_counter() + seconds, 0, Counter[str]()

    async def one(browser: Browser) -> None:
        nonlocal begun
        former: Begun | None = None
        while time.perf_counter() < until:
            try:
                former = await browser.begin(replacing=former)
                begun += 1
            except ExchangeError as error:
                errors[str(error)] += 1
                former = None

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for browser in browsers:
            group.create_task(one(browser))
    return begun / (time.perf_counter() - started), errors
