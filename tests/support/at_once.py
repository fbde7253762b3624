"""Requests that all arrive together, each on a connection of its own that was opened before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.wire import Response
from tests.soak.browsers import Caller, address_of
from tests.support.service import Service

PATIENCE_SECONDS = 60.0


async def at_once(service: Service, calls: Sequence[tuple[str, str, dict[str, str], object]]) -> list[Response]:
    """All of them, each on a connection of its own that was opened before."""
    callers = [Caller(address_of(service)) for _ in calls]
    try:
        await asyncio.gather(*(caller.send("GET", "/livez", {}) for caller in callers))
        sent = (caller.send(*call) for caller, call in zip(callers, calls, strict=True))
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await asyncio.gather(*sent)
    finally:
        for caller in callers:
            caller.close()
