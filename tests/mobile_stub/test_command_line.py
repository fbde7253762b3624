"""The two commands, as real processes: one line when ready, a clean end on a signal, one clear line on failure."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.mobile_stub.fake_service import FakeService


@asynccontextmanager
async def command(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mobile_stub",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        # Reading to the end closes the pipes with the process.
        await process.communicate()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_the_world_says_where_it_listens_and_ends_cleanly_with_a_page_open(end: signal.Signals) -> None:
    async with command("world") as process:
        ready = await line(process)
        assert ready.startswith("mobile_stub world listening on http://127.0.0.1:")
        async with aiohttp.ClientSession(ready.rpartition(" ")[2]) as session, session.get("/events") as stream:
            assert await stream.content.readline() == b"event: world\n"
            process.send_signal(end)
            assert await process.wait() == 0
    assert process.stderr is not None
    assert await process.stderr.read() == b""


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (("verify", "--number", "42"), "completed"),
        (("deny",), "denied"),
        (("fraud", "--after", "0.1"), "fraud_reported"),
        (("wrong-number", "--number", "42"), "wrong_number"),
        (("ignore",), "ignored"),
    ],
    ids=str,
)
async def test_one_phone_meets_one_prompt(service: FakeService, behaviour: tuple[str, ...], said: str) -> None:
    uri = service.activation_uri()
    async with command("phone", "--activate", uri, "--once", "--behaviour", *behaviour) as process:
        assert (await line(process)).endswith("of alice is ready")
        await service.ask("42")
        assert await line(process) == f"Contoso Mail: {said}"
        assert await process.wait() == 0


async def test_without_a_number_the_terminal_is_asked(service: FakeService) -> None:
    async with command("phone", "--activate", service.activation_uri(), "--once") as process:
        await line(process)
        await service.ask("42")
        assert process.stderr is not None
        assert process.stdin is not None
        question = await process.stderr.readuntil(b"? ")
        assert b"Contoso Mail, from Utrecht, Netherlands: number in the browser (2 digits)?" in question
        process.stdin.write(b"42\n")
        assert await line(process) == "Contoso Mail: completed"
        assert await process.wait() == 0


async def test_a_phone_ends_cleanly_on_a_signal(service: FakeService) -> None:
    async with command("phone", "--activate", service.activation_uri()) as process:
        await line(process)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("phone", "--activate", "hello"), 1, "an activation address looks like"),
        (("phone", "--activate", "http://127.0.0.1:9/activate#code=x"), 1, "127.0.0.1:9"),
        (("phone",), 2, "--activate"),
        (("phone", "--activate", "x", "--after", "-1"), 2, "negative"),
        (("world", "--listen", "nowhere"), 2, "HOST:PORT"),
    ],
    ids=str,
)
async def test_failures_are_one_clear_line_and_a_code(arguments: tuple[str, ...], code: int, said: str) -> None:
    async with command(*arguments) as process:
        _, errors = await process.communicate()
        assert process.returncode == code
        assert said in errors.decode()
        assert "Traceback" not in errors.decode()
