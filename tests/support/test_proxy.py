"""The network that the other tests maltreat: each fault is what it says, and what was not hurt goes on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import uvloop

from tests.support.proxy import CLEAR, HOLE, Proxy, Way, proxy_to

SOON = 30.0
NEVER = 0.15
"""Seconds in which what must not come would have come long since."""


class Echo:
    """Sends back what it gets, and keeps it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                self.got += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.ended.set()
            writer.close()


@dataclass
class World:
    """A proxy before an echo, and a connection through it."""

    echo: Echo
    proxy: Proxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def exchange(self, data: bytes) -> bytes:
        self.writer.write(data)
        async with asyncio.timeout(SOON):
            return await self.reader.readexactly(len(data))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, proxy_to(server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        yield World(echo, proxy, reader, writer)
        writer.close()


async def test_without_a_fault_everything_goes_through_and_so_does_the_end(world: World) -> None:
    data = bytes(range(256)) * 4000
    sent = asyncio.create_task(world.exchange(data))
    assert await sent == data
    world.writer.write_eof()
    async with asyncio.timeout(SOON):
        assert await world.reader.read() == b""
        await world.echo.ended.wait()


async def test_a_delay_keeps_the_order_and_loses_nothing(world: World) -> None:
    world.proxy.up, loop = Way(delay=0.1), asyncio.get_running_loop()
    begun = loop.time()
    assert await world.exchange(b"one") == b"one"
    assert loop.time() - begun >= 0.09
    for each in (b"two", b"three"):
        world.writer.write(each)
    async with asyncio.timeout(SOON):
        assert await world.reader.readexactly(8) == b"twothree"


async def test_a_hole_lets_nothing_through_until_it_is_mended(world: World) -> None:
    world.proxy.down = HOLE
    answer = asyncio.create_task(world.exchange(b"hello"))
    assert not (await asyncio.wait({answer}, timeout=NEVER))[0]
    assert world.echo.got == b"hello"
    world.proxy.down = CLEAR
    assert await answer == b"hello"


async def test_a_half_open_connection_is_silent_and_stays(world: World) -> None:
    await world.exchange(b"hello")
    world.proxy.half_open()
    async with asyncio.timeout(SOON):
        await world.echo.ended.wait()
    world.writer.write(b"anyone?")
    more = asyncio.create_task(world.reader.read())
    assert not (await asyncio.wait({more}, timeout=NEVER))[0]
    assert world.echo.got == b"hello"
    world.writer.close()
    async with asyncio.timeout(SOON):
        await asyncio.gather(more, return_exceptions=True)


async def test_it_cuts_after_so_many_bytes_exactly(world: World) -> None:
    await world.exchange(b"before")
    world.proxy.up = Way(cut_after=4)
    world.writer.write(b"hello")
    async with asyncio.timeout(SOON):
        with pytest.raises(ConnectionResetError):
            await world.reader.readexactly(5)
        await world.echo.ended.wait()
    assert world.echo.got == b"beforehell"


async def test_a_byte_at_a_time_is_slow_and_complete(world: World) -> None:
    world.proxy.down, loop = Way(byte_every=0.01), asyncio.get_running_loop()
    begun = loop.time()
    assert await world.exchange(b"0123456789") == b"0123456789"
    assert loop.time() - begun >= 0.08


async def test_refusing_concerns_newcomers_alone_and_accepting_is_on_the_same_port(world: World) -> None:
    await world.proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", world.proxy.port)
    assert await world.exchange(b"still here") == b"still here"
    await world.proxy.accept()
    _, writer = await asyncio.open_connection("127.0.0.1", world.proxy.port)
    await world.proxy.connected(2)
    assert world.proxy.open == 2
    writer.close()


async def test_resetting_ends_both_sides(world: World) -> None:
    await world.exchange(b"hello")
    world.proxy.cut()
    async with asyncio.timeout(SOON):
        with pytest.raises(ConnectionResetError):
            await world.reader.read()
        await world.echo.ended.wait()


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_side_that_has_gone_is_a_loss_for_the_other_and_no_error_of_the_proxy(
    new_event_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    errors: list[object] = []
    told = asyncio.Event()

    async def speak_on(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"anyone?")
                await writer.drain()
                await asyncio.sleep(0.001)
        told.set()
        writer.close()

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        server = await asyncio.start_server(speak_on, "127.0.0.1", 0)
        async with server, proxy_to(server.sockets[0].getsockname()[1]) as proxy, asyncio.timeout(SOON):
            with socket.create_connection(("127.0.0.1", proxy.port)) as client:
                await proxy.connected(1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await told.wait()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(story())
    assert errors == []


async def test_a_target_that_refuses_is_a_connection_that_ends() -> None:
    async with proxy_to(1) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        async with asyncio.timeout(SOON):
            with pytest.raises(ConnectionResetError):
                await reader.read()
        writer.close()
