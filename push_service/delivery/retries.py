"""When a wake is tried again: as late as the push network asks for, spread by the dice, and never past its use."""

from __future__ import annotations

import random

from push_service.ports import WakeOutcome, WakeReport

AGAIN = frozenset({WakeOutcome.RETRY, WakeOutcome.UNAVAILABLE})
_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 8.0
_WORTH_SECONDS = 2.0
"""A phone that is woken with less time left is woken for nothing: the person must still look, read and type."""


def pause_before(report: WakeReport, attempts: int, left: float, dice: random.Random) -> float | None:
    """Seconds until the next attempt, `attempts` having failed before this one and `left` seconds being left.

    None where there is none: the outcome is final, or it would come too late. Grows twofold, with full jitter on top of
    what was asked for, so that all who were told the same do not come back in the same moment.
    """
    if report.outcome not in AGAIN:
        return None
    bound = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(attempts, 10))
    pause = (report.retry_after or bound / 2) + dice.uniform(0.0, bound)
    return pause if pause + _WORTH_SECONDS <= left else None
