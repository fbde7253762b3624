"""What every story gives back: figures for people, and the faults found, of which there must be none.

A story is `run(folder, rounds, seed, say)`: it starts its own server in `folder`, does `rounds` rounds with dice of
`seed`, tells its progress to `say`, and returns a `Report`. `./dev soak` runs it whole, the suite a fraction of it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.results import Table

Say = Callable[[str], None]


def silent(_: str) -> None:
    """Say nothing: what the suite wants."""


@dataclass(frozen=True)
class Report:
    """A story's figures. `faults` names everything that was promised and did not hold; empty is what is wanted."""

    tables: Sequence[Table]
    faults: Sequence[str]


class Story(Protocol):
    """A story; see the module."""

    def __call__(self, folder: Path, *, rounds: int, seed: int, say: Say) -> Coroutine[None, None, Report]:
        """Tell it."""


WIDE_OPEN = {
    "POLICY__BEGINS_PER_PERSON": "1000000/1m",
    "POLICY__BEGINS_PER_ADDRESS": "1000000/1m",
    "POLICY__PROMPTS_UNANSWERED": "1000000/1s",
    "POLICY__WRONG_NUMBERS": "1000000/1s",
    "POLICY__FRAUD_MUTE_SECONDS": "0",
    "LOG_LEVEL": "warning",
}
"""Limits by person and address out of the way: a story's few people sign in all day."""


def at_most(faults: Sequence[str], shown: int = 20) -> list[str]:
    """The first faults, and how many more there are."""
    rest = len(faults) - shown
    return [*faults[:shown], *([f"... and {rest} more"] if rest > 0 else [])]
