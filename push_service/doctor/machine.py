"""The machine: what a password costs here, how many may be connected, and whether its clock is believable."""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import time
from pathlib import Path

import argon2

from push_service.config import Settings, unread_names
from push_service.doctor.check import Check, Finding, fault, ok, warning
from push_service.doctor.records import Records
from push_service.model.instant import MICROSECONDS

_SLOW_HASH_SECONDS = 0.5
_SPARE_FILES = 256
"""Open files that are no phones: browsers that wait, the store, the log."""
_FEW_FILES = 4096
_AHEAD_SECONDS = 2.0


class PasswordCost(Check):
    """What one hash costs with these settings, in time and memory."""

    name = "machine.passwords"

    def __init__(self, settings: Settings) -> None:
        """Hash as these settings say."""
        self._cost, self._at_once = settings.argon2, settings.password_hash_concurrency

    async def run(self) -> Finding:
        """See Check."""
        cost = self._cost
        hasher = argon2.PasswordHasher(cost.time_cost, cost.memory_kib, cost.parallelism)
        await asyncio.to_thread(hasher.hash, secrets.token_urlsafe())  # the first one also fetches the memory
        begun = time.perf_counter()
        await asyncio.to_thread(hasher.hash, secrets.token_urlsafe())
        seconds = time.perf_counter() - begun
        needed, free = self._at_once * cost.memory_kib, _available_kib()
        told = f"One hash takes {seconds * 1000:.0f} ms; {self._at_once} at once take {needed // 1024} MiB."
        if free is not None and needed > free:
            return fault(self, f"{told} Only {free // 1024} MiB are free.", "Lower PASSWORD_HASH_CONCURRENCY.")
        if seconds > _SLOW_HASH_SECONDS:
            return warning(self, told, "Lower ARGON2__TIME_COST or ARGON2__MEMORY_KIB, or take a faster machine.")
        return ok(self, f"{told} So about {self._at_once / seconds:.0f} people a second can give one.")


class OpenFiles(Check):
    """Whether as many files may be open as there are phones."""

    name = "machine.open_files"

    def __init__(self, records: Records) -> None:
        """Count the phones in the store."""
        self._records = records

    async def run(self) -> Finding:
        """See Check. The limit is that of whom this runs as; a unit may have another (LimitNOFILE)."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return ok(self, "Any number of files may be open.")
        phones = await _number(self._records, "SELECT count(*) FROM devices WHERE state = 'active'")
        told = f"{soft:,} files may be open here, and {phones:,} phones are registered; each connected one takes one."
        if phones + _SPARE_FILES > soft:
            return fault(self, told, "Raise LimitNOFILE in the unit (ulimit -n in a shell).")
        if soft < _FEW_FILES:
            return warning(self, told, "Raise LimitNOFILE in the unit (ulimit -n in a shell): it is soon too few.")
        return ok(self, told)


class StoreClock(Check):
    """Whether the clock that decides is behind what it has decided already. The embedded store's is this machine's."""

    name = "store.clock"

    def __init__(self, records: Records) -> None:
        """Compare with the newest record in the store."""
        self._records = records

    async def run(self) -> Finding:
        """See Check."""
        newest = await _number(self._records, "SELECT at FROM audit ORDER BY seq DESC LIMIT 1")
        ahead = newest / MICROSECONDS - time.time()
        if ahead > _AHEAD_SECONDS:
            told = f"The newest record in the store is {ahead:.0f} seconds in the future: this clock was set back."
            return fault(self, told, "Set the clock right, and have it kept so (NTP).")
        return ok(self, "The store's clock is this machine's, and nothing in the store is from the future.")


class UnreadSettings(Check):
    """Whether there are variables that look like settings and are none."""

    name = "settings.unread"

    async def run(self) -> Finding:
        """See Check."""
        unread = unread_names()
        if unread:
            told = f"These variables look like settings and are none: {', '.join(unread)}."
            return warning(self, told, "Mend their names (docs/settings.md), or unset them.")
        return ok(self, "Every variable that looks like a setting is one.")


async def _number(records: Records, question: str) -> int:
    """One number from the store; 0 where there is none yet."""
    found = await records.read(question)
    return int(found[0][0]) if found else 0


def _available_kib() -> int | None:
    try:
        pages, size = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1])
    return pages * size // 1024
