"""A sign-in's browser on bare connections, cheap enough that many of them can look at once; everything is recorded.

An operation that got no whole answer is `info`: nobody knows whether it happened. Used by the stories that race.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec

from bench.wire import Address, HttpConnection, Response, request
from tests.soak.history import History, Line
from tests.support.browser import App
from tests.support.service import Service

TERMINAL = frozenset({"approved", "denied", "failed", "expired", "withdrawn"})
Json = dict[str, Any]


def address_of(service: Service) -> Address:
    """Where a server of the tests listens."""
    return Address("127.0.0.1", service.port)


def basic(app: App) -> dict[str, str]:
    """An application's credentials as a header."""
    pair = base64.b64encode(f"{app.client_id}:{app.client_secret}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


class Caller:
    """One keep-alive connection that is opened again when it was lost."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._http: HttpConnection | None = None

    async def send(self, method: str, target: str, headers: dict[str, str], body: object = None) -> Response:
        """One request. ConnectionError or OSError where no answer came."""
        encoded = b"" if body is None else msgspec.json.encode(body)
        if self._http is None:
            self._http = await HttpConnection.open(self.address)
        try:
            return await self._http.send(request(method, target, self.address, headers, encoded))
        except (ConnectionError, asyncio.CancelledError):
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection."""
        if self._http is not None:
            self._http.close()
            self._http = None


class Begun:
    """A sign-in that was begun: its document, and its token."""

    def __init__(self, document: Json) -> None:
        self.id: str = document["id"]
        self.version: int = document["version"]
        self.state: str = document["state"]
        self.token: str = document["browser_token"]
        self.expires_at = datetime.fromisoformat(document["expires_at"]).timestamp()
        challenge = document["challenge"] or {}
        self.challenge: str = challenge.get("id", "")
        self.method: str = challenge.get("method_id", "")
        self.number: str = challenge.get("prompt", {}).get("number") or ""
        self.bearer = {"Authorization": f"Bearer {self.token}"}
        self.path = f"/v1/sign-ins/{self.id}"


async def begin(caller: Caller, app: App, username: str, **headers: str) -> Begun:
    """Begin a vouched sign-in that must be accepted."""
    answer = await caller.send("POST", "/v1/sign-ins", basic(app) | headers, {"username": username})
    if answer.status != 201:
        raise AssertionError(f"a begin was refused: {answer.status} {answer.body[:300]!r}")
    return Begun(json.loads(answer.body))


def fill(line: Line, answer: Response) -> str:
    """Take down what was told; the kind of the line."""
    body = json.loads(answer.body)
    line.status, line.state, line.reason = answer.status, body.get("state"), body.get("reason")
    line.version, line.code = body.get("version"), body.get("code")
    return "ok" if answer.status < 300 else "info" if answer.status >= 500 else "fail"


class Observer:
    """Looks at one sign-in by one outlet until it is over, and takes down every state."""

    def __init__(self, history: History, caller: Caller, begun: Begun, name: str) -> None:
        self._history, self._caller, self._begun, self._name = history, caller, begun, name

    async def do(self, op: str, method: str = "GET", suffix: str = "", body: object = None) -> Line:
        """One request on the sign-in, recorded."""
        line = self._history.begin(self._name, op, self._begun.id)
        kind = "info"
        with contextlib.suppress(OSError):
            kind = fill(line, await self._caller.send(method, self._begun.path + suffix, self._begun.bearer, body))
        self._history.end(line, kind)
        return line

    async def poll(self) -> None:
        """Long-poll until it is over."""
        version = self._begun.version
        while True:
            line = await self.do("poll", suffix=f"?wait=20&after={version}")
            if line.state in TERMINAL:
                return
            if line.version is not None:
                version = line.version
            else:
                await asyncio.sleep(0.05)  # the server is away, or too many wait

    async def watch(self) -> None:
        """Plain reads, one after the other, until it is over, and one more."""
        over = False
        while not over:
            over = (await self.do("get")).state in TERMINAL
            await asyncio.sleep(0.01)
        await self.do("get")

    async def stream(self) -> None:
        """Server-sent events until the stream ends."""
        async with _events(self._caller.address, self._begun) as lines:
            invoke = time.monotonic()
            async for data in lines:
                line = self._history.begin(self._name, "event", self._begun.id)
                line.invoke = invoke
                document = json.loads(data)
                line.state, line.version, line.reason = document["state"], document["version"], document["reason"]
                self._history.end(line)


@asynccontextmanager
async def _events(address: Address, begun: Begun) -> AsyncIterator[AsyncIterator[bytes]]:
    reader, writer = await asyncio.open_connection(*address, limit=1 << 18)
    try:
        writer.write(request("GET", f"{begun.path}/events", address, begun.bearer))
        yield _data(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _data(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The data lines of a chunked event stream, until its last chunk."""
    async for line in reader:
        if line.startswith(b"data: "):
            yield line[6:].strip()
        elif line == b"0\r\n":
            return
