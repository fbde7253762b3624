"""`peer`: the service and privacyIDEA sign people in, on the same cores, over the same PostgreSQL server.

Two ways to begin: an application vouches (privacyIDEA: an administrator's session triggers the challenge), or the
password is checked, by either as it does by default. Saturated: everybody without pause; privacyIDEA's browsers then
ask once only, at the instant at which there is something to be heard, which no real one can know. Steady: few sign-ins
at random instants, privacyIDEA's browsers polling as its own page does; here counts how long a browser waits after the
phone's answer was acknowledged. Both take turns within every round, and ratios are taken round by round. Server,
database and load share all cores on either side.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import uvloop
from rich.console import Console

from bench.backends import postgres
from bench.driver import Measurement, closed_loop, connect, open_loop
from bench.exchange import Pair
from bench.machine import cores
from bench.peer.installation import VERSION
from bench.peer.sides import DATABASE_OF_OURS, DATABASE_OF_PEERS, Side, peer_side, service_side
from bench.peer.tables import PEERS, PeerResult, Round, Way
from bench.results import Bus, Options, Store

ROUNDS = 3
SECONDS = 5.0

STEADY_RATE = 1.0
"""Sign-ins a second, which leaves either server most of its time idle."""

STEADY_LASTS = 4
"""How many times as long as the saturated load the steady load lasts: at that rate there is little to count."""

STEADY_PEOPLE = 8
"""Enough that somebody is always free."""

OUR_PEOPLE: Mapping[Way, int] = {Way.VOUCHED: 128, Way.PASSWORD: 16}
PEERS_PEOPLE: Mapping[Way, int] = {Way.VOUCHED: 8, Way.PASSWORD: 8}
"""How many saturate either: more of them only wait longer."""


def run(options: Options, console: Console) -> PeerResult:
    """Measure. Raises `StartError` if anything does not start."""
    rounds, seconds = options.rounds_or(ROUNDS), options.seconds_or(SECONDS)
    taken: list[Round] = []
    with ExitStack() as stack:
        database = stack.enter_context(postgres((DATABASE_OF_OURS, DATABASE_OF_PEERS)))
        ours = database if options.store is Store.POSTGRES else None
        sides = (
            stack.enter_context(peer_side(PEERS_PEOPLE, database, console)),
            stack.enter_context(service_side(OUR_PEOPLE, ours, options.bus, console)),
        )
        for number in range(rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                with console.status(f"round {number + 1} of {rounds}: {side.name}"):
                    taken.append(uvloop.run(one_round(side, seconds)))
    versions = (
        f"{PEERS} {VERSION}: {len(cores().everyone)} workers of gunicorn, {database.version}",
        f"service: one process, {'SQLite' if ours is None else ours.version}, {BUSES[options.bus]}",
    )
    return PeerResult(versions, {side.name: side.people for side in reversed(sides)}, STEADY_RATE, taken)


BUSES = {Bus.LOCAL: "the bus within it", Bus.REDIS: "Redis as the bus"}


async def one_round(side: Side, seconds: float) -> Round:
    """The saturated load for either way to begin, and the steady one."""
    saturated = {way: await _saturated(side, way, seconds) for way in Way}
    steady = [side.steady(number) for number in range(STEADY_PEOPLE)]
    await connect(steady)
    try:
        return Round(side.name, saturated, await open_loop(side.server, steady, STEADY_RATE, seconds * STEADY_LASTS))
    finally:
        _close(steady)


async def _saturated(side: Side, way: Way, seconds: float) -> Measurement:
    pairs = [side.saturating(way, number) for number in range(side.people[way])]
    await connect(pairs)
    try:
        return await closed_loop(side.server, pairs, seconds * side.slowness)
    finally:
        _close(pairs)


def _close(pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        pair.close()
