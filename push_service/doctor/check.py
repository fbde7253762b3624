"""What a check is, and how all of them are run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from push_service.model.errors import StoreUnavailable

SECONDS = 15.0
"""How long one check may take. What hangs is a finding, too."""


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody will be sorry."""
    FAULT = "fault"
    """It doesn't work, or must not stay so."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found: a sentence, and unless all is well what to do about it."""

    check: str
    verdict: Verdict
    sentence: str
    remedy: str | None = None


class Check(Protocol):
    """One thing to know about an installation."""

    @property
    def name(self) -> str:
        """Part and question, such as `store.space`: the same for ever, so that a script can wait for it."""
        ...

    async def run(self) -> Finding:
        """Look, and change nothing."""
        ...


def ok(check: Check, sentence: str) -> Finding:
    """All is well."""
    return Finding(check=check.name, verdict=Verdict.OK, sentence=sentence)


def warning(check: Check, sentence: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(check=check.name, verdict=Verdict.WARNING, sentence=sentence, remedy=remedy)


def fault(check: Check, sentence: str, remedy: str) -> Finding:
    """It doesn't."""
    return Finding(check=check.name, verdict=Verdict.FAULT, sentence=sentence, remedy=remedy)


async def run_all(checks: Sequence[Check]) -> list[Finding]:
    """Run them one after another: none may disturb what another measures. A check that fails is a fault."""
    return [await _bounded(each) for each in checks]


async def _bounded(check: Check) -> Finding:
    try:
        async with asyncio.timeout(SECONDS):
            return await check.run()
    except TimeoutError:
        return fault(check, f"There was no answer within {SECONDS:.0f} seconds.", "See whether it can be reached.")
    except StoreUnavailable:
        return warning(check, "This was not looked at: the store can't be read.", "See store.reachable.")
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is what the operator has to know
        said = " ".join(str(problem).split())
        return fault(check, f"It could not be looked at: {type(problem).__name__}: {said}.", "See what it names.")
