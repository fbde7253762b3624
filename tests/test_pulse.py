"""The pulse notices that the event loop was held up."""

from __future__ import annotations

import asyncio
import time

from push_service.pulse import BEAT_SECONDS, Pulse

PATIENCE = 30.0


async def test_a_loop_that_was_held_up_is_late_by_about_as_long() -> None:
    beats: asyncio.Queue[float] = asyncio.Queue()
    pulse = Pulse(beats.put_nowait)
    beating = asyncio.create_task(pulse.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await beats.get()
            held_up = 20 * BEAT_SECONDS
            time.sleep(held_up)  # noqa: ASYNC251 - this is what it is to notice
            while await beats.get() < held_up / 2:
                pass
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
