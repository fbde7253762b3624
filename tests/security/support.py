"""What an attacker's test needs: a person with a phone, any request and any frame, and the rows before and after.

`Scene` is one person at a running server, seen from all sides. `dump` shows that a refusal changed nothing: it reads
the rows themselves, and leaves out only what every request moves (counters by address, spent proofs, the record of what
happened, and the version by which decisions are swapped).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from mobile_stub.keys import Signer, compact
from mobile_stub.phone import Phone
from mobile_stub.proofs import AnswerClaims, Decision, proof_claims, sign_proof
from mobile_stub.surroundings import Reach, Setup
from mobile_stub.wire import Challenge, Outcome
from push_service.model.user import User
from tests.support.browser import Browser, Json, Reply, SignIn
from tests.support.people import Office

PATIENCE = 30.0  # seconds within which anything that is waited for has to come
POLLING = Setup(reach=Reach.POLL)
SOCKET = "/v1/device/socket"
NOT_AUTHENTICATED = 4401
REPLACED = 4409
TOO_MANY_MESSAGES = 4429

_LOOSE = {"users": "version"}
_ROWS = {
    "users": "id",
    "sign_ins": "user_id",
    "challenges": "user_id",
    "devices": "user_id",
    "activations": "user_id",
}

Rows = dict[str, list[tuple[object, ...]]]
MakeForgeries = Callable[[Phone, Challenge, str], dict[str, str]]


@dataclass(frozen=True)
class Record:
    """One audit record."""

    kind: str
    actor: str
    code: str | None
    source: str | None
    sign_in_id: str | None
    data: Json


class Scene:
    """One person with one phone that polls, and the browser of an application that vouches for them."""

    def __init__(self, desk: Office, user: User, phone: Phone, browser: Browser) -> None:
        self.desk, self.user, self.phone, self.browser = desk, user, phone, browser

    async def ask(self, phone: Phone | None = None) -> tuple[SignIn, Challenge]:
        """Begin a sign-in, and fetch its challenge as the phone does."""
        sign_in = await self.browser.begin(self.user.username)
        listed = await (phone or self.phone).poll()
        wanted = sign_in.body["challenge"]["id"]
        return sign_in, next(each for each in listed.challenges if each.id == wanted)

    async def call(
        self,
        method: str,
        path: str,
        *,
        proof: str | None = None,
        body: Mapping[str, object] | None = None,
        phone: Phone | None = None,
    ) -> Reply:
        """Any request, under this proof or else a good one."""
        proof = (phone or self.phone).api.proof(method, path) if proof is None else proof
        return await self.browser.request(method, path, headers={"Authorization": f"Proof {proof}"}, json=body)

    async def post(self, challenge_id: str, answer: object, *, phone: Phone | None = None) -> Reply:
        """Hand in any answer for that challenge, by HTTP, under a good proof."""
        return await self.call("POST", answer_path(challenge_id), body={"answer": answer}, phone=phone)

    async def withdraw(self, *sign_ins: SignIn) -> None:
        """Make room for others."""
        for each in sign_ins:
            assert (await each.cancel()).status == 200

    def dump(self, *others: User) -> Rows:
        """The rows of this person, and of others."""
        return dump(self.desk, self.user, *others)

    def audit(self) -> list[Record]:
        """Everything recorded of this person, oldest first."""
        return audit(self.desk, self.user)


@asynccontextmanager
async def scene(desk: Office, *, setup: Setup = POLLING, skew: float = 0.0) -> AsyncIterator[Scene]:
    """Put a new person with a phone on the stage."""
    user = await desk.person(password=None)
    async with await desk.phone(user, setup=setup, clock_skew=skew) as phone, desk.browser() as browser:
        yield Scene(desk, user, phone, browser)


def dump(desk: Office, *users: User) -> Rows:
    """The rows of these people as they are in the file now."""
    found: Rows = {}
    with closing(_reader(desk)) as connection:
        for table, column in _ROWS.items():
            marks = ", ".join("?" * len(users))
            cursor = connection.execute(
                f"SELECT * FROM {table} WHERE {column} IN ({marks}) ORDER BY 1",  # noqa: S608 - names from above
                [user.id for user in users],
            )
            names = [each[0] for each in cursor.description]
            loose = names.index(_LOOSE[table]) if table in _LOOSE else None
            found[table] = [tuple(each for n, each in enumerate(row) if n != loose) for row in cursor]
    return found


def audit(desk: Office, user: User) -> list[Record]:
    """Everything recorded of a person, oldest first."""
    sql = "SELECT kind, actor, code, source, sign_in_id, data FROM audit WHERE user_id = ? ORDER BY seq"
    with closing(_reader(desk)) as connection:
        return [
            Record(kind, actor, code, source, sign_in_id, json.loads(data))
            for kind, actor, code, source, sign_in_id, data in connection.execute(sql, (user.id,))
        ]


def whole_file(desk: Office, table: str) -> str:
    """All rows of a table as one text, to search for what must not be there."""
    with closing(_reader(desk)) as connection:
        return "\n".join(repr(row) for row in connection.execute(f"SELECT * FROM {table}"))  # noqa: S608 - the test's


def _reader(desk: Office) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{desk.core.settings.database_file}?mode=ro", uri=True)


def answer_path(challenge_id: str) -> str:
    """Where an answer to that challenge goes."""
    return f"/v1/device/challenges/{challenge_id}/answer"


def wrong_number(number: str) -> str:
    """A well-formed number that the browser doesn't show."""
    return str((int(number) + 1) % 10 ** len(number)).zfill(len(number))


def plain(value: msgspec.Struct) -> Json:
    """Typed claims as members that can be altered."""
    built: Json = msgspec.json.decode(msgspec.json.encode(value))
    return built


def claims(phone: Phone, challenge: Challenge, number: str | None = None, decision: Decision = Decision.VERIFY) -> Json:
    """What an honest answer says, to be altered."""
    made: AnswerClaims = phone.claims(challenge, decision, number)
    return plain(made)


def header(phone: Phone, **more: object) -> Json:
    """An honest answer's header, to be altered; None takes a member out."""
    whole = {"alg": "ES256", "typ": "device-answer+jwt", "kid": phone.device_id} | more
    return {name: value for name, value in whole.items() if value is not None}


def jws(head: object, payload: object, signer: Signer) -> str:
    """A compact JWS over these members, or over these very bytes."""
    return compact(_bytes(head), _bytes(payload), signer)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def proof(phone: Phone, method: str, path: str, **changed: object) -> str:
    """A proof with some claims altered; None takes a claim out."""
    honest = plain(proof_claims(method, phone.identity.issuer + path, phone.clock.now()))
    whole = {name: value for name, value in (honest | changed).items() if value is not None}
    return jws({"alg": "ES256", "typ": "device-proof+jwt", "kid": phone.device_id}, whole, phone.key)


class RawSocket:
    """A device's WebSocket, frame by frame."""

    def __init__(self, wire: aiohttp.ClientWebSocketResponse) -> None:
        self.wire = wire

    async def frame(self) -> Json:
        """The next frame; it must be one."""
        async with asyncio.timeout(PATIENCE):
            found: Json = await self.wire.receive_json()
            return found

    async def until(self, kind: str) -> Json:
        """The next frame of that type."""
        while (found := await self.frame())["type"] != kind:
            pass
        return found

    async def send(self, **frame: object) -> None:
        """Send a frame."""
        await self.wire.send_json(frame)

    async def authenticate(self, phone: Phone, *, nonce: str | None = None) -> None:
        """Answer the hello as an honest phone, or with another nonce."""
        hello = await self.frame()
        assert hello["type"] == "hello"
        await self.send(type="authenticate", proof=phone.api.proof("GET", SOCKET, nonce=nonce or hello["nonce"]))

    async def close_code(self) -> tuple[int | None, list[Json]]:
        """Read until the server closes: its code (None where it just hung up), and the frames that still came."""
        frames: list[Json] = []
        async with asyncio.timeout(PATIENCE):
            while (message := await self.wire.receive()).type is aiohttp.WSMsgType.TEXT:
                frames.append(json.loads(message.data))
        return (message.data if message.type is aiohttp.WSMsgType.CLOSE else None), frames


@asynccontextmanager
async def raw_socket(session: aiohttp.ClientSession, **more: Any) -> AsyncIterator[RawSocket]:  # noqa: ANN401 - aiohttp's
    """A socket that has said nothing yet."""
    # Closed by hand: aiohttp's client forgets the server's code where its own farewell comes too late.
    async with session.ws_connect(SOCKET, autoclose=False, **more) as wire:
        yield RawSocket(wire)


@asynccontextmanager
async def ready_socket(session: aiohttp.ClientSession, phone: Phone) -> AsyncIterator[RawSocket]:
    """A socket of this phone that is ready."""
    async with raw_socket(session) as opened:
        await opened.authenticate(phone)
        assert (await opened.frame())["type"] == "ready"
        yield opened


def activation_proof(phone_key: Signer, issuer: str, code: str, now: float, **head: object) -> str:
    """A proof by which a key redeems an activation code."""
    made = proof_claims("POST", issuer + "/v1/devices", now, activation_code=code)
    if not head:
        return sign_proof(made, phone_key)
    return jws({"alg": "ES256", "typ": "device-proof+jwt"} | head, plain(made), phone_key)


async def refused_all(stage: Scene, forge: MakeForgeries) -> None:
    """Each forged answer is refused by HTTP and by socket, and changes nothing; the honest one then still goes."""
    sign_in, challenge = await stage.ask()
    before, recorded = stage.dump(), len(stage.audit())
    forgeries = forge(stage.phone, challenge, sign_in.number)
    by_http = 0
    async with ready_socket(stage.browser.session, stage.phone) as socket:
        for name, token in forgeries.items():
            reply = await stage.post(challenge.id, token)
            assert (reply.status, reply.code) in {(400, "invalid_answer"), (400, "invalid_request")}, (name, reply)
            by_http += reply.code == "invalid_answer"
            assert stage.dump() == before, name
        sent = dict(itertools.islice(forgeries.items(), 20))
        for name, token in sent.items():
            await socket.send(type="answer", ref=name, answer=token)
            error = await socket.until("error")
            assert error["code"] in {"invalid_answer", "invalid_request"}, (name, error)
    assert stage.dump() == before
    records = stage.audit()[recorded:]
    assert len(records) >= by_http
    assert {(each.kind, each.code, each.source) for each in records} <= {
        ("answer.refused", "invalid_answer", stage.phone.device_id),
        ("answer.refused", "unknown_challenge", stage.phone.device_id),
    }
    assert (await sign_in.look())["state"] == "pending"
    assert await stage.phone.answer_by_http(challenge, Decision.VERIFY, sign_in.number) is Outcome.COMPLETED
