"""A service small enough to be read at a glance, which keeps the stub honest: the device protocol, nothing behind it.

It is written from the protocol with another JOSE library than the stub's, checks every proof and answer as strictly as
the protocol says, and does what the real one does only under odd circumstances whenever a test asks for it: restart,
fall silent, rotate keys, sign one thing and show another.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
FAR_AWAY = 120.0


def digest(text: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


class Refusal(Exception):
    def __init__(self, status: int, code: str, **more: object) -> None:
        super().__init__(code)
        self.status, self.code, self.more = status, code, more


@dataclass
class Device:
    key: ECKey
    body: dict[str, Any]
    code: str
    sockets: list[web.WebSocketResponse] = field(default_factory=list)


@dataclass
class Challenge:
    shown: dict[str, Any]
    number: str | None
    state: str = "pending"
    first: tuple[object, ...] | None = None
    outcome: str | None = None


class Happenings:
    """What the service has seen, in order; a test waits for what it expects next."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self._changed = asyncio.Condition()

    async def note(self, kind: str, what: str = "") -> None:
        async with self._changed:
            self.log.append((kind, what))
            self._changed.notify_all()

    async def wait_for(self, kind: str, times: int = 1, within: float = 20.0) -> list[str]:
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: len(self.all(kind)) >= times)
            return self.all(kind)

    def all(self, kind: str) -> list[str]:
        return [what for each, what in self.log if each == kind]


class FakeService:
    """State and controls. `ahead` sets its clock; with a `heartbeat` of 0.0 it promises pings and sends none."""

    def __init__(self) -> None:
        self.url = ""
        self.ahead = 0.0
        self.heartbeat = 5.0
        self.version = 1
        self.codes: set[str] = set()
        self.devices: dict[str, Device] = {}
        self.challenges: dict[str, Challenge] = {}
        self.keys: list[ECKey] = []
        self.seen: set[str] = set()
        self.happenings = Happenings()
        self.tamper: Callable[[dict[str, Any]], None] = lambda _: None
        self.lose_next: set[str] = set()
        self.full_house = 0
        self._changed = asyncio.Condition()
        self.rotate_keys()

    # --- controls -----------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return time.time() + self.ahead

    def activation_uri(self) -> str:
        code = secrets.token_urlsafe(16)
        self.codes.add(code)
        return f"{self.url}/activate#code={code}"

    def rotate_keys(self) -> None:
        self.keys.append(ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "alg": "ES256", "use": "sig"}))

    async def ask(self, number: str | None = "42", *, seconds: float = FAR_AWAY, **shown: object) -> str:
        """Ask everyone; the id of the challenge."""
        now = self.now()
        asked: dict[str, Any] = {
            "id": f"ch_{secrets.token_urlsafe(16)}",
            "nonce": secrets.token_urlsafe(16),
            "username": "alice",
            "application": "Contoso Mail",
            "ip": "198.51.100.7",
            "location": "Utrecht, Netherlands",
            "browser": "Firefox on Linux",
            "requested_at": stamp(now),
            "expires_at": stamp(now + seconds),
            "confirm": "tap" if number is None else "number",
            "digits": None if number is None else len(number),
            **shown,
        }
        header = {"alg": "ES256", "typ": "sign-in-context+jwt", "kid": self.keys[-1].kid}
        asked["context"] = jws.serialize_compact(header, json.dumps(asked), self.keys[-1])
        self.tamper(asked)
        self.challenges[asked["id"]] = Challenge(asked, number)
        await self._bump()
        await self._tell_all({"type": "challenge", "challenge": asked})
        return str(asked["id"])

    async def withdraw(self, challenge_id: str, reason: str = "cancelled") -> None:
        self.challenges[challenge_id].state = "withdrawn"
        await self._bump()
        await self._tell_all({"type": "withdrawn", "challenge_id": challenge_id, "reason": reason})

    async def hang_up(self, code: int) -> None:
        for device in self.devices.values():
            for socket in list(device.sockets):
                await socket.close(code=code)

    # --- rules --------------------------------------------------------------------------------------------------------

    def check_proof(self, token: str, key: ECKey, method: str, path: str) -> dict[str, Any]:
        try:
            proof = jws.deserialize_compact(token, key, algorithms=["ES256"])
            claims: dict[str, Any] = json.loads(proof.payload)
            right = (
                proof.headers().get("typ") == "device-proof+jwt"
                and claims["htm"] == method
                and claims["htu"] == self.url + path
                and abs(claims["iat"] - self.now()) <= 60
                and claims["jti"] not in self.seen
            )
        except (JoseError, ValueError, KeyError) as error:
            raise Refusal(401, "invalid_proof", server_time=stamp(self.now())) from error
        if not right:
            raise Refusal(401, "invalid_proof", server_time=stamp(self.now()))
        self.seen.add(claims["jti"])
        return claims

    def device_of(self, token: str, method: str, path: str, nonce: str | None = None) -> str:
        try:
            device_id = str(jws.extract_compact(token.encode()).headers().get("kid"))
        except JoseError as error:
            raise Refusal(401, "invalid_proof", server_time=stamp(self.now())) from error
        if device_id not in self.devices:
            raise Refusal(401, "unknown_device")
        if self.check_proof(token, self.devices[device_id].key, method, path).get("nonce") != nonce:
            raise Refusal(401, "invalid_proof", server_time=stamp(self.now()))
        return device_id

    async def decide(self, device_id: str, token: str, addressed: str | None = None) -> tuple[str, str]:
        """The challenge and the outcome of an answer."""
        try:
            answer = jws.deserialize_compact(token, self.devices[device_id].key, algorithms=["ES256"])
            claims = json.loads(answer.payload)
            challenge_id, decision = claims["challenge_id"], claims["decision"]
        except (JoseError, ValueError, KeyError) as error:
            raise Refusal(400, "invalid_answer") from error
        if challenge_id not in self.challenges:
            raise Refusal(404, "unknown_challenge")
        challenge = self.challenges[challenge_id]
        header, shown = answer.headers(), challenge.shown
        right = (
            header.get("typ") == "device-answer+jwt"
            and header.get("kid") == device_id
            and addressed in {None, challenge_id}
            and claims["nonce"] == shown["nonce"]
            and claims["ctx"] == digest(shown["context"])
            and claims["iat"] <= self.now() + 60
            and decision in {"verify", "deny", "report_fraud"}
        )
        typed = claims.get("number")
        if decision == "verify" and challenge.number is not None:
            right = right and isinstance(typed, str) and typed.isdecimal() and len(typed) == len(challenge.number)
        if not right:
            raise Refusal(400, "invalid_answer")
        same = (device_id, decision, typed)
        if challenge.state != "pending" or self.now() > datetime.fromisoformat(shown["expires_at"]).timestamp():
            return challenge_id, challenge.outcome if same == challenge.first and challenge.outcome else "too_late"
        challenge.outcome = {"deny": "denied", "report_fraud": "fraud_reported"}.get(
            decision, "completed" if typed == challenge.number else "wrong_number"
        )
        challenge.state, challenge.first = "answered", same
        await self._bump()
        frame = {"type": "withdrawn", "challenge_id": challenge_id, "reason": "answered_elsewhere"}
        await self._tell_all(frame, but=device_id)
        return challenge_id, challenge.outcome

    def pending(self) -> list[dict[str, Any]]:
        return [each.shown for each in self.challenges.values() if each.state == "pending"]

    async def _bump(self) -> None:
        async with self._changed:
            self.version += 1
            self._changed.notify_all()

    async def _tell_all(self, frame: dict[str, Any], but: str | None = None) -> None:
        for device_id, device in self.devices.items():
            if device_id != but:
                for socket in list(device.sockets):
                    await socket.send_json(frame)

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    async def post_device(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        code = body["activation_code"]
        key = ECKey.import_key(body["jwk"])
        claims = self.check_proof(body["proof"], key, "POST", "/v1/devices")
        if claims.get("ach") != digest(code):
            raise Refusal(401, "invalid_proof", server_time=stamp(self.now()))
        known = next((each for each, device in self.devices.items() if device.code == code), None)
        if known is None:
            if code not in self.codes:
                raise Refusal(400, "invalid_activation_code")
            self.codes.discard(code)
            known = f"dev_{secrets.token_urlsafe(16)}"
            self.devices[known] = Device(key, {"name": body["name"], "platform": body["platform"]}, code)
        elif self.devices[known].key.thumbprint() != key.thumbprint():
            raise Refusal(400, "invalid_activation_code")
        await self.happenings.note("activation", known)
        if "activation" in self.lose_next:
            self.lose_next.discard("activation")
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(
            {
                "device_id": known,
                "user": {"id": "usr_1", "username": "alice"},
                "issuer": self.url,
                "jwks": {"keys": [self.keys[-1].as_dict(private=False)]},
                "totp": {"secret": SECRET, "algorithm": "SHA1", "digits": 6, "period": 30},
                "something_newer": True,
            },
            status=201,
        )

    async def get_challenges(self, request: web.Request) -> web.StreamResponse:
        self._by_proof(request)
        if request.query.get("after") == str(self.version):
            async with self._changed:
                seen = self.version
                try:
                    async with asyncio.timeout(float(request.query.get("wait", "0"))):
                        await self._changed.wait_for(lambda: self.version != seen)
                except TimeoutError:
                    pass
        return web.json_response(
            {"challenges": self.pending(), "version": self.version, "server_time": stamp(self.now())}
        )

    async def post_answer(self, request: web.Request) -> web.StreamResponse:
        device_id = self._by_proof(request)
        _, outcome = await self.decide(device_id, (await request.json())["answer"], request.match_info["id"])
        if outcome == "wrong_number":
            raise Refusal(403, outcome)
        if outcome == "too_late":
            raise Refusal(409, outcome, state="approved", reported=False)
        return web.json_response({"outcome": outcome})

    async def device(self, request: web.Request) -> web.StreamResponse:
        device_id = self._by_proof(request)
        if request.method == "PATCH":
            self.devices[device_id].body |= await request.json()
        if request.method == "DELETE":
            for socket in list(self.devices.pop(device_id).sockets):
                await socket.close(code=4401)
            return web.Response(status=204)
        return web.json_response({"device_id": device_id, **self.devices[device_id].body})

    async def get_jwks(self, _: web.Request) -> web.StreamResponse:
        await self.happenings.note("jwks")
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})

    def _by_proof(self, request: web.Request) -> str:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Proof":
            raise Refusal(401, "invalid_proof", server_time=stamp(self.now()))
        return self.device_of(token, request.method, request.path)

    # --- socket -------------------------------------------------------------------------------------------------------

    async def socket(self, request: web.Request) -> web.StreamResponse:
        if self.full_house:
            self.full_house -= 1
            await self.happenings.note("turned away")
            return web.json_response({"code": "unavailable"}, status=503, headers={"Retry-After": "0"})
        socket = web.WebSocketResponse(compress=False, heartbeat=self.heartbeat or None)
        await socket.prepare(request)
        nonce = secrets.token_urlsafe(16)
        await socket.send_json({"type": "hello", "nonce": nonce, "protocol": 1})
        try:
            token = (await socket.receive_json())["proof"]
            device_id = self.device_of(token, "GET", "/v1/device/socket", nonce)
        except (Refusal, TypeError) as refusal:
            await self.happenings.note("refused", str(refusal))
            await socket.close(code=4401)
            return socket
        device = self.devices[device_id]
        for older in list(device.sockets):
            await older.close(code=4409)
        device.sockets.append(socket)
        try:
            promised = self.heartbeat or 0.2
            ready = {"type": "ready", "device_id": device_id, "heartbeat": promised, "server_time": stamp(self.now())}
            await socket.send_json(ready)
            await self.happenings.note("ready", device_id)
            await socket.send_json({"type": "weather", "sunny": True})
            for shown in self.pending():
                await socket.send_json({"type": "challenge", "challenge": shown})
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._frame(device_id, socket, json.loads(message.data))
        finally:
            if socket in device.sockets:
                device.sockets.remove(socket)
        return socket

    async def _frame(self, device_id: str, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame["type"] == "received":
            await self.happenings.note("received", frame["challenge_id"])
            return
        try:
            challenge_id, outcome = await self.decide(device_id, frame["answer"])
            reply = {"type": "outcome", "ref": frame["ref"], "challenge_id": challenge_id, "outcome": outcome}
        except Refusal as refusal:
            reply = {"type": "error", "ref": frame["ref"], "code": refusal.code}
        await self.happenings.note("answer", frame["answer"])
        if "outcome" in self.lose_next:
            self.lose_next.discard("outcome")
            await socket.close(code=1012)
            return
        await socket.send_json(reply)


@web.middleware
async def problems(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except Refusal as refusal:
        return web.json_response(
            {"status": refusal.status, "code": refusal.code, **refusal.more},
            status=refusal.status,
            content_type="application/problem+json",
        )
    return answer


@asynccontextmanager
async def fake_service() -> AsyncIterator[FakeService]:
    """The service on a free loopback port."""
    service = FakeService()
    app = web.Application(middlewares=[problems])
    app.router.add_post("/v1/devices", service.post_device)
    app.router.add_get("/v1/device/challenges", service.get_challenges)
    app.router.add_post("/v1/device/challenges/{id}/answer", service.post_answer)
    app.router.add_get("/v1/device/socket", service.socket)
    app.router.add_get("/.well-known/jwks.json", service.get_jwks)
    for method in ("GET", "PATCH", "DELETE"):
        app.router.add_route(method, "/v1/device", service.device)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await service.hang_up(1012)
        await runner.cleanup()
