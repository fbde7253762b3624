"""What systemd gives and is told: the listening socket (sd_listen_fds(3)), and how the service is doing (sd_notify(3)).

The test is systemd: it holds the socket, starts the program with it as descriptor 3, and reads the notifications.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from push_service.config import Endpoint
from push_service.workers.listening import endpoint_of, listening_socket
from tests.support.several import Several
from tests.workers.conftest import PATIENCE_SECONDS

_EXEC = 'fd=$1; shift; exec 3<&"$fd"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'


class Manager:
    """Holds a unit's socket, and hears what its process says."""

    def __init__(self, folder: Path) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.heard.bind(str(folder / "notify"))
        self.heard.settimeout(0)
        self._folder = folder

    @asynccontextmanager
    async def started(self, workers: int) -> AsyncIterator[asyncio.subprocess.Process]:
        several = Several(self._folder, workers)
        descriptor = self.listening.fileno()
        process = await asyncio.create_subprocess_exec(
            "/bin/bash", "-c", _EXEC, "bash", str(descriptor), *several.program,
            env=several.environment | {"NOTIFY_SOCKET": str(self._folder / "notify")},
            pass_fds=(descriptor,), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def told(self) -> str:
        """The next notification."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await asyncio.get_running_loop().sock_recv(self.heard, 4096)).decode()

    async def ready(self) -> int:
        """Ask on a connection of its own, which waits in the socket while nobody serves."""
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/readyz") as answer,
        ):
            return answer.status


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A unit whose socket is open and whose service is not started."""
    made = Manager(tmp_path)
    with made.listening, made.heard:
        yield made


@pytest.mark.reliability("R-14")
async def test_a_restart_on_a_socket_that_systemd_holds_refuses_no_connection(manager: Manager) -> None:
    async with manager.started(workers=1) as process:
        assert await manager.told() == "READY=1"
        assert process.stdout
        assert f"127.0.0.1:{manager.port}" in (await process.stdout.readline()).decode()
        assert await manager.ready() == 200
        process.send_signal(signal.SIGTERM)
        assert await manager.told() == "STOPPING=1"
        assert await process.wait() == 0
    waiting = asyncio.create_task(manager.ready())
    async with manager.started(workers=1):
        assert await waiting == 200


@pytest.mark.reliability("R-14")
async def test_systemd_hears_when_all_workers_are_ready_when_they_are_replaced_and_when_they_end(
    manager: Manager,
) -> None:
    async with manager.started(workers=2) as process:
        assert await manager.told() == "READY=1"
        process.send_signal(signal.SIGHUP)
        assert (await manager.told()).startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert await manager.told() == "READY=1"
        process.send_signal(signal.SIGTERM)
        assert await manager.told() == "STOPPING=1"
        assert await process.wait() == 0


def test_a_socket_that_was_meant_for_another_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    with listening_socket(Endpoint("127.0.0.1", 0)) as bound:
        assert endpoint_of(bound).port
    assert "LISTEN_FDS" not in os.environ, "what a process starts must not believe that it is meant"


async def test_what_is_no_listening_socket_of_tcp_is_refused_in_a_line(tmp_path: Path) -> None:
    several = Several(tmp_path, 1)
    given, other = socket.socketpair()
    with given, other:
        process = await asyncio.create_subprocess_exec(
            "/bin/bash", "-c", _EXEC, "bash", str(given.fileno()), *several.program,
            env=several.environment, pass_fds=(given.fileno(),), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
    assert process.returncode == 1
    assert said == b"push-service: LISTEN_FDS: the socket that was handed over is not one of TCP\n"
