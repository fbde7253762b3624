"""The real server as a process of its own: started, stopped, killed and started again on the same data and port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from .ports import free_port

START_SECONDS = 30.0
STOP_SECONDS = 30.0


class Service:
    """One server process on a data directory."""

    def __init__(self, folder: Path, name: str = "server", **settings: str) -> None:
        """Settings are named without prefix: `POLICY__SIGN_IN_SECONDS="5"`. The log is called after `name`."""
        self.folder, self._log = folder, folder / f"{name}.log"
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PUSH_SERVICE_")},
            "PUSH_SERVICE_DATA_DIR": str(folder / "data"),
            "PUSH_SERVICE_LISTEN": f"127.0.0.1:{self.port}",
            "PUSH_SERVICE_PUBLIC_URL": self.url,
            **{f"PUSH_SERVICE_{name}": value for name, value in settings.items()},
        }
        self.program: tuple[str, ...] = (sys.executable, "-m", "push_service", "serve")
        self.process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and not ended."""
        return self.process is not None

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything that the server has logged so far."""
        return self._log.read_text(errors="replace")

    def each(self) -> Sequence[Service]:
        """The processes that this service is."""
        return (self,)

    async def start(self) -> None:
        """Start, and return once the ready line was printed."""
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.program,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await self.process.stdout.readline()
            assert b"listening on" in line, f"the server did not start: {self.log}"
        except BaseException:
            await self.kill()  # one that refused to start is waited for, too
            raise

    async def stop(self) -> int:
        """End politely (SIGTERM); says the exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """End at once (SIGKILL); says the exit code, which is another's where it had ended by itself."""
        return await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # Not send_signal: it looks by itself whether the process has ended, and asyncio would miss the end.
                os.kill(process.pid, number)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await process.wait()
        except BaseException:
            self.process = process  # not seen to its end yet: whoever ends it next waits for it
            raise

    async def command(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Run a command of the command line beside the server: exit code, stdout, stderr."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "push_service",
            *arguments,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def json_command(self, *arguments: str, stdin: str = "") -> dict[str, str]:
        """Run a command with `--json`; it must succeed."""
        code, out, err = await self.command(*arguments, "--json", stdin=stdin)
        assert code == 0, err
        found: dict[str, str] = json.loads(out)
        return found

    def session(self) -> aiohttp.ClientSession:
        """An HTTP client of this server."""
        return aiohttp.ClientSession(self.url, timeout=aiohttp.ClientTimeout(total=90))
