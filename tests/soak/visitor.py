"""A client process to be ended badly: opens polls, event streams and device sockets, says so, and then obeys one word.

`python -m tests.soak.visitor` reads a JSON document on standard input (host, port, url, and what to open), prints
`open` when everything stands, and then waits for a line: `fin` closes every connection, `reset` resets them (SO_LINGER
0). Who started it may as well stop or kill it. Run by `leaks.py`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys

import msgspec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.wire import Address, request
from tests.soak.crowd import SOCKET, proof

READY = b'"type":"ready"'


class Phone(msgspec.Struct):
    """A device and its key, as PEM."""

    device_id: str
    pem: str


class Watched(msgspec.Struct):
    """A sign-in to be waited for."""

    path: str
    token: str
    version: int


class Visit(msgspec.Struct):
    """Everything that this process opens."""

    host: str
    port: int
    url: str
    polls: list[Watched]
    streams: list[Watched]
    phones: list[Phone]


async def _open(address: Address, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(first)
    return reader, writer


async def _socket(address: Address, visit: Visit, phone: Phone) -> asyncio.StreamWriter:
    """A device socket, up to `ready`. The frames are few and short enough to be told apart by eye."""
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    reader, writer = await _open(address, request("GET", SOCKET, address, headers))
    await reader.readuntil(b"\r\n\r\n")
    head = await reader.readexactly(2)
    hello = json.loads(await reader.readexactly(head[1]))
    key = load_pem_private_key(phone.pem.encode(), None)
    signed = proof(key, phone.device_id, visit.url + SOCKET, nonce=hello["nonce"])  # type: ignore[arg-type]
    payload = msgspec.json.encode({"type": "authenticate", "proof": signed})
    # Masked by zeros: RFC 6455 asks for a mask, and a test need not hide what it sends.
    writer.write(bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2) + bytes(4) + payload)
    await reader.readuntil(READY)
    return writer


async def main() -> None:
    """Open, wait for the word, and end."""
    visit = msgspec.json.decode(sys.stdin.buffer.readline(), type=Visit)
    address = Address(visit.host, visit.port)
    writers = []
    for each in visit.polls:
        target = f"{each.path}?wait=60&after={each.version}"
        bearer = {"Authorization": f"Bearer {each.token}"}
        writers.append((await _open(address, request("GET", target, address, bearer)))[1])
    for each in visit.streams:
        bearer = {"Authorization": f"Bearer {each.token}"}
        reader, writer = await _open(address, request("GET", f"{each.path}/events", address, bearer))
        await reader.readuntil(b"data: ")
        writers.append(writer)
    writers += [await _socket(address, visit, phone) for phone in visit.phones]
    print("open", flush=True)  # noqa: T201 - the word that was promised
    word = await asyncio.to_thread(sys.stdin.readline)
    for writer in writers:
        if word.strip() == "reset":
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            writer.close()
    await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main())
