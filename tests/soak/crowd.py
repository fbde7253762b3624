"""Thousands of phones in one process: bare sockets, one key each, back with full jitter when the server goes.

A stub phone is a pleasant thing and costs a millisecond for everything it does; here only what the device protocol asks
of a phone is done. Used by the stories of herds, drains and leaks.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import secrets
import time
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bench.signing import Header, Jwk, Signer, base64url, jwk
from bench.wire import Address, WebSocketConnection
from push_service.model.user import UserState
from tests.soak.browsers import Begun, Caller
from tests.support.people import Office

SOCKET = "/v1/device/socket"
AT_ONCE = 32
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0
RESTART_SPREAD_SECONDS = 1.0
RESTARTING = 1012
_CLOSE_CODE = re.compile(r"close code (\d+)")


class Proof(msgspec.Struct, omit_defaults=True):
    """What a proof claims."""

    htm: str
    htu: str
    iat: int
    jti: str
    ach: str = ""
    nonce: str = ""


class Answer(msgspec.Struct, omit_defaults=True):
    """What an answer claims."""

    challenge_id: str
    nonce: str
    decision: str
    ctx: str
    iat: int
    number: str = ""


class Activate(msgspec.Struct):
    """The body by which a phone is bound."""

    activation_code: str
    jwk: Jwk
    name: str
    platform: str
    proof: str


@dataclass(frozen=True)
class Owner:
    """Somebody with a phone: the name to sign in by, and the phone's id and key."""

    username: str
    device_id: str
    key: ec.EllipticCurvePrivateKey


def proof(key: ec.EllipticCurvePrivateKey, kid: str, url: str, *, method: str = "GET", **claims: str) -> str:
    """A proof for one request to `url`."""
    fresh = Proof(method, url, int(time.time()), secrets.token_urlsafe(16), **claims)
    return Signer(key, Header("device-proof+jwt", kid)).sign(fresh).decode()


def activation(code: str, key: ec.EllipticCurvePrivateKey, url: str) -> Activate:
    """The body that binds this key with this code; `url` is the service's."""
    ach = base64url(hashlib.sha256(code.encode()).digest()).decode()
    signed = proof(key, "", f"{url}/v1/devices", method="POST", ach=ach)
    return Activate(code, jwk(key), "Light phone", "bench", signed)


async def enrol(desk: Office, address: Address, count: int) -> list[Owner]:
    """That many people, each with a phone, made beside the running server; nobody has a password."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one() -> Owner:
        async with turns:
            user = await desk.person(password=None, state=UserState.ENFORCED)
            code = (await desk.core.registrar.issue_activation(user.id)).code
            key = ec.generate_private_key(ec.SECP256R1())
            caller = Caller(address)
            answer = await caller.send("POST", "/v1/devices", {}, activation(code, key, desk.service.url))
            caller.close()
            assert answer.status == 201, answer
            return Owner(user.username, json.loads(answer.body)["device_id"], key)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(count)]
    return [task.result() for task in tasks]


class LightPhone:
    """One phone on the socket. `prompts` holds what is asked, `outcomes` what came of answers, by challenge.

    `states` says where a too late answer found the sign-in.
    """

    def __init__(self, address: Address, url: str, owner: Owner, dice: random.Random) -> None:
        self.owner = owner
        self.ready = asyncio.Event()
        self.lost = asyncio.Event()
        self.prompts: dict[str, dict[str, str]] = {}
        self.outcomes: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.closed_by = 0
        self.ready_at = 0.0
        self.lost_at = 0.0
        self.tries = 0
        self._address, self._url, self._dice = address, url, dice
        self._changed = asyncio.Event()
        self._socket = WebSocketConnection(self._heard, self._over)

    async def connect(self) -> None:
        """Open the socket once, and wait until it is ready. OSError where that failed."""
        self.ready.clear()
        self.lost.clear()
        self.tries += 1
        self._socket = WebSocketConnection(self._heard, self._over)
        await self._socket.open(self._address, SOCKET)
        waiters = [asyncio.ensure_future(self.ready.wait()), asyncio.ensure_future(self.lost.wait())]
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        for each in waiters:
            each.cancel()
        if not self.ready.is_set():
            raise ConnectionError("the socket was lost before it was ready")

    async def stay(self) -> None:
        """Come back whenever the socket is lost, each time after a wait of full jitter; until cancelled."""
        failures = 0
        while True:
            try:
                if not self.ready.is_set():
                    await self.connect()
                failures = 0
                await self.lost.wait()
                bound = RESTART_SPREAD_SECONDS if self.closed_by == RESTARTING else FIRST_WAIT_SECONDS
            except OSError:
                failures += 1
                bound = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0**failures)
            self.ready.clear()
            await asyncio.sleep(self._dice.uniform(0.0, bound))

    async def prompted(self, challenge_id: str) -> None:
        """Wait until this challenge is on the screen."""
        while challenge_id not in self.prompts:
            self._changed.clear()
            await self._changed.wait()

    async def told(self, challenge_id: str) -> str:
        """Wait until an answer's outcome, or what was wrong with it, has come."""
        while challenge_id not in self.outcomes:
            self._changed.clear()
            await self._changed.wait()
        return self.outcomes[challenge_id]

    def answer(self, begun: Begun, decision: str = "verify", number: str = "") -> None:
        """Send an answer; `verify` with the browser's number unless another is given."""
        self.give(begun.challenge, self.sign(begun, decision, number))

    def sign(self, begun: Begun, decision: str = "verify", number: str = "") -> str:
        """An answer, to be given as often as it takes."""
        asked = self.prompts[begun.challenge]
        claims = Answer(
            challenge_id=begun.challenge,
            nonce=asked["nonce"],
            decision=decision,
            ctx=base64url(hashlib.sha256(asked["context"].encode()).digest()).decode(),
            iat=int(time.time()),
            number=(number or begun.number) if decision == "verify" else "",
        )
        return Signer(self.owner.key, Header("device-answer+jwt", self.owner.device_id)).sign(claims).decode()

    def give(self, challenge_id: str, signed: str) -> None:
        """Send a signed answer."""
        self._send({"type": "answer", "ref": challenge_id, "answer": signed})

    def close(self) -> None:
        """Drop the socket."""
        self._socket.close()

    def _heard(self, payload: bytes) -> None:
        frame = json.loads(payload)
        match frame["type"]:
            case "hello":
                signed = proof(self.owner.key, self.owner.device_id, self._url + SOCKET, nonce=frame["nonce"])
                self._send({"type": "authenticate", "proof": signed})
            case "ready":
                self.ready_at = time.monotonic()
                self.ready.set()
            case "challenge":
                self.prompts[frame["challenge"]["id"]] = frame["challenge"]
                self._send({"type": "received", "challenge_id": frame["challenge"]["id"]})
            case "outcome":
                self.outcomes[frame["challenge_id"]] = frame["outcome"]
                self.states[frame["challenge_id"]] = frame.get("state", "")
            case "error":
                self.outcomes[frame["ref"]] = frame["code"]
            case "withdrawn":
                self.prompts.pop(frame["challenge_id"], None)
            case _:
                pass  # a frame that this phone doesn't know yet
        self._changed.set()

    def _send(self, frame: dict[str, str]) -> None:
        self._socket.send_text(msgspec.json.encode(frame))

    def _over(self, why: str) -> None:
        code = _CLOSE_CODE.search(why)
        self.closed_by = int(code[1]) if code else 0
        self.lost_at = time.monotonic()
        self.lost.set()
