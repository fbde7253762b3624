"""A client by somebody who has only read the interface: a phone, and the checks of an application.

It shares nothing with the service or its stub world: the key is made and used by `joserfc`, which neither of them uses,
and the socket is aiohttp's client. Whatever it needs to know stands in the published interface; if this file has to
change for a change of the service, then so has the contract. `test_stranger.py` is its caller.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urldefrag

import aiohttp
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet

Json = dict[str, Any]

ALGORITHM = "ES256"
PATIENCE = 20.0  # seconds within which anything that is waited for has to come


class Refused(Exception):
    """The service answered with a problem (RFC 9457)."""

    def __init__(self, status: int, problem: Json) -> None:
        super().__init__(f"{status} {problem}")
        self.status, self.problem = status, problem
        self.code: str = problem["code"]


def b64url_sha256(text: str) -> str:
    """Base64url, without padding, of the SHA-256 of a text: the form of `ach` and `ctx`."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def split_activation_uri(uri: str) -> tuple[str, str]:
    """PUBLIC_URL and the code of `PUBLIC_URL/activate#code=…`."""
    address, fragment = urldefrag(uri)
    base, tail = address[: -len("/activate")], address[-len("/activate") :]
    assert tail == "/activate", uri
    return base, parse_qs(fragment)["code"][0]


async def call(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    json: Mapping[str, object] | None = None,
) -> Json:
    """One request; a 2xx answer's JSON, else `Refused`."""
    async with http.request(method, url, headers=headers, json=json) as response:
        body: Json = await response.json(content_type=None)
        if response.status >= 300:
            assert response.content_type == "application/problem+json", (response.status, body)
            raise Refused(response.status, body)
        return body


@dataclass
class Phone:
    """A phone: one key, one device id, and what it signs."""

    http: aiohttp.ClientSession
    url: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    device_id: str = ""
    totp: Json = field(default_factory=dict)

    async def activate(self, code: str) -> Json:
        """Redeem an activation code for a device id."""
        claims = self._claims("POST", "/v1/devices") | {"ach": b64url_sha256(code)}
        proof = jwt.encode({"alg": ALGORITHM, "typ": "device-proof+jwt"}, claims, self.key, algorithms=[ALGORITHM])
        body = {
            "activation_code": code,
            "jwk": self.key.as_dict(private=False),
            "name": "A stranger's phone",
            "platform": "other",
            "proof": proof,
        }
        answer = await call(self.http, "POST", f"{self.url}/v1/devices", json=body)
        self.device_id, self.totp = answer["device_id"], answer["totp"]
        return answer

    def proof(self, method: str, path: str, **more: str) -> str:
        """A proof of possession for one request."""
        header = {"alg": ALGORITHM, "typ": "device-proof+jwt", "kid": self.device_id}
        return jwt.encode(header, self._claims(method, path) | more, self.key, algorithms=[ALGORITHM])

    def sign(self, challenge: Json, decision: str, number: str | None = None) -> str:
        """The answer to a challenge: a JWS over what was shown."""
        header = {"alg": ALGORITHM, "typ": "device-answer+jwt", "kid": self.device_id}
        claims = {
            "challenge_id": challenge["id"],
            "nonce": challenge["nonce"],
            "decision": decision,
            "ctx": b64url_sha256(challenge["context"]),
            "iat": int(time.time()),
        }
        if number is not None:
            claims["number"] = number
        return jws.serialize_compact(header, json.dumps(claims), self.key, algorithms=[ALGORITHM])

    async def request(
        self, method: str, path: str, query: str = "", *, json: Mapping[str, object] | None = None
    ) -> Json:
        """A request under a proof; the query is no part of what is signed."""
        headers = {"Authorization": f"Proof {self.proof(method, path)}"}
        return await call(self.http, method, f"{self.url}{path}{query}", headers=headers, json=json)

    async def poll(self, after: int | None = None) -> Json:
        """What is pending; with `after`, as soon as the list is another than in that version."""
        query = "" if after is None else f"?wait=15&after={after}"
        return await self.request("GET", "/v1/device/challenges", query)

    async def answer(self, challenge: Json, decision: str, number: str | None = None) -> str:
        """Answer by HTTP; says the outcome."""
        path = f"/v1/device/challenges/{challenge['id']}/answer"
        outcome: str = (await self.request("POST", path, json={"answer": self.sign(challenge, decision, number)}))[
            "outcome"
        ]
        return outcome

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        """A socket of this phone that is ready."""
        path = "/v1/device/socket"
        async with self.http.ws_connect(f"{self.url}{path}") as wire:
            opened = Socket(self, wire)
            hello = await opened.next("hello")
            assert hello["protocol"] == 1, hello
            proof = self.proof("GET", path, nonce=hello["nonce"])
            await wire.send_json({"type": "authenticate", "proof": proof})
            ready = await opened.next("ready")
            assert ready["device_id"] == self.device_id, ready
            yield opened

    def _claims(self, method: str, path: str) -> dict[str, str | int]:
        return {
            "htm": method,
            "htu": self.url + path,
            "iat": int(time.time()),
            "jti": secrets.token_urlsafe(16),
        }


@dataclass
class Socket:
    """A phone's open WebSocket."""

    phone: Phone
    wire: aiohttp.ClientWebSocketResponse

    async def next(self, kind: str) -> Json:
        """The next frame of that type; frames of other types are passed over, as the interface asks."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame: Json = await self.wire.receive_json()
                if frame["type"] == kind:
                    return frame

    async def next_challenge(self) -> Json:
        """The next challenge, its arrival acknowledged."""
        challenge: Json = (await self.next("challenge"))["challenge"]
        await self.wire.send_json({"type": "received", "challenge_id": challenge["id"]})
        return challenge

    async def answer(self, challenge: Json, decision: str, number: str | None = None) -> str:
        """Answer by this socket; says the outcome."""
        ref = secrets.token_hex(4)
        signed = self.phone.sign(challenge, decision, number)
        await self.wire.send_json({"type": "answer", "ref": ref, "answer": signed})
        told = await self.next("outcome")
        assert (told["ref"], told["challenge_id"]) == (ref, challenge["id"]), told
        outcome: str = told["outcome"]
        return outcome


@dataclass(frozen=True)
class Issuer:
    """The service as its tokens are checked: its address and its published keys."""

    url: str
    keys: KeySet

    @classmethod
    async def fetch(cls, http: aiohttp.ClientSession, url: str) -> Issuer:
        """Read the published keys."""
        return cls(url, KeySet.import_key_set(await call(http, "GET", f"{url}/.well-known/jwks.json")))  # type: ignore[arg-type]

    def context(self, text: str) -> Json:
        """What a context says, once its signature holds."""
        token = jws.deserialize_compact(text, self.keys, algorithms=[ALGORITHM])
        assert token.headers()["typ"] == "sign-in-context+jwt"
        said: Json = json.loads(token.payload or b"")
        return said

    def result(self, text: str, audience: str) -> Json:
        """What a result says, once its signature, issuer, audience and times hold."""
        token = jwt.decode(text, self.keys, algorithms=[ALGORITHM])
        assert token.header["typ"] == "sign-in-result+jwt"
        rules = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.url},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            iat={"essential": True},
            leeway=5,
        )
        rules.validate(token.claims)
        return token.claims
