"""Judges what was told, and when, by the history, the rows and the times of the faults alone.

A browser must be told the outcome within so many seconds of calm: from when it was committed, or, if something was in
trouble then, from when everything answered again. Calm that ended too soon to tell proves nothing, and counts only as
far as it went.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.soak import checker


class Trouble(NamedTuple):
    """When faults began, and when everything answered again; seconds of the history's clock."""

    begun: float
    back: float


@dataclass(frozen=True)
class Verdict:
    """Sentences about what does not hold, and the calm seconds in which each browser knew nothing yet."""

    contradictions: Sequence[str]
    lost: Sequence[str]
    unfinished: Sequence[str]
    waited: Mapping[str, float]

    def late(self, promised: float) -> list[str]:
        """Whose browser was told later than that."""
        return [
            f"{sign_in}: its browser was not told for {seconds:.1f} s in which all was well"
            for sign_in, seconds in self.waited.items()
            if seconds > promised
        ]


def judge(
    ops: Sequence[checker.Op],
    connection: sqlite3.Connection,
    begun: set[str],
    troubles: Sequence[Trouble],
    offset: float,
) -> Verdict:
    """Put everything side by side. `offset` is what the clock of the rows, in seconds, is ahead of the history's."""
    disagreements = checker.check_agreement(ops, connection)
    lost = [each for each in disagreements if "was acknowledged" in each]
    contradictions = [
        *checker.check_history(ops),
        *checker.check_rows(connection, gapless=False),
        *(each for each in disagreements if each not in lost),
    ]
    rows = connection.execute("SELECT id, state, decided_at FROM sign_ins").fetchall()
    strangers = {row["id"] for row in rows} - begun
    contradictions += [f"{each} is stored, and nobody began it: a begin was done twice" for each in strangers]
    unfinished = [f"{row['id']} is left {row['state']}" for row in rows if row["state"] not in checker.TERMINAL]
    decided = {row["id"]: row["decided_at"] / 1e6 - offset for row in rows if row["decided_at"] is not None}
    return Verdict(contradictions, lost, unfinished, dict(_waited(ops, decided, troubles)))


def _waited(
    ops: Sequence[checker.Op], decided: Mapping[str, float], troubles: Sequence[Trouble]
) -> Iterator[tuple[str, float]]:
    """How long each browser knew nothing while all was well and the outcome was committed."""
    told: dict[str, float] = {}
    for op in ops:
        if op["client"] == "browser" and op["type"] == "ok" and op.get("state") in checker.TERMINAL:
            told.setdefault(op["sign_in"], op["complete"])
    calms = list(_calms(troubles))
    for sign_in, committed in decided.items():
        # Who was never told waited for as long as all was well, to the end.
        until = told.get(sign_in, math.inf)
        yield sign_in, max((min(until, end) - max(committed, begin) for begin, end in calms), default=0.0)


def _calms(troubles: Sequence[Trouble]) -> Iterator[tuple[float, float]]:
    begin = -math.inf
    for trouble in troubles:
        yield begin, trouble.begun
        begin = trouble.back
    yield begin, math.inf
