"""The device interface over HTTP: activation, the list of prompts, answers, and a device's own record."""

from __future__ import annotations

import functools
from typing import NamedTuple

import msgspec
from aiohttp import web

from push_service.answers import Answers
from push_service.crypto.keyring import JwkSet, Keyring
from push_service.delivery.frames import challenge_document
from push_service.delivery.line import asked_on_phone
from push_service.drafts import Context
from push_service.frontends import http
from push_service.frontends.http import Route
from push_service.frontends.sign_in import LARGEST_VERSION, MAX_WAIT, WaitQuery
from push_service.frontends.wire import (
    ActivateBody,
    AnswerBody,
    ChangeDeviceBody,
    DeviceWire,
    OutcomeWire,
    TotpWire,
    UserWire,
)
from push_service.model import errors
from push_service.model.decision import Actor
from push_service.model.device import Device, PublicKey
from push_service.model.errors import InvalidKey, InvalidProof, UnknownDevice
from push_service.model.instant import Instant, rfc3339, seconds_between
from push_service.model.network import Networks
from push_service.model.rules.answer import AnswerOutcome
from push_service.model.user import Pending
from push_service.model.view import device_version
from push_service.ports import Store, Topic
from push_service.registrar import ActivateRequest, Registrar
from push_service.waits import Look, Waits


class ChallengeDocument(Context, frozen=True, kw_only=True):
    """A prompt as devices see it: what the context says, and the signed context itself."""

    context: str


class ChallengesWire(msgspec.Struct, frozen=True):
    """All that a device's person is asked now."""

    challenges: list[ChallengeDocument]
    version: int
    server_time: str


class ActivatedWire(msgspec.Struct, frozen=True, kw_only=True):
    """What a phone keeps of its activation."""

    device_id: str
    user: UserWire
    issuer: str
    jwks: JwkSet
    totp: TotpWire


class DeviceFrontend:
    """`/v1/devices` and `/v1/device…`, but for the socket."""

    def __init__(
        self,
        answers: Answers,
        registrar: Registrar,
        keyring: Keyring,
        store: Store,
        waits: Waits,
        *,
        issuer: str,
        proxies: Networks,
    ) -> None:
        """Translate for these use cases."""
        self._answers, self._registrar, self._keyring = answers, registrar, keyring
        self._store, self._waits, self._issuer, self._proxies = store, waits, issuer, proxies

    def routes(self) -> list[Route]:
        """What is served here."""
        known = (InvalidProof, UnknownDevice, errors.StoreUnavailable)
        route = functools.partial(Route, tag="Devices", security=("device_proof",))
        return [
            Route(
                method="POST",
                path="/v1/devices",
                handle=self.activate,
                summary="Activate a phone",
                tag="Devices",
                body=ActivateBody,
                replies={201: ActivatedWire},
                errors=(
                    errors.InvalidActivationCode,
                    InvalidKey,
                    InvalidProof,
                    UnknownDevice,
                    errors.TooManyRequests,
                    errors.StoreUnavailable,
                ),
            ),
            route(
                method="GET",
                path="/v1/device/challenges",
                handle=self.challenges,
                summary="See what is asked, or wait for it to change",
                query=WaitQuery,
                replies={200: ChallengesWire},
                errors=(errors.InvalidRequest, *known),
            ),
            route(
                method="POST",
                path="/v1/device/challenges/{id}/answer",
                handle=self.answer,
                summary="Answer a prompt",
                body=AnswerBody,
                replies={200: OutcomeWire},
                errors=(errors.InvalidAnswer, errors.WrongNumber, errors.UnknownChallenge, errors.TooLate, *known),
            ),
            route(
                method="GET",
                path="/v1/device",
                handle=self.look,
                summary="A device's own record",
                replies={200: DeviceWire},
                errors=known,
            ),
            route(
                method="PATCH",
                path="/v1/device",
                handle=self.change,
                summary="Change a device's name or push token",
                body=ChangeDeviceBody,
                replies={200: DeviceWire},
                errors=known,
            ),
            route(
                method="DELETE",
                path="/v1/device",
                handle=self.remove,
                summary="Remove a device, by itself",
                replies={204: None},
                errors=(errors.LastMethod, *known),
            ),
        ]

    async def activate(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/devices`."""
        body = await http.read(request, ActivateBody)
        key = body.jwk
        if (key.kty, key.crv) != ("EC", "P-256") or key.d is not msgspec.UNSET:
            raise InvalidKey("The key must be an EC P-256 public key, without its private part.")
        asked = ActivateRequest(
            code=body.activation_code,
            key=PublicKey(key.x, key.y),
            name=body.name,
            platform=body.platform,
            push_token=body.push_token,
            proof=body.proof,
        )
        device, user = await self._registrar.activate(asked, http.client_address(request, self._proxies))
        wire = ActivatedWire(
            device_id=device.id,
            user=UserWire(user.id, user.username),
            issuer=self._issuer,
            jwks=self._keyring.published(await self._store.now()),
            totp=TotpWire(device.totp_secret or ""),
        )
        return http.json_reply(wire, 201)

    async def challenges(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/device/challenges`."""
        wait = http.whole_number(request, "wait", MAX_WAIT) or 0
        after = http.whole_number(request, "after", LARGEST_VERSION)
        device = await self._device(request)
        async with self._waits.on(Topic.user(device.user_id)) as waiter:
            live, version, now = await waiter.until(functools.partial(self._asked, device, after), wait)
        documents = b",".join(challenge_document(each) for each, _ in asked_on_phone(live, now))
        body = b'{"challenges":[%b],"version":%d,"server_time":"%b"}' % (
            documents,
            version,
            rfc3339(now).encode(),
        )
        return web.Response(body=body, content_type=http.JSON)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/device/challenges/{id}/answer`."""
        device = await self._device(request)
        body = await http.read(request, AnswerBody)
        _, outcome = await self._answers.take(device, body.answer, request.match_info["id"])
        if outcome is AnswerOutcome.WRONG_NUMBER:
            raise errors.WrongNumber
        return http.json_reply(OutcomeWire(outcome.value))

    async def look(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/device`."""
        return http.json_reply(device_wire(await self._device(request)))

    async def change(self, request: web.Request) -> web.StreamResponse:
        """`PATCH /v1/device`."""
        device = await self._device(request)
        body = await http.read(request, ChangeDeviceBody)
        return http.json_reply(device_wire(await self._registrar.change_device(device, body.name, body.push_token)))

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """`DELETE /v1/device`."""
        device = await self._device(request)
        await self._registrar.remove_device(device, Actor.DEVICE, device.id)
        return web.Response(status=204)

    async def _device(self, request: web.Request) -> Device:
        return await self._registrar.device_of_proof(proof_in(request), request.method, request.path)

    async def _asked(self, device: Device, after: int | None) -> tuple[_Asked, Look]:
        """What is asked now, and whether that is what the device knows already."""
        now = await self._store.now()
        found = await self._store.asked(device.user_id)
        if found is None or not any(each.id == device.id for each in found.user.guard.devices):
            raise UnknownDevice
        user, live = found.user, found.live
        version = device_version(user, live, now)
        deadlines = [seconds_between(now, each.sign_in.expires_at) for each in live if each.sign_in.open_at(now)]
        return _Asked(live, version, now), Look(version == after, min(deadlines, default=None))


class _Asked(NamedTuple):
    live: tuple[Pending, ...]
    version: int
    now: Instant


def proof_in(request: web.Request) -> str:
    """The proof of `Authorization: Proof …`; empty, which no proof is, where there is none."""
    scheme, _, proof = request.headers.get("Authorization", "").partition(" ")
    return proof.strip() if scheme.lower() == "proof" and proof.isascii() else ""


def device_wire(device: Device) -> DeviceWire:
    """A device's record."""
    return DeviceWire(
        id=device.id, name=device.name, platform=device.platform, activated_at=rfc3339(device.activated_at)
    )
