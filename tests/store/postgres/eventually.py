"""Waiting for what no event of ours announces: what a server says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SOON = 30.0


async def eventually(is_so: Callable[[], object]) -> None:
    """Return when it is so; it must be within SOON."""
    async with asyncio.timeout(SOON):
        while not is_so():  # noqa: ASYNC110 - there is nothing that would ring
            await asyncio.sleep(0.01)
