"""What a process has in its hands of an outbox: a bounded number of tasks, each for one thing that is on its way.

One that ends politely begins nothing more, says so to those that pause, and waits for the rest a bounded time. What is
left undone is in the outbox, and another takes it over when its lease ends. Used by `waker.py` and by
`telephony/dispatch.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

from push_service.model.errors import ServiceError

MAX_HELD = 10_000
"""What comes beyond is left to whoever has room when its lease ends."""
_LAST_SECONDS = 10.0
_log = structlog.get_logger()


class Hands:
    """See the module. `name` names the tasks and what is logged of their trouble."""

    def __init__(self, name: str) -> None:
        """Hold nothing."""
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()

    @property
    def held(self) -> int:
        """How many there are."""
        return len(self._tasks)

    def is_draining(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._draining.is_set()

    def start(self, work: Coroutine[None, None, None]) -> bool:
        """Own a task, until it is done; False where there are too many, and then it is not even begun."""
        if len(self._tasks) >= MAX_HELD:
            work.close()
            return False
        task = asyncio.create_task(self._guarded(work), name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def pause(self, seconds: float) -> bool:
        """Wait so long; True, sooner, if this process is about to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._draining.wait()
        except TimeoutError:
            return False
        return True

    def drain(self) -> None:
        """Begin nothing more."""
        self._draining.set()

    async def close(self) -> None:
        """Wait for what is under way, for a bounded time."""
        self.drain()
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        """One's trouble is not the others'."""
        try:
            await work
        except ServiceError as refusal:
            _log.warning(f"{self._name}.postponed", code=refusal.code, detail=refusal.detail)
        except Exception:  # noqa: BLE001 - a defect: told, and nobody else hangs on it
            _log.exception(f"{self._name}.defect")
