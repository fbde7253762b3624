"""One of the machine's workers over time: a process, the next when it died, the next when it is to be replaced."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from push_service.workers.process import WorkerProcess, WorkersFailed

TRIES = 3
"""How often in a row workers may die young before the supervisor gives up, if none serves."""
YOUNG_SECONDS = 10.0
"""Who dies sooner after coming up might as well not have come up."""
SHORTEST_SECONDS, LONGEST_SECONDS = 0.2, 30.0
_log = structlog.get_logger()
_dice = random.SystemRandom()


class Slot:
    """Keeps one worker alive."""

    def __init__(
        self, number: int, start: Callable[[int], Awaitable[WorkerProcess]], anyone_serves: Callable[[], bool]
    ) -> None:
        """`start` starts a worker of that number; `anyone_serves` says whether any slot of the machine serves."""
        self.number = number
        self.served = asyncio.Event()
        """Set once its first worker serves."""
        self.serves = False
        self._start, self._anyone_serves = start, anyone_serves
        self._wanted: asyncio.Future[bool] | None = None
        self._asked = asyncio.Event()

    async def keep(self) -> None:
        """Start a worker, and another whenever one ends; until cancelled. Raises WorkersFailed."""
        deaths = 0
        while True:
            deaths = deaths + 1 if await self._dies_young() else 0
            if deaths >= TRIES and not self._anyone_serves():
                raise WorkersFailed(f"worker {self.number} died {deaths} times in a row at its start, and none serves")
            if deaths:
                # Jitter, so that the workers of a machine don't all come back to a database that is down in one moment.
                bound = min(LONGEST_SECONDS, SHORTEST_SECONDS * 2.0**deaths)
                await asyncio.sleep(_dice.uniform(SHORTEST_SECONDS, bound))

    async def _dies_young(self) -> bool:
        """One worker's life, and the lives of those that take its place; whether it was a short one with a bad end."""
        loop = asyncio.get_running_loop()
        worker = await self._started()
        if worker is None:
            return True
        came_up, began = await worker.came_up(), loop.time()
        if came_up:
            worker = await self._serve(worker)
        code = await worker.ended()
        self._answer(replaced=False)
        say = _log.warning if code else _log.info
        say("worker.ended", worker=self.number, pid=worker.process.pid, code=code)
        return code != 0 and (not came_up or loop.time() - began < YOUNG_SECONDS)

    async def _started(self) -> WorkerProcess | None:
        """A new worker; None where the machine gives no process now."""
        try:
            return await self._start(self.number)
        except OSError as problem:
            _log.error("worker.not_started", worker=self.number, detail=problem.strerror)
            return None

    async def replace(self) -> bool:
        """Have a new worker take the place of the one that serves; False where none came up, and the old one stays."""
        if not self.serves:
            return True  # the next one that is started is new
        self._wanted = asyncio.get_running_loop().create_future()
        self._asked.set()
        return await self._wanted

    async def _serve(self, worker: WorkerProcess) -> WorkerProcess:
        """Until the worker ends by itself, or the one that took its place does; that one."""
        self.serves = True
        self.served.set()
        try:
            while await self._asked_before_end(worker):
                worker = await self._replaced(worker)
        finally:
            self.serves = False
        return worker

    async def _asked_before_end(self, worker: WorkerProcess) -> bool:
        asked = asyncio.ensure_future(self._asked.wait())
        ended = asyncio.ensure_future(worker.process.wait())
        try:
            await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
            return not ended.done()
        finally:
            asked.cancel()
            ended.cancel()

    async def _replaced(self, old: WorkerProcess) -> WorkerProcess:
        """The new worker serves before the old one is told to end."""
        self._asked.clear()
        new = await self._started()
        if new is None or not await new.came_up():
            if new is not None:
                _log.error("worker.not_replaced", worker=self.number, pid=new.process.pid, code=await new.ended())
            self._answer(replaced=False)
            return old
        await old.end_within_bounds()
        self._answer(replaced=True)
        return new

    def _answer(self, *, replaced: bool) -> None:
        self._asked.clear()
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(replaced)
