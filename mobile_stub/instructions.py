"""Instructions to misbehave: in force for a time, or for a number of times, or until they are taken back.

The stub's providers each have their own kinds (`firebase_faults.py`, `carrier_faults.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec


class Instruction(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`times` and `seconds` None mean until it is taken back."""

    times: int | None = None
    seconds: float | None = None


Kind = TypeVar("Kind", bound=Instruction)


class Instructions(Generic[Kind]):
    """The instructions in force, oldest first."""

    def __init__(self) -> None:
        self._given: list[tuple[Kind, float]] = []

    def add(self, instruction: Kind) -> None:
        """Misbehave like this from now on."""
        until = float("inf") if instruction.seconds is None else time.monotonic() + instruction.seconds
        self._given.append((instruction, until))

    def clear(self) -> None:
        """Behave."""
        self._given.clear()

    def listed(self) -> tuple[Kind, ...]:
        """What is in force now, with the times that are left."""
        now = time.monotonic()
        self._given = [(each, until) for each, until in self._given if now < until and each.times != 0]
        return tuple(each for each, _ in self._given)

    def take(self, concerns: Callable[[Kind], bool]) -> Kind | None:
        """The oldest one that concerns what happens now, if any; counts it."""
        for each in self.listed():
            if concerns(each):
                if each.times is not None:
                    each.times -= 1
                return each
        return None
