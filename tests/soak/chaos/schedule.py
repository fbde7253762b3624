"""What happens to which part, when, and for how long: thrown by a seed, so that it can be told again.

Parts are dealt from a shuffled deck and so are the kinds of fault of each part: everything comes in its turn, and in no
order that anybody could get used to. One time in five two parts are in trouble at once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

Card = TypeVar("Card")


class Part(Enum):
    """What can be in trouble."""

    SERVICE = "service"
    REDIS = "Redis"
    POSTGRES = "PostgreSQL"
    FIREBASE = "Firebase"
    NETWORK = "network"


class Kind(Enum):
    """A fault, in words, and whose."""

    KILL = Part.SERVICE, "kill -9, and started again"
    STOP = Part.SERVICE, "SIGSTOP and SIGCONT"
    TERM = Part.SERVICE, "SIGTERM, and started again"
    REDIS_KILL = Part.REDIS, "kill -9, and started again"
    REDIS_STOP = Part.REDIS, "SIGSTOP and SIGCONT"
    REDIS_CUT = Part.REDIS, "CLIENT KILL TYPE pubsub, twice a second"
    REDIS_PAUSE = Part.REDIS, "CLIENT PAUSE"
    REDIS_FLUSH = Part.REDIS, "FLUSHALL, twice a second"
    POSTGRES_CRASH = Part.POSTGRES, "immediate shutdown, and started again"
    POSTGRES_STOP = Part.POSTGRES, "SIGSTOP of all its processes"
    POSTGRES_CUT = Part.POSTGRES, "pg_terminate_backend of all, twice a second"
    POSTGRES_READ_ONLY = Part.POSTGRES, "default_transaction_read_only"
    POSTGRES_LOCK = Part.POSTGRES, "LOCK TABLE users"
    FIREBASE_UNREGISTERED = Part.FIREBASE, "UNREGISTERED"
    FIREBASE_MISMATCH = Part.FIREBASE, "SENDER_ID_MISMATCH"
    FIREBASE_ARGUMENT = Part.FIREBASE, "INVALID_ARGUMENT"
    FIREBASE_QUOTA = Part.FIREBASE, "QUOTA_EXCEEDED"
    FIREBASE_UNAVAILABLE = Part.FIREBASE, "UNAVAILABLE"
    FIREBASE_INTERNAL = Part.FIREBASE, "INTERNAL"
    FIREBASE_AUTH = Part.FIREBASE, "THIRD_PARTY_AUTH_ERROR"
    FIREBASE_GATEWAY = Part.FIREBASE, "502 from something in between"
    FIREBASE_LATE = Part.FIREBASE, "late"
    FIREBASE_SILENT = Part.FIREBASE, "no answer at all"
    FIREBASE_DRIBBLE = Part.FIREBASE, "a byte a second"
    FIREBASE_LOST = Part.FIREBASE, "accepted and never delivered"
    FIREBASE_TOKEN = Part.FIREBASE, "no access tokens"
    POSTGRES_SLOW = Part.NETWORK, "delay to PostgreSQL"
    POSTGRES_SHORT = Part.NETWORK, "cut after some bytes to PostgreSQL"
    POSTGRES_HOLE = Part.NETWORK, "black hole to PostgreSQL"
    REDIS_SLOW = Part.NETWORK, "delay to Redis"
    REDIS_SHORT = Part.NETWORK, "cut after some bytes to Redis"
    REDIS_HOLE = Part.NETWORK, "black hole to Redis"

    @property
    def part(self) -> Part:
        """Whose trouble it is."""
        return self.value[0]

    @property
    def words(self) -> str:
        """What happens."""
        return self.value[1]


@dataclass(frozen=True)
class Strike:
    """One fault: how long it lasts, in seconds; which process it meets, where it meets one; and how much of it."""

    kind: Kind
    seconds: float
    member: int
    dose: float
    """From 0 to 1: the size of a delay, the number of bytes, and whether a network's fault meets one process or all."""

    def __str__(self) -> str:
        return f"{self.kind.part.value}: {self.kind.words}, {self.seconds:.1f} s"


@dataclass(frozen=True)
class Episode:
    """Faults that come at once, after so many calm seconds."""

    calm: float
    strikes: Sequence[Strike]

    def __str__(self) -> str:
        return " + ".join(map(str, self.strikes))


@dataclass(frozen=True)
class Pace:
    """From, to: how many seconds a fault lasts, and how many are calm between two."""

    fault: tuple[float, float]
    calm: tuple[float, float]
    back: float
    """How long it takes, about, until everything answers again."""


LONG = Pace((1.0, 6.0), (6.0, 9.0), 1.0)
"""Calm for longer than what is promised, so that whether it was kept can be seen after every fault."""

BRIEF = Pace((0.4, 1.0), (0.3, 0.8), 0.5)
BRIEF_BELOW_SECONDS = 60
TOGETHER = 0.2
MEMBERS = 3


def schedule(seed: int, seconds: float) -> list[Episode]:
    """Episodes that last so many seconds, about."""
    dice = random.Random(seed)  # noqa: S311 - the dice of a test, to be thrown again
    pace = BRIEF if seconds < BRIEF_BELOW_SECONDS else LONG
    parts = _deck(list(Part), dice)
    kinds = {part: _deck([kind for kind in Kind if kind.part is part], dice) for part in Part}
    episodes: list[Episode] = []
    while seconds > 0:
        struck = {next(parts): None}
        if dice.random() < TOGETHER:
            struck[next(parts)] = None
        strikes = [
            Strike(next(kinds[part]), dice.uniform(*pace.fault), dice.randrange(MEMBERS), dice.random())
            for part in struck
        ]
        episodes.append(Episode(dice.uniform(*pace.calm), strikes))
        seconds -= episodes[-1].calm + max(each.seconds for each in strikes) + pace.back
    return episodes


def _deck(cards: list[Card], dice: random.Random) -> Iterator[Card]:
    """The cards in random order, again and again."""
    while True:
        dice.shuffle(cards)
        yield from cards
