"""What the comparison with privacyIDEA measured, and the tables that say it. Made by `bench.peer.comparison`."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.driver import Measurement
from bench.figures import Spread
from bench.results import Table, errors_text

OURS = "service"
PEERS = "privacyIDEA"


class Way(StrEnum):
    """How a sign-in begins."""

    VOUCHED = "vouched"
    """The application has checked the password itself."""
    PASSWORD = "password"  # noqa: S105 - a way to begin, not a secret


@dataclass(frozen=True)
class Round:
    """One turn of one of the two."""

    contestant: str
    saturated: Mapping[Way, Measurement]
    steady: Measurement


@dataclass(frozen=True)
class Metric:
    """A line of a table: what it is called, how it is read, with how many decimals, and whether more is better."""

    name: str
    read: Callable[[Measurement], float]
    digits: int
    more_is_better: bool | None = False
    """`None` where neither is."""


def _each(taken: Measurement, value: float) -> float:
    """What a sign-in costs is unknown where none came to its end."""
    return value if taken.sign_ins else math.nan


_RATE = Metric("sign-ins a second", lambda taken: taken.per_second, 1, more_is_better=True)
_CPU = Metric("CPU ms each", lambda taken: _each(taken, taken.server_cpu_ms + taken.database_cpu_ms), 2)
_DATABASE = Metric("of it the database's", lambda taken: _each(taken, taken.database_cpu_ms), 2)
_WHOLE = Metric("whole less thinking p50 ms", lambda taken: taken.whole_less_thinking.p50, 1)
_POLLS = Metric("polls each", lambda taken: taken.polls, 2, more_is_better=None)
_LOAD = Metric("load's CPU, % of a core", lambda taken: taken.driver_cpu_percent, 0, more_is_better=None)
_COUNT = Metric("sign-ins measured", lambda taken: taken.sign_ins, 0, more_is_better=None)
_TOLD_P50 = Metric("acknowledged→browser p50 ms", lambda taken: taken.acknowledged_to_browser.p50, 2)
_TOLD_P99 = Metric("acknowledged→browser p99 ms", lambda taken: taken.acknowledged_to_browser.p99, 1)

RATES = (_RATE, _CPU, _DATABASE, _WHOLE, _POLLS, _LOAD)
WAITING = (_TOLD_P50, _TOLD_P99, _POLLS, _CPU, _DATABASE, _COUNT)

TITLES: Mapping[Way, str] = {
    Way.VOUCHED: "Begun by an application that vouches",
    Way.PASSWORD: "Begun with a password, which either checks as it does by default",
}


@dataclass(frozen=True)
class PeerResult:
    """All rounds, in the order in which they ran."""

    versions: Sequence[str]
    """What was compared, a line each."""
    people: Mapping[str, Mapping[Way, int]]
    """How many sign in at the same time, by contestant."""
    steady_rate: float
    rounds: Sequence[Round]

    def tables(self) -> Sequence[Table]:
        """Rates for either way to begin, then the waiting."""
        rates = [self._rates(way) for way in Way]
        title = f"{TITLES[Way.VOUCHED]}, {self.steady_rate:g} a second: how long browsers wait"
        waiting = self._table(title, WAITING, lambda taken: taken.steady, self.versions)
        return [*rates, waiting]

    def _rates(self, way: Way) -> Table:
        people = " and ".join(f"{everybody[way]} people at {name}" for name, everybody in self.people.items())
        return self._table(f"{TITLES[way]}: {people}, without pause", RATES, lambda taken: taken.saturated[way])

    def _table(
        self,
        title: str,
        metrics: Sequence[Metric],
        of: Callable[[Round], Measurement],
        conclusions: Sequence[str] = (),
    ) -> Table:
        ours, peers = ([of(taken) for taken in self.rounds if taken.contestant == name] for name in (OURS, PEERS))
        rows = [_row(metric, ours, peers) for metric in metrics]
        rows.append(("errors", _errors(ours), _errors(peers), ""))
        columns = ("", OURS, PEERS, "better by a factor of")
        return Table(
            f"{title}; median [range] of {len(ours)} round{'s' if len(ours) > 1 else ''}", columns, rows, conclusions
        )


def _row(metric: Metric, ours: Sequence[Measurement], peers: Sequence[Measurement]) -> Sequence[str]:
    cells = [Spread.of(map(metric.read, each)).text(metric.digits) for each in (ours, peers)]
    return (metric.name, *cells, _factor(metric, ours, peers))


def _factor(metric: Metric, ours: Sequence[Measurement], peers: Sequence[Measurement]) -> str:
    """By how much the service is the better one, round by round; empty where that means nothing."""
    both = [(metric.read(our), metric.read(peer)) for our, peer in zip(ours, peers, strict=True)]
    if metric.more_is_better is None or not all(our > 0 and peer > 0 for our, peer in both):
        return ""
    factors = [our / peer if metric.more_is_better else peer / our for our, peer in both]
    return Spread.of(factors).text(0 if min(factors) >= 10 else 2)


def _errors(taken: Sequence[Measurement]) -> str:
    return errors_text(sum((Counter(each.errors) for each in taken), Counter[str]()))
