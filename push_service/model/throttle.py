"""Counting as two small pure machines that are told the time.

`spend` is the generic cell rate algorithm: one instant (the theoretical arrival time) stands for a whole counter, so
that a store can debit it in one statement. `room_at` counts remembered instants in sliding windows, where a success
must be able to forget them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from push_service.model.instant import MICROSECONDS, Instant
from push_service.model.policy import Rate


class Charge(msgspec.Struct, frozen=True):
    """One debit of a counter kept by key.

    `cost` and `burst` in microseconds; a negative cost gives back and never refuses.
    """

    key: str
    cost: int
    burst: int

    @classmethod
    def one(cls, key: str, rate: Rate) -> Charge:
        """Charge one of `rate`."""
        return cls(key, rate.interval, rate.interval * rate.count)

    def given_back(self) -> Charge:
        """The charge that undoes this one."""
        return Charge(self.key, -self.cost, self.burst)


def spend(tat: Instant, now: Instant, cost: int, burst: int) -> Instant | None:
    """The counter after one more, or None when it would go over.

    Never more than burst/cost at once, and never more than (burst + time)/cost in any time: who has used up a rate gets
    one more for every interval that passes.
    """
    if cost < 0:
        return Instant(tat + cost)
    after = max(tat, now) + cost
    return Instant(after) if after - now <= burst else None


def wait_seconds(tat: Instant, now: Instant, cost: int, burst: int) -> float:
    """Seconds until `spend` would succeed."""
    return max(0, max(tat, now) + cost - burst - now) / MICROSECONDS


def room_at(events: Sequence[Instant], rates: Iterable[Rate], now: Instant) -> Instant:
    """The first instant, `now` or later, at which one more event fits into every rate's window."""
    first = now
    for rate in rates:
        if len(events) < rate.count:
            continue
        nth_last = sorted(events)[-rate.count]
        first = max(first, Instant(nth_last + rate.seconds * MICROSECONDS))
    return first


def left(events: Sequence[Instant], rate: Rate, now: Instant) -> int:
    """How many more events fit into the rate's window now."""
    since = now - rate.seconds * MICROSECONDS
    return max(0, rate.count - sum(each > since for each in events))


def remembered(events: Sequence[Instant], rates: Iterable[Rate], event: Instant) -> tuple[Instant, ...]:
    """The events worth keeping after one more: as many as the largest window can hold."""
    keep = max(rate.count for rate in rates)
    return (*events, event)[-keep:]
