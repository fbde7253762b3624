"""The service of the demo: a process on a folder of its own, and its command line beside it.

Private to the demo. Whatever `PUSH_SERVICE_...` settings stand in the environment are left out, so that a demo touches
nothing but its own folder.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import aiohttp
import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Reply = TypeVar("Reply")

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 15.0
LOG_LINES = 20


class DemoError(Exception):
    """Something did not go as it should; the message is one line for people."""


class Credentials(msgspec.Struct, frozen=True):
    """What `application add` prints."""

    client_id: str
    client_secret: str

    @property
    def basic(self) -> str:
        """How the application shows who it is."""
        return aiohttp.encode_basic_auth(self.client_id, self.client_secret)


class Activation(msgspec.Struct, frozen=True):
    """What `user activate-device` prints, as far as a phone needs it."""

    uri: str


class Service:
    """The service's process on a folder of its own, and its command line beside it."""

    def __init__(self, folder: Path, port: int, **settings: str) -> None:
        self.url = f"http://localhost:{port}"
        self._log = folder / "service.log"
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("PUSH_SERVICE_")}
        self._environment |= {
            "PUSH_SERVICE_DATA_DIR": str(folder / "data"),
            "PUSH_SERVICE_LISTEN": f"{LOOPBACK}:{port}",
            "PUSH_SERVICE_PUBLIC_URL": self.url,
            **{f"PUSH_SERVICE_{name}": value for name, value in settings.items()},
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start, wait until it is ready, and in the end stop it politely."""
        with self._log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "push_service", "serve"),
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                process_group=0,  # Ctrl-C on the terminal is for the demo, which then ends the service in good order
            )
        try:
            if process.stdout is None or not await process.stdout.readline():
                raise DemoError(f"the service did not start:\n{self.last_words()}")
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                await _gone(process)

    async def command(self, *arguments: str, reply: type[Reply], stdin: str = "") -> Reply:
        """Run a command of the command line with `--json`. DemoError with what it said, if it refused."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "push_service", *arguments, "--json"),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
        )
        try:
            said, complaint = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise DemoError(f"push-service {' '.join(arguments)}: {complaint.decode().strip()}")
        return msgspec.json.decode(said, type=reply)

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_LINES:])


async def _gone(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a process that was asked to end; insist if it takes too long."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def free_port() -> int:
    """A port that was free a moment ago: the service must know its public address before it listens."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port
