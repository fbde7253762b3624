"""A counter to wait on: everything that the world shows rings it when it changes, and the live page waits for it."""

from __future__ import annotations

import asyncio


class Changes:
    """A counter to wait on: whoever looked at number n waits until it is another one."""

    def __init__(self) -> None:
        self.number = 0
        self._bell = asyncio.Event()

    def ring(self) -> None:
        """Something is different now."""
        self.number += 1
        self._bell.set()
        self._bell = asyncio.Event()

    async def after(self, seen: int) -> int:
        """The present number, as soon as it isn't `seen`."""
        while self.number == seen:
            await self._bell.wait()
        return self.number
