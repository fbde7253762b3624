"""One worker as its supervisor sees it: a process, and the line to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

import structlog

from push_service.workers.seat import LEAVE, READY, Seat

START_SECONDS = 60.0
"""How long a worker may take until it serves; migrations of a large database belong to the first."""
END_SECONDS = 25.0
"""How long a worker may take from SIGTERM to its end: above all that its drain can take."""
_log = structlog.get_logger()


class WorkersFailed(Exception):
    """The workers of this machine are not as they should be; says in a sentence how."""


class WorkerProcess:
    """A process that was started. Made by `start`."""

    def __init__(self, seat: Seat, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        """Keep hold of it."""
        self.number = seat.number
        self.process = process
        self._line = line
        self._told = False
        self.up = False
        """Whether it has come to serve. Before that it has no manners: a signal simply ends it."""

    @classmethod
    async def start(cls, number: int, of: int, listening: socket.socket, run_dir: str) -> WorkerProcess:
        """Start this very program again, as it was called, on a seat.

        In a session of its own, so that Ctrl-C reaches it by way of the supervisor and not twice. Called anew, not
        forked: a worker that is started later runs what is installed and set by then.
        """
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        with theirs:
            seat = Seat(number=number, of=of, listening=listening.fileno(), line=theirs.fileno(), run_dir=run_dir)
            around = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *sys.orig_argv[1:],
                    env=around | seat.variables(),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(seat.listening, seat.line),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        return cls(seat, process, ours)

    async def came_up(self) -> bool:
        """Wait until it serves; False where it ended first. One that takes too long is killed."""
        try:
            async with asyncio.timeout(START_SECONDS):
                self.up = await asyncio.get_running_loop().sock_recv(self._line, 64) == READY
        except TimeoutError:
            self.kill()
        except ConnectionError:
            pass  # it went without a word
        return self.up

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative for a signal. Nothing more is said to it after that."""
        code = await self.process.wait()
        self._line.close()
        return code

    def leave(self) -> None:
        """Tell it that the whole machine is about to end."""
        with contextlib.suppress(OSError):  # it is gone already
            self._line.sendall(LEAVE)

    def end(self) -> None:
        """Have it finish what it has begun. Told once: a second signal would end it hard."""
        if not self._told:
            self._told = True
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    async def end_within_bounds(self) -> int:
        """Have it finish, and kill it where that takes too long; the exit code."""
        self.end()
        try:
            async with asyncio.timeout(END_SECONDS):
                return await self.ended()
        except TimeoutError:
            _log.warning("worker.killed", worker=self.number, pid=self.process.pid)
            self.kill()
            return await self.ended()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
