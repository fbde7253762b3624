"""The bell between processes."""

from __future__ import annotations

from push_service.config import Settings
from push_service.doctor.check import Check, Finding, ok


class LocalBusFits(Check):
    """Whether a bell within one process is enough: the settings refuse it where there are more."""

    name = "bus.reachable"

    def __init__(self, settings: Settings) -> None:
        """Look at BUS_URL."""
        self._url = settings.bus_url

    async def run(self) -> Finding:
        """See Check."""
        return ok(self, f"{self._url} is within the one process; there is nothing to reach.")
