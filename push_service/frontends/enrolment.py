"""The sections of the settings where phones and authenticator apps are enrolled, and confirmed by being used once."""

from __future__ import annotations

import functools
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from push_service.enroller import APPS, PHONES, Enroller, OpenedApp
from push_service.frontends import http, qr
from push_service.frontends.http import Networks, Route
from push_service.frontends.idempotency import Idempotency, Remember
from push_service.frontends.settings import me_wire
from push_service.frontends.settings_door import CLOSED, SettingsDoor
from push_service.frontends.wire import MeWire, PromptWire, prompt_wire
from push_service.model import errors
from push_service.model.challenge import MethodKind
from push_service.model.ids import MethodId
from push_service.model.instant import rfc3339
from push_service.model.message import Via
from push_service.model.new_phone import NewPhone
from push_service.model.otpauth import MAX_URI
from push_service.model.rules.enrolment import Opened
from push_service.model.user import PhoneKind
from push_service.registrar import Purpose, Registrar
from push_service.strict_json import decode


class PhoneBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/me/phones`. Without a number, the one that the operator knows; `by` says how a mobile is confirmed."""

    kind: PhoneKind
    number: Annotated[str, Meta(max_length=64)] | None = None
    extension: Annotated[str, Meta(max_length=16)] | None = None
    by: Via | None = None


class AppBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/me/authenticator-apps`. Without an otpauth URI, a key is made here."""

    uri: Annotated[str, Meta(max_length=MAX_URI)] | None = None


class ConfirmBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/me/phones/{id}/confirm`, and the same of an app. A call is confirmed in the call: without a code."""

    code: Annotated[str, Meta(pattern="^[0-9]{6}$")] | None = None


class PhoneWire(msgspec.Struct, frozen=True, kw_only=True):
    """A phone that is being enrolled, and what is to be done to confirm it."""

    id: str
    method: MethodKind
    target: str
    prompt: PromptWire
    expires_at: str


class AppWire(msgspec.Struct, frozen=True, kw_only=True):
    """An app that is being enrolled, and what is to be put into it; told once."""

    id: str
    uri: str
    secret: str
    qr_svg: str
    expires_at: str


class EnrolmentFrontend:
    """`/v1/me/phones…` and `/v1/me/authenticator-apps…`."""

    def __init__(
        self,
        enroller: Enroller,
        registrar: Registrar,
        idempotency: Idempotency,
        *,
        public_url: str,
        proxies: Networks,
    ) -> None:
        """Translate for these use cases."""
        self._enroller, self._registrar, self._idempotency = enroller, registrar, idempotency
        self._door, self._proxies = SettingsDoor(registrar, public_url), proxies

    def routes(self) -> list[Route]:
        """What is served here."""
        route = functools.partial(Route, tag="Settings", security=("settings_token",), method="POST")
        begun = (errors.UnknownMethod, errors.TooManyMethods, errors.TooManyPrompts, errors.IdempotencyKeyReused)
        confirmed = (errors.UnknownEnrolment, errors.WrongCode, errors.TooManyRequests)
        called = (errors.NotConfirmed, errors.NotDelivered)
        return [
            route(
                path="/v1/me/phones",
                handle=self.add_phone,
                summary="Enrol a phone: a text is sent, or a call placed",
                body=PhoneBody,
                replies={201: PhoneWire},
                errors=(*begun, *CLOSED),
                idempotent=True,
            ),
            route(
                path="/v1/me/phones/{id}/confirm",
                handle=self.confirm_phone,
                summary="Confirm a phone by its code, or ask whether its call was answered with #",
                body=ConfirmBody,
                replies={200: MeWire},
                errors=(*confirmed, *called, *CLOSED),
            ),
            route(
                path="/v1/me/authenticator-apps",
                handle=self.add_app,
                summary="Enrol an authenticator app, by a key made here or one brought",
                body=AppBody,
                replies={201: AppWire},
                errors=(*begun, *CLOSED),
                idempotent=True,
            ),
            route(
                path="/v1/me/authenticator-apps/{id}/confirm",
                handle=self.confirm_app,
                summary="Confirm an authenticator app by a code that it shows",
                body=ConfirmBody,
                replies={200: MeWire},
                errors=(*confirmed, *CLOSED),
            ),
        ]

    async def add_phone(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/me/phones`."""
        session = await self._door.session(request, Purpose.REGISTER)
        raw = await http.read_body(request)
        body = decode(raw, PhoneBody)
        phone = NewPhone(kind=body.kind, number=body.number, extension=body.extension, by=body.by)
        source = http.client_address(request, self._proxies)

        async def work(remember: Remember[Opened] | None) -> Opened:
            return await self._enroller.begin_phone(session, phone, source, remember)

        return await self._idempotency.answer(request, session.sign_in.id, raw, work, _phone_wire)

    async def confirm_phone(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/me/phones/{id}/confirm`."""
        return await self._confirm(request, PHONES)

    async def add_app(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/me/authenticator-apps`."""
        session = await self._door.session(request, Purpose.REGISTER)
        raw = await http.read_body(request)
        body = decode(raw, AppBody)
        source = http.client_address(request, self._proxies)

        async def work(remember: Remember[OpenedApp] | None) -> OpenedApp:
            return await self._enroller.begin_app(session, body.uri, source, remember)

        return await self._idempotency.answer(request, session.sign_in.id, raw, work, _app_wire)

    async def confirm_app(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/me/authenticator-apps/{id}/confirm`."""
        return await self._confirm(request, APPS)

    async def _confirm(self, request: web.Request, kinds: frozenset[MethodKind]) -> web.StreamResponse:
        session = await self._door.session(request, Purpose.REGISTER)
        body = await http.read(request, ConfirmBody)
        source = http.client_address(request, self._proxies)
        user = await self._enroller.confirm(session, MethodId(request.match_info["id"]), kinds, body.code, source)
        return http.json_reply(me_wire(user, await self._registrar.devices(user), self._registrar.methods))


def _phone_wire(opened: Opened) -> PhoneWire:
    return PhoneWire(
        id=opened.enrolment.id,
        method=opened.enrolment.kind,
        target=opened.enrolment.target,
        prompt=prompt_wire(opened.challenge),
        expires_at=rfc3339(opened.enrolment.expires_at),
    )


def _app_wire(app: OpenedApp) -> AppWire:
    return AppWire(
        id=app.opened.enrolment.id,
        uri=app.uri,
        secret=app.secret,
        qr_svg=qr.svg(app.uri, "Key for an authenticator app"),
        expires_at=rfc3339(app.opened.enrolment.expires_at),
    )
