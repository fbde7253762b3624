"""Statistics of repeated measurements: the median of a few rounds with its range, and nearest-rank percentiles.

Means and standard deviations are left out on purpose: a handful of rounds on a shared machine is skewed by its
neighbours, and the range says so honestly. Used by every benchmark.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and between which values they lay."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Summarise one value a round. Raises `ValueError` if there is none."""
        rounds = sorted(values)
        if not rounds:
            raise ValueError("a spread needs at least one round")
        return cls(statistics.median(rounds), rounds[0], rounds[-1], len(rounds))

    def text(self, digits: int = 1) -> str:
        """`median [low-high]`, with that many decimals; a single round has no range to show."""
        median = f"{self.median:,.{digits}f}"
        return median if self.rounds == 1 else f"{median} [{self.low:,.{digits}f}-{self.high:,.{digits}f}]"


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least `percent` (above 0, to 100) of all do not exceed.

    No value is invented between two measured ones. Without any value there is no percentile: NaN.
    """
    if not 0 < percent <= 100:
        raise ValueError(f"a percentile lies above 0 and at most at 100, not at {percent}")
    if not values:
        return math.nan
    return sorted(values)[math.ceil(percent / 100 * len(values)) - 1]


@dataclass(frozen=True)
class Latency:
    """Median and 99th percentile of one round's latencies, in milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """Summarise latencies given in seconds; NaN if there was none."""
        return cls(percentile(seconds, 50) * 1e3, percentile(seconds, 99) * 1e3)
