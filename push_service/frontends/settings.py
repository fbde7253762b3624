"""A person's own settings: what they have registered, adding a phone, removing a method.

Open to a fresh two-step sign-in that was begun for them, and, for a first registration, to its registration token.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from aiohttp import web

from push_service.frontends import http, qr
from push_service.frontends.devices import device_wire
from push_service.frontends.http import Networks, Route
from push_service.frontends.idempotency import Idempotency, Remember
from push_service.frontends.settings_door import CLOSED, SettingsDoor
from push_service.frontends.wire import ActivationWire, MeWire, NothingBody, PrimaryBody, SuggestedWire, own_methods
from push_service.model import errors
from push_service.model.decision import Actor
from push_service.model.device import Device
from push_service.model.ids import MethodId
from push_service.model.instant import rfc3339
from push_service.model.method import Methods
from push_service.model.phone_number import masked
from push_service.model.user import User
from push_service.registrar import IssuedActivation, Purpose, Registrar


class SettingsFrontend:
    """`/v1/me…`."""

    def __init__(self, registrar: Registrar, idempotency: Idempotency, *, public_url: str, proxies: Networks) -> None:
        """Translate for these use cases."""
        self._registrar, self._idempotency = registrar, idempotency
        self._door, self._proxies = SettingsDoor(registrar, public_url), proxies

    def routes(self) -> list[Route]:
        """What is served here."""
        route = functools.partial(Route, tag="Settings", security=("settings_token",))
        return [
            route(
                method="GET",
                path="/v1/me",
                handle=self.look,
                summary="What one has registered",
                replies={200: MeWire},
                errors=CLOSED,
            ),
            route(
                method="POST",
                path="/v1/me/devices",
                handle=self.add_device,
                summary="Get a code to activate a phone with",
                replies={201: ActivationWire},
                errors=(errors.InvalidActivationCode, errors.IdempotencyKeyReused, *CLOSED),
                idempotent=True,
            ),
            route(
                method="PUT",
                path="/v1/me/primary-method",
                handle=self.choose_primary,
                summary="Choose what is asked first",
                body=PrimaryBody,
                replies={200: MeWire},
                errors=(errors.UnknownMethod, *CLOSED),
            ),
            route(
                method="DELETE",
                path="/v1/me/methods/{id}",
                handle=self.remove_method,
                summary="Remove a method; a phone goes with all that it confirms",
                replies={204: None},
                errors=(errors.UnknownMethod, errors.LastMethod, *CLOSED),
            ),
        ]

    async def look(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/me`."""
        session = await self._door.session(request, Purpose.READ)
        return http.json_reply(await self._me(session.user))

    async def add_device(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/me/devices`. No body, or an empty object."""
        session = await self._door.session(request, Purpose.REGISTER)
        if request.body_exists:
            await http.read(request, NothingBody)
        source = http.client_address(request, self._proxies)
        sign_in_id = session.sign_in.id if session.registering else None

        async def work(remember: Remember[IssuedActivation] | None) -> IssuedActivation:
            return await self._registrar.issue_activation(session.user.id, sign_in_id, Actor.BROWSER, source, remember)

        return await self._idempotency.answer(request, session.sign_in.id, b"", work, activation_wire)

    async def choose_primary(self, request: web.Request) -> web.StreamResponse:
        """`PUT /v1/me/primary-method`."""
        session = await self._door.session(request, Purpose.CHANGE)
        body = await http.read(request, PrimaryBody)
        source = http.client_address(request, self._proxies)
        user = await self._registrar.choose_primary(session.user, MethodId(body.method_id), source)
        return http.json_reply(await self._me(user))

    async def remove_method(self, request: web.Request) -> web.StreamResponse:
        """`DELETE /v1/me/methods/{id}`."""
        session = await self._door.session(request, Purpose.CHANGE)
        source = http.client_address(request, self._proxies)
        await self._registrar.remove_method(session, MethodId(request.match_info["id"]), source)
        return web.Response(status=204)

    async def _me(self, user: User) -> MeWire:
        return me_wire(user, await self._registrar.devices(user), self._registrar.methods)


def me_wire(user: User, devices: Sequence[Device], methods: Methods) -> MeWire:
    """A person's own settings."""
    return MeWire(
        id=user.id,
        username=user.username,
        state=user.state,
        methods=own_methods(user, methods),
        devices=tuple(device_wire(each) for each in devices),
        suggested=SuggestedWire(
            mobile=masked(user.mobile) if user.mobile else None,
            office=masked(user.office) if user.office else None,
        ),
    )


def activation_wire(issued: IssuedActivation) -> ActivationWire:
    """An activation with its QR code."""
    picture = qr.svg(issued.uri, "Activation code")
    return ActivationWire(issued.code, issued.uri, rfc3339(issued.expires_at), picture)
