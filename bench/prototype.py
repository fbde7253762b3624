"""A bare prototype of the whole exchange: the practical limit that the service is measured against.

It does what no service can leave out, and nothing else: a browser begins a sign-in, the phone gets the challenge on
its WebSocket, its ES256-signed JWT is verified by PyJWT, both steps are committed durably to SQLite
(synchronous=FULL, two commits a sign-in, grouped by one writer thread), the parked long-poll is answered and the
phone gets its acknowledgement. One process, aiohttp on uvloop. No policies, no limits, no passwords, no applications,
no restart: it is a yardstick.

Started by `bench.processes` as `python -m bench.prototype PORT DATABASE`; spoken to by `bench.prototype_client`.
"""

import asyncio
import hmac
import queue
import secrets
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import msgspec
import uvloop
from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

LIFETIME = 60.0
"""Seconds for which a challenge can be answered."""

LONGEST_WAIT = 30.0
"""Seconds after which a parked browser is given up."""

GROUP_LIMIT = 1000
"""The most changes that one transaction takes along."""

_SCHEMA = """
CREATE TABLE challenge(id TEXT PRIMARY KEY, user TEXT, nonce TEXT, expires_at REAL, state INTEGER) WITHOUT ROWID;
CREATE TABLE audit(id INTEGER PRIMARY KEY, at REAL, user TEXT, data TEXT);
"""
_BEGIN = "INSERT INTO challenge VALUES (?, ?, ?, ?, 0)"
_DECIDE = "UPDATE challenge SET state = 1 WHERE id = ? AND state = 0"
_AUDIT = "INSERT INTO audit(at, user, data) VALUES (?, ?, ?)"

_encode = msgspec.json.Encoder().encode


class Begin(msgspec.Struct):
    """What the browser posts."""

    user: str


class Begun(msgspec.Struct):
    """What it is told."""

    id: str
    expires_at: float


class Outcome(msgspec.Struct):
    """What its long-poll brings."""

    status: str


class Prompt(msgspec.Struct, tag_field="type", tag="challenge"):
    """What the phone is asked."""

    id: str
    nonce: str
    expires_at: float
    application: str


class Ready(msgspec.Struct, tag_field="type", tag="ready"):
    """The phone's key is known."""


class Acknowledged(msgspec.Struct, tag_field="type", tag="ack"):
    """The phone's answer is committed."""

    id: str


class Answer(msgspec.Struct):
    """The claims that the phone signs."""

    challenge_id: str
    nonce: str
    verdict: str
    exp: int


Statement = tuple[str, Sequence[str | float]]


class Writer(threading.Thread):
    """The one writer of the database: whatever has queued up becomes one durable transaction."""

    def __init__(self, database: Path, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="writer", daemon=True)
        self._database = database
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[Sequence[Statement], asyncio.Future[None]]] = queue.SimpleQueue()

    async def write(self, *statements: Statement) -> None:
        """Return once these statements are on disk."""
        committed = self._loop.create_future()
        self._queue.put((statements, committed))
        await committed

    def run(self) -> None:
        """Commit group after group, for as long as the process lives."""
        connection = sqlite3.connect(self._database, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
        while True:
            group = [self._queue.get()]
            while len(group) < GROUP_LIMIT and not self._queue.empty():
                group.append(self._queue.get_nowait())  # nobody else takes from this queue
            connection.execute("BEGIN IMMEDIATE")
            for statements, _ in group:
                for sql, values in statements:
                    connection.execute(sql, values)
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_tell, [committed for _, committed in group])


def _tell(committed: Sequence[asyncio.Future[None]]) -> None:
    for future in committed:
        if not future.done():
            future.set_result(None)


@dataclass(slots=True)
class Challenge:
    """One question, its answer once there is one, and the browser that waits for it."""

    user: str
    nonce: str
    expires_at: float
    decided: asyncio.Future[str]


@dataclass(slots=True)
class Prototype:
    """The whole server: connected phones, open challenges, and the writer."""

    writer: Writer
    phones: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    challenges: dict[str, Challenge] = field(default_factory=dict)

    async def begin(self, request: web.Request) -> web.Response:
        """`POST /sign-ins`: commit a challenge, prompt the phone, tell the browser where to wait."""
        user = msgspec.json.decode(await request.read(), type=Begin).user
        challenge_id = secrets.token_urlsafe(16)
        decided = asyncio.get_running_loop().create_future()
        challenge = Challenge(user, secrets.token_urlsafe(16), time.time() + LIFETIME, decided)
        self.challenges[challenge_id] = challenge
        await self.writer.write((_BEGIN, (challenge_id, user, challenge.nonce, challenge.expires_at)))
        prompt = Prompt(challenge_id, challenge.nonce, challenge.expires_at, "example.org")
        await self.phones[user].send_bytes(_encode(prompt))
        return _json(Begun(challenge_id, challenge.expires_at))

    async def wait(self, request: web.Request) -> web.Response:
        """`GET /sign-ins/{id}`: park until the phone has answered."""
        challenge_id = request.match_info["id"]
        async with asyncio.timeout(LONGEST_WAIT):
            status = await self.challenges[challenge_id].decided
        del self.challenges[challenge_id]
        return _json(Outcome(status))

    async def phone(self, request: web.Request) -> web.WebSocketResponse:
        """`GET /phone?user=…`: the first frame is the phone's public key (DER), every later one a signed answer."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        user = request.query["user"]
        key = load_der_public_key(await socket.receive_bytes())
        if not isinstance(key, EllipticCurvePublicKey):
            raise web.HTTPBadRequest
        self.phones[user] = socket
        await socket.send_bytes(_encode(Ready()))
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await self._answered(user, key, message.data, socket)
        return socket

    async def _answered(
        self, user: str, key: EllipticCurvePublicKey, token: bytes, socket: web.WebSocketResponse
    ) -> None:
        claims = jwt.decode(token, key, algorithms=["ES256"], options={"require": ["exp"]})
        answer = msgspec.convert(claims, Answer)
        challenge = self.challenges[answer.challenge_id]
        right = challenge.user == user and hmac.compare_digest(challenge.nonce, answer.nonce)
        if not right or challenge.decided.done() or challenge.expires_at < time.time():
            raise ValueError("an answer to nothing that was asked")
        await self.writer.write(
            (_DECIDE, (answer.challenge_id,)),
            (_AUDIT, (time.time(), user, token[-200:].decode())),
        )
        challenge.decided.set_result(answer.verdict)
        await socket.send_bytes(_encode(Acknowledged(answer.challenge_id)))


def _json(body: msgspec.Struct) -> web.Response:
    return web.Response(body=_encode(body), content_type="application/json")


async def serve(port: int, database: Path) -> None:
    """Serve on the loopback until the process is ended; one line on stdout tells that it is ready."""
    writer = Writer(database, asyncio.get_running_loop())
    writer.start()
    prototype = Prototype(writer)
    application = web.Application()
    application.add_routes(
        [
            web.post("/sign-ins", prototype.begin),
            web.get("/sign-ins/{id}", prototype.wait),
            web.get("/phone", prototype.phone),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    print(f"http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
