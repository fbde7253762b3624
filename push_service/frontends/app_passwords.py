"""A person's own app passwords in the settings: made, listed, revoked. Never opened by a registration token."""

from __future__ import annotations

import functools

from aiohttp import web

from push_service.app_passwords import AppPasswords, Made
from push_service.frontends import cookies, http
from push_service.frontends.http import Networks, Route
from push_service.frontends.idempotency import Idempotency, Remember
from push_service.frontends.wire import AppPasswordBody, AppPasswordListWire, AppPasswordWire, MadeAppPasswordWire
from push_service.model import errors
from push_service.model.app_password import AppPassword
from push_service.model.errors import FreshSignInRequired
from push_service.model.ids import AppPasswordId
from push_service.model.instant import rfc3339
from push_service.registrar import Purpose, Registrar, Session
from push_service.strict_json import decode


class AppPasswordFrontend:
    """`/v1/me/app-passwords…`."""

    def __init__(
        self,
        registrar: Registrar,
        app_passwords: AppPasswords,
        idempotency: Idempotency,
        *,
        public_url: str,
        proxies: Networks,
    ) -> None:
        """Translate for this use case; the registrar says who may come in."""
        self._registrar, self._app_passwords, self._idempotency = registrar, app_passwords, idempotency
        self._public_url, self._proxies = public_url, proxies

    def routes(self) -> list[Route]:
        """What is served here."""
        closed = (
            errors.InvalidToken,
            errors.FreshSignInRequired,
            errors.OriginNotAllowed,
            errors.UnsupportedMediaType,
            errors.StoreUnavailable,
        )
        route = functools.partial(Route, tag="Settings", security=("settings_token",))
        return [
            route(
                method="GET",
                path="/v1/me/app-passwords",
                handle=self.list,
                summary="One's app passwords, oldest first",
                replies={200: AppPasswordListWire},
                errors=closed,
            ),
            route(
                method="POST",
                path="/v1/me/app-passwords",
                handle=self.make,
                summary="Make an app password, which is shown this once",
                body=AppPasswordBody,
                replies={201: MadeAppPasswordWire},
                errors=(
                    errors.RegistrationIncomplete,
                    errors.TooManyAppPasswords,
                    errors.IdempotencyKeyReused,
                    *closed,
                ),
                idempotent=True,
            ),
            route(
                method="DELETE",
                path="/v1/me/app-passwords/{id}",
                handle=self.revoke,
                summary="Revoke an app password",
                replies={204: None},
                errors=(errors.UnknownAppPassword, *closed),
            ),
        ]

    async def list(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/me/app-passwords`."""
        session = await self._session(request, Purpose.READ)
        found = await self._app_passwords.list(session.user)
        return http.json_reply(AppPasswordListWire(tuple(_wire(each) for each in found)))

    async def make(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/me/app-passwords`."""
        session = await self._session(request, Purpose.CHANGE)
        raw = await http.read_body(request)
        body = decode(raw, AppPasswordBody)
        source = http.client_address(request, self._proxies)

        async def work(remember: Remember[Made] | None) -> Made:
            return await self._app_passwords.make(session.user, body.name, source, remember)

        return await self._idempotency.answer(request, session.sign_in.id, raw, work, _made_wire)

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """`DELETE /v1/me/app-passwords/{id}`."""
        session = await self._session(request, Purpose.CHANGE)
        source = http.client_address(request, self._proxies)
        await self._app_passwords.revoke(session.user, AppPasswordId(request.match_info["id"]), source)
        return web.Response(status=204)

    async def _session(self, request: web.Request, purpose: Purpose) -> Session:
        token = cookies.settings_token(request, self._public_url, changing=purpose is not Purpose.READ)
        session = await self._registrar.session(token, purpose)
        if session.registering:
            raise FreshSignInRequired
        return session


def _wire(app_password: AppPassword) -> AppPasswordWire:
    used = app_password.last_used_at
    return AppPasswordWire(
        id=app_password.id,
        name=app_password.name,
        created_at=rfc3339(app_password.created_at),
        last_used_at=rfc3339(used) if used is not None else None,
        last_used_from=app_password.last_used_from,
    )


def _made_wire(made: Made) -> MadeAppPasswordWire:
    listed = _wire(made.app_password)
    return MadeAppPasswordWire(id=listed.id, name=listed.name, created_at=listed.created_at, password=made.password)
