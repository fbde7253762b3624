"""The hops that scaling out adds, each measured alone: the bell, a wait's subscription, PostgreSQL's client and server.

Two buses in this process stand for two of the service's; so the CPU of this process is that of whoever rings and of
whoever hears together. The stores do what a vouched sign-in has them do: find the person, begin, show the prompt, wait,
answer, read the outcome; SQLite's share is what the embedded service pays for the same. Sixteen at once, as in a
process that has something to do. Called by `benchmark.py` after each round.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.backends import Backend
from bench.figures import Spread
from bench.results import Table
from push_service.bus.redis import RedisBus
from push_service.crypto.sealing import Sealer
from push_service.model import ids
from push_service.model.policy import Policy, Rate
from push_service.ports import Bus, Store, Topic
from push_service.store.postgres import PostgresStore
from push_service.store.sqlite import SqliteStore
from tests.contracts.making import Person, answering, beginning, enrol

AT_ONCE = 16
HEARING_SECONDS = 20.0
_FURTHER = 4
_OFTEN = Rate(100_000, 60)
_WIDE = Policy(begins_per_person=_OFTEN, prompts_unanswered=(_OFTEN,))
"""Nobody signs in as often as here."""

Do = Callable[[int], Awaitable[None]]
"""One turn of one of those who are at it at once; the number tells them apart."""


@dataclass(frozen=True)
class Part:
    """A hop alone: microseconds of CPU each."""

    name: str
    here: float
    server: float


def parts_table(rounds: Sequence[Sequence[Part]]) -> Table:
    """A line a hop."""
    rows = []
    for place, part in enumerate(rounds[0]):
        both = [round_[place] for round_ in rounds]
        here, server = Spread.of(each.here for each in both), Spread.of(each.server for each in both)
        rows.append((part.name, here.text(0), server.text(0) if any(each.server for each in both) else ""))
    title = f"Hops alone, {AT_ONCE} at once; median [range] of {len(rounds)} rounds"
    return Table(title, ("CPU µs each", "in the service", "in the server"), rows)


async def measured_parts(
    database: Backend, name: str, bell: Backend, folder: Path, number: int, seconds: float
) -> Sequence[Part]:
    """Every hop once."""
    part = max(0.2, seconds / 4)
    async with RedisBus(bell.url) as near, RedisBus(bell.url) as far, AsyncExitStack() as sockets:
        far_away = [await sockets.enter_async_context(RedisBus(bell.url)) for _ in range(_FURTHER)]
        bells = [
            await _measured("a wait's subscription, to and from", _subscriptions(near), part, bell.pid),
            await _measured("a wait that another process ends", _waits(near, far), part, bell.pid),
            await _measured("a socket that another process rings", await _sockets(sockets, near, far), part, bell.pid),
        ]
        crowded = await _measured("", await _sockets(sockets, near, far, far_away), part, bell.pid)
        alone = bells[-1]
        further = (crowded.here - alone.here) / _FURTHER, (crowded.server - alone.server) / _FURTHER
        bells.append(Part("each further process that hears a ring", *further))
    sealer, file = Sealer(bytes(32)), folder / f"parts{number}.db"
    async with SqliteStore(file, sealer) as embedded:
        sqlite = await _measured("a sign-in's reads and writes, SQLite", await _sign_ins(embedded, number), part, None)
    async with PostgresStore(f"{database.url}/{name}", sealer) as store:
        work = await _sign_ins(store, number)
        served = await _measured("a sign-in's reads and writes, PostgreSQL", work, part, database.pid)
    return [*bells, sqlite, served]


async def _measured(name: str, do: Do, seconds: float, server: int | None) -> Part:
    await _go_on(do, seconds / 4)
    here, there = time.process_time(), _cpu(server)
    count = await _go_on(do, seconds)
    here, there = time.process_time() - here, _cpu(server) - there
    return Part(name, here / count * 1e6, there / count * 1e6)


async def _go_on(do: Do, seconds: float) -> int:
    """Over and over until the time is over; how often."""
    until, count = time.monotonic() + seconds, 0

    async def one(which: int) -> None:
        nonlocal count
        while time.monotonic() < until:
            await do(which)
            count += 1

    await asyncio.gather(*(one(which) for which in range(AT_ONCE)))
    return count


def _subscriptions(near: Bus) -> Do:
    async def do(_: int) -> None:
        async with near.listen(Topic.sign_in(ids.sign_in_id())):
            pass

    return do


def _waits(near: Bus, far: Bus) -> Do:
    async def do(_: int) -> None:
        topic = Topic.sign_in(ids.sign_in_id())
        async with near.listen(topic) as listener:
            await far.ring([topic])
            await listener.heard(HEARING_SECONDS)

    return do


async def _sockets(stack: AsyncExitStack, near: Bus, far: Bus, further: Sequence[Bus] = ()) -> Do:
    """A socket for each, attached until the stack ends; further buses hear the same and make nothing of it."""
    topics = [Topic.user(ids.user_id()) for _ in range(AT_ONCE)]
    heard = [asyncio.Event() for _ in topics]
    for topic, event in zip(topics, heard, strict=True):
        await stack.enter_async_context(near.attach(topic, event.set))
        for bus in further:
            await stack.enter_async_context(bus.attach(topic, _nothing))

    async def do(which: int) -> None:
        await far.ring([topics[which]])
        async with asyncio.timeout(HEARING_SECONDS):
            await heard[which].wait()
        heard[which].clear()

    return do


async def _sign_ins(store: Store, number: int) -> Do:
    """As the service does it: see the sequence in docs/architecture.md."""
    crowd = [await enrol(store, f"round{number}person{which}") for which in range(AT_ONCE)]

    async def do(which: int) -> None:
        person: Person = crowd[which]
        await store.user_by_name(person.user.name_key)
        begun, _ = await store.decide(person.id, beginning(await store.now(), policy=_WIDE))
        sign_in_id = begun.reply.sign_in.id
        await asyncio.gather(store.watch(sign_in_id), store.asked(person.id))
        await store.decide(person.id, answering(begun.reply, person.phone))
        await store.watch(sign_in_id)

    return do


def _nothing() -> None:
    """A bell that was about nothing here."""


def _cpu(pid: int | None) -> float:
    """CPU seconds of the server's processes so far."""
    if pid is None:
        return 0.0
    first = psutil.Process(pid)
    times = [process.cpu_times() for process in (first, *first.children(recursive=True))]
    return sum(each.user + each.system for each in times)
