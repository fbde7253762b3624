"""The bell over TLS (`rediss://`): only with a server that can show who it is."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from push_service.bus.redis import RedisBus
from push_service.model.ids import SignInId
from push_service.ports import Topic
from tests.bus.between import SOON, in_trouble
from tests.support.certificates import make_certificates
from tests.support.redis import RedisServer

TOPIC = Topic.sign_in(SignInId("si_1"))


@pytest.fixture
async def place(tmp_path: Path, shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Where TLS is ended before the server, by an authority that this process trusts."""
    made = make_certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)
    passing: set[asyncio.Task[None] | None] = set()

    async def one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def end_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing.add(asyncio.current_task())
        there, beyond = await asyncio.open_connection("127.0.0.1", shared_redis.port)
        await asyncio.gather(one_way(reader, beyond), one_way(there, writer), return_exceptions=True)
        passing.discard(asyncio.current_task())

    server = await asyncio.start_server(end_tls, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(SOON):
            await asyncio.gather(*(task for task in passing if task))


async def test_it_rings_over_tls(place: str, shared_redis: RedisServer) -> None:
    async with RedisBus(f"rediss://{place}") as here, RedisBus(shared_redis.url) as there:
        assert here.trouble is None
        async with here.listen(TOPIC) as listener:
            await there.ring([TOPIC])
            assert await listener.heard(SOON) < SOON


async def test_a_server_that_nobody_vouches_for_hears_nothing(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificates(stranger).authority))
    async with RedisBus(f"rediss://:secret@{place}") as bus:
        assert "certificate verify failed" in await in_trouble(bus)
