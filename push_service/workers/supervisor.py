"""The first process of a machine with several workers: it holds the listening socket and serves nothing itself.

It starts the workers and another whenever one dies, says when all are ready, passes the end on, and replaces them one
after another at SIGHUP. Called by `push-service serve` where WORKERS is more than one. docs/decisions/0016 says why.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile

import structlog

from push_service.config import Settings
from push_service.observability import set_up_logs
from push_service.workers import notify
from push_service.workers.listening import endpoint_of, listening_socket
from push_service.workers.orders import announce
from push_service.workers.process import WorkerProcess, WorkersFailed
from push_service.workers.slot import Slot

_log = structlog.get_logger()


async def supervise(settings: Settings) -> None:
    """Keep `settings.workers` workers until SIGTERM or SIGINT.

    Raises WorkersFailed where none comes up, and where an end was not a polite one.
    """
    set_up_logs(settings.log_level.value, json=settings.log_format.value == "json")
    with (
        listening_socket(settings.listen) as listening,
        tempfile.TemporaryDirectory(prefix="push-service-", dir=_runtime_directory()) as run_dir,
    ):
        await Supervisor(settings, listening, run_dir).run()


def _runtime_directory() -> str | None:
    """The unit's own, where systemd made one; None: wherever temporary things go."""
    return os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or None


class Supervisor:
    """Keeps the workers of one machine."""

    def __init__(self, settings: Settings, listening: socket.socket, run_dir: str) -> None:
        """Nobody is started yet."""
        self._settings, self._listening, self._run_dir = settings, listening, run_dir
        self._alive: set[WorkerProcess] = set()
        self._slots = [Slot(number, self._start, self._anyone_serves) for number in range(1, settings.workers + 1)]
        self._told = asyncio.Event()
        self._hung_up = asyncio.Event()

    async def run(self) -> None:
        """Start everybody, and keep them until told to end."""
        self._heed_signals()
        keeping = asyncio.create_task(self._keep())
        told = asyncio.create_task(self._told.wait())
        try:
            await asyncio.wait((keeping, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            keeping.cancel()
            await asyncio.wait((keeping,))
            codes = await self._end_all()
        if not keeping.cancelled():
            keeping.result()
        if any(codes):
            raise WorkersFailed(f"{sum(map(bool, codes))} of {len(codes)} workers did not end politely")

    async def _keep(self) -> None:
        async with asyncio.TaskGroup() as group:
            for slot in self._slots:
                group.create_task(slot.keep())
            group.create_task(self._announce_and_replace())

    async def _announce_and_replace(self) -> None:
        for slot in self._slots:
            await slot.served.wait()
        announce(endpoint_of(self._listening))
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            notify.reloading()
            await self._replace_all()
            notify.ready()

    async def _replace_all(self) -> None:
        """A rolling restart of this machine. The first worker that does not come up ends it: the others stay as is."""
        for slot in self._slots:
            if not await slot.replace():
                _log.error("workers.not_replaced", worker=slot.number)
                return
        _log.info("workers.replaced", count=len(self._slots))

    async def _end_all(self) -> list[int]:
        """Everybody at once; what those ended with that served."""
        notify.stopping()
        running = [worker for worker in self._alive if worker.process.returncode is None]
        for worker in running:
            worker.leave()
        if running and self._told.is_set():
            await asyncio.sleep(self._settings.drain_seconds)
        codes = await asyncio.gather(*(worker.end_within_bounds() for worker in running))
        return [code for worker, code in zip(running, codes, strict=True) if worker.up]

    async def _start(self, number: int) -> WorkerProcess:
        worker = await WorkerProcess.start(number, len(self._slots), self._listening, self._run_dir)
        self._alive = {each for each in self._alive if each.process.returncode is None} | {worker}
        return worker

    def _anyone_serves(self) -> bool:
        return any(slot.serves for slot in self._slots)

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._hung_up.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)

    def _stop(self, number: int) -> None:
        """The first time politely, the second time hard."""
        if self._told.is_set():
            for worker in self._alive:
                worker.kill()
            sys.exit(128 + number)
        self._told.set()
