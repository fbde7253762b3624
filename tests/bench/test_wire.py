"""The load side's own clients against an independent server: aiohttp's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from bench.wire import Address, HttpConnection, Response, WebSocketConnection, request


async def _echo(incoming: web.Request) -> web.Response:
    return web.Response(body=await incoming.read() or incoming.path_qs.encode(), status=201)


async def _nothing(_: web.Request) -> web.Response:
    return web.Response(status=204)


async def _endless(incoming: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(incoming)
    await response.write(b"x")
    return response


async def _socket(incoming: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(incoming)
    await socket.ping(b"are you there?")
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            if message.data == "leave":
                await socket.close(code=WSCloseCode.SERVICE_RESTART, message=b"restarting")
            else:
                await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


@asynccontextmanager
async def serving() -> AsyncIterator[Address]:
    application = web.Application(client_max_size=2**20)
    application.add_routes(
        [
            web.post("/echo", _echo),
            web.get("/echo", _echo),
            web.get("/nothing", _nothing),
            web.get("/endless", _endless),
            web.get("/socket", _socket),
        ]
    )
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Address("127.0.0.1", runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("size", [1, 100, 200_000])
async def test_requests_follow_one_another_on_one_connection(size: int) -> None:
    async with serving() as address:
        http = await HttpConnection.open(address)
        for fill in b"abc":
            body = bytes([fill]) * size
            assert await http.send(request("POST", "/echo", address, {}, body)) == Response(201, body)
        assert await http.send(request("GET", "/echo?q=1", address, {"Accept": "*/*"})) == Response(201, b"/echo?q=1")
        assert await http.send(request("GET", "/nothing", address, {})) == Response(204, b"")
        http.close()


async def test_a_second_request_before_the_answer_is_refused() -> None:
    async with serving() as address:
        http = await HttpConnection.open(address)
        first = http.send(request("GET", "/echo", address, {}))
        with pytest.raises(ConnectionError):
            http.send(request("GET", "/echo", address, {}))
        await first
        http.close()


async def test_an_answer_of_unknown_length_is_an_error() -> None:
    async with serving() as address:
        http = await HttpConnection.open(address)
        with pytest.raises(ConnectionError, match="without a length"):
            await http.send(request("GET", "/endless", address, {}))


async def test_a_closed_connection_fails_the_request_under_way_and_the_next() -> None:
    async with serving() as address:
        http = await HttpConnection.open(address)
        under_way = http.send(request("GET", "/echo", address, {}))
        http.close()
        with pytest.raises(ConnectionError):
            await under_way
        with pytest.raises(ConnectionError):
            http.send(request("GET", "/echo", address, {}))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
async def test_frames_of_every_length_form_arrive_unharmed(size: int) -> None:
    async with serving() as address:
        messages, lost = asyncio.Queue[bytes](), asyncio.Queue[str]()
        socket = WebSocketConnection(messages.put_nowait, lost.put_nowait)
        await socket.open(address, "/socket")
        text, binary = (
            ("é" * size).encode()[: size - size % 2],
            bytes(range(256)) * (size // 256) + b"\0" * (size % 256),
        )
        socket.send_text(text)
        socket.send_binary(binary)
        async with asyncio.timeout(30):
            assert await messages.get() == text
            assert await messages.get() == binary
        socket.close()


async def test_a_socket_that_the_server_closes_says_why() -> None:
    async with serving() as address:
        lost = asyncio.Queue[str]()
        socket = WebSocketConnection(lambda _: None, lost.put_nowait)
        await socket.open(address, "/socket")
        socket.send_text(b"leave")
        async with asyncio.timeout(30):
            assert "1012 restarting" in await lost.get()
        with pytest.raises(ConnectionError):
            socket.send_text(b"anybody?")


async def test_a_refused_upgrade_is_an_error() -> None:
    async with serving() as address:
        socket = WebSocketConnection(lambda _: None, lambda _: None)
        with pytest.raises(ConnectionError, match="404"):
            await socket.open(address, "/nowhere")
