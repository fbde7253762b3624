"""How late the event loop is: the first thing to know about a process that has too much to do.

A beat falls due twenty times a second; by how much it comes late, everything else that was due came late as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BEAT_SECONDS = 0.05


class Pulse:
    """Runs as one task. `lag` is the worst of the last two beats, in seconds."""

    def __init__(self, measured: Callable[[float], None] = lambda _: None) -> None:
        """Call `measured` with the lag at every beat."""
        self._measured = measured
        self.lag = 0.0

    async def run(self) -> None:
        """Beat, until cancelled."""
        loop = asyncio.get_running_loop()
        former = 0.0
        while True:
            due = loop.time() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            late = max(0.0, loop.time() - due)
            self.lag, former = max(late, former), late
            self._measured(self.lag)
