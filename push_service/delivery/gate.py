"""Lets so many in at once, so many more wait for their turn, and sends the rest away. Used by `waker.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Full(Exception):
    """Everybody inside is busy, and the queue is as long as it may get."""


class Gate:
    """A semaphore whose queue has an end."""

    def __init__(self, concurrency: int, waiting: int) -> None:
        """Let `concurrency` in at once, and `waiting` wait."""
        self._inside = asyncio.Semaphore(concurrency)
        self._room, self._taken = concurrency + waiting, 0

    @property
    def room(self) -> int:
        """How many more could come now."""
        return self._room - self._taken

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, and hold it. Raises Full at once where there is no room to wait."""
        if self.room <= 0:
            raise Full
        self._taken += 1
        try:
            async with self._inside:
                yield
        finally:
            self._taken -= 1
