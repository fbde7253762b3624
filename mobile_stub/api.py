"""The HTTP half of the device interface: every request with a proof by the device key.

A proof that is refused because the phone's clock is wrong is made again, once, by the clock that the refusal told.
Called by `phone.py`; the socket half is `line.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import aiohttp
import msgspec

from mobile_stub.errors import InvalidProofError, RefusedError, UnknownDeviceError, UnreachableError
from mobile_stub.keys import Jwks
from mobile_stub.problems import Problem
from mobile_stub.proofs import proof_claims, sign_proof
from mobile_stub.wire import (
    Activation,
    ActivationRequest,
    AnswerRequest,
    ChallengeList,
    DeviceChange,
    DeviceView,
    Outcome,
    Reply,
    decode_body,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mobile_stub.clock import PhoneClock
    from mobile_stub.keys import DeviceKey

Body = TypeVar("Body")

DEVICES = "/v1/devices"
DEVICE = "/v1/device"
CHALLENGES = "/v1/device/challenges"
SOCKET = "/v1/device/socket"
JWKS = "/.well-known/jwks.json"

REQUEST_SECONDS = 15.0
WORTH_A_RETRY_SECONDS = 5.0
"""A correction of the clock below this can't have been the reason that a proof was refused."""
SERVER_ERROR = 500


class DeviceApi:
    """One phone's requests. `issuer` is the PUBLIC_URL that proofs name, `address` where the service is reached."""

    def __init__(
        self, session: aiohttp.ClientSession, key: DeviceKey, clock: PhoneClock, *, issuer: str, address: str
    ) -> None:
        self._session = session
        self._key = key
        self._clock = clock
        self._address = address
        self.issuer = issuer
        self.device_id: str | None = None

    def proof(self, method: str, path: str, *, activation_code: str | None = None, nonce: str | None = None) -> str:
        """A fresh proof for a request to this path."""
        claims = proof_claims(
            method, self.issuer + path, self._clock.now(), activation_code=activation_code, nonce=nonce
        )
        return sign_proof(claims, self._key, self.device_id)

    async def activate(self, code: str, name: str, platform: str, push_token: str | None) -> Activation:
        """Register the key with an activation code; the same code and key may be sent again."""

        async def once() -> bytes:
            request = ActivationRequest(
                activation_code=code,
                jwk=self._key.jwk(),
                name=name,
                platform=platform,
                push_token=push_token,
                proof=self.proof("POST", DEVICES, activation_code=code),
            )
            return await self.send("POST", DEVICES, body=request)

        try:
            answer = await once()
        except InvalidProofError as refusal:
            if not self._clock_was_wrong(refusal):
                raise
            answer = await once()
        return decode_body(answer, Activation)

    async def challenges(self, wait: float | None = None, after: int | None = None) -> ChallengeList:
        """What is asked now; with `wait` (seconds, up to 60) and `after` (a version), once that has changed."""
        query = {name: f"{value:g}" for name, value in (("wait", wait), ("after", after)) if value is not None}
        listed = decode_body(await self._proven("GET", CHALLENGES, query=query, wait=wait or 0.0), ChallengeList)
        self._clock.learn(listed.server_time)
        return listed

    async def answer(self, challenge_id: str, answer: str) -> Reply:
        """Hand in a signed answer. A wrong number and too late are replies, other refusals RefusedError."""
        try:
            body = await self._proven("POST", f"{CHALLENGES}/{challenge_id}/answer", body=AnswerRequest(answer=answer))
        except RefusedError as refusal:
            if refusal.code not in {Outcome.WRONG_NUMBER, Outcome.TOO_LATE}:
                raise
            problem = refusal.problem
            return Reply(outcome=Outcome(problem.code), state=problem.state, reported=problem.reported)
        return decode_body(body, Reply)

    async def device(self) -> DeviceView:
        """What the service knows about this phone."""
        return decode_body(await self._proven("GET", DEVICE), DeviceView)

    async def change(self, change: DeviceChange) -> DeviceView:
        """Another name or push token."""
        return decode_body(await self._proven("PATCH", DEVICE, body=change), DeviceView)

    async def remove(self) -> None:
        """Take this phone off the account; RefusedError `last_method` where the account would be left without any."""
        await self._proven("DELETE", DEVICE)

    async def fetch_jwks(self) -> Jwks:
        """The service's public keys as published now."""
        return decode_body(await self.send("GET", JWKS), Jwks)

    async def _proven(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: msgspec.Struct | None = None,
        wait: float = 0.0,
    ) -> bytes:
        async def once() -> bytes:
            proof = self.proof(method, path)
            return await self.send(method, path, query=query, body=body, authorization=f"Proof {proof}", wait=wait)

        try:
            return await once()
        except InvalidProofError as refusal:
            if not self._clock_was_wrong(refusal):
                raise
            return await once()

    def _clock_was_wrong(self, refusal: InvalidProofError) -> bool:
        server_time = refusal.problem.server_time
        return server_time is not None and abs(self._clock.learn(server_time)) > WORTH_A_RETRY_SECONDS

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: msgspec.Struct | None = None,
        authorization: str | None = None,
        wait: float = 0.0,
    ) -> bytes:
        """One request with exactly this authorization, no retry; the body of a 2xx answer.

        Raises RefusedError for a 4xx, UnreachableError for a 5xx, a time-out and a broken connection.
        """
        headers = {} if body is None else {"Content-Type": "application/json"}
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            async with self._session.request(
                method,
                self._address + path,
                params=query,
                data=None if body is None else msgspec.json.encode(body),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=wait + REQUEST_SECONDS),
                allow_redirects=False,
            ) as response:
                content = await response.read()
                if response.ok:
                    return content
                raise _refusal(response, content)
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"{method} {self._address}{path}: {error!r}"
            raise UnreachableError(message) from error


def _refusal(response: aiohttp.ClientResponse, content: bytes) -> RefusedError | UnreachableError:
    if response.status >= SERVER_ERROR:
        retry_after = response.headers.get("Retry-After", "")
        return UnreachableError(
            f"the service answered {response.status}", float(retry_after) if retry_after.isdecimal() else None
        )
    try:
        problem = msgspec.json.decode(content, type=Problem)
    except msgspec.DecodeError:
        problem = Problem(code=f"http_{response.status}")
    kind = {"invalid_proof": InvalidProofError, "unknown_device": UnknownDeviceError}.get(problem.code, RefusedError)
    return kind(response.status, problem)
