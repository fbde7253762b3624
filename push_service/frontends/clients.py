"""The door of clients that can't show a second step: an application asks for each, and is told yes or why not."""

from __future__ import annotations

from aiohttp import web
from msgspec import UNSET

from push_service.applications import Applications
from push_service.client_sign_in import ClientSignIn, ClientSignIns
from push_service.frontends import asker, http
from push_service.frontends.gate import Gate
from push_service.frontends.http import Route
from push_service.frontends.wire import ClientSignInBody, ClientSignInWire, UserWire, checked_address
from push_service.model import errors
from push_service.model.errors import InvalidClient
from push_service.strict_json import decode


class ClientFrontend:
    """`/v1/client-sign-ins`."""

    def __init__(self, client_sign_ins: ClientSignIns, applications: Applications, gate: Gate) -> None:
        """Translate for this use case; in an overload its `gate` turns clients away as it does sign-ins."""
        self._client_sign_ins, self._applications, self._gate = client_sign_ins, applications, gate

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            Route(
                method="POST",
                path="/v1/client-sign-ins",
                handle=self.sign_in,
                summary="Sign in a client that can't show a second step",
                tag="Clients",
                body=ClientSignInBody,
                replies={200: ClientSignInWire},
                errors=(
                    errors.InvalidClient,
                    errors.PurposeNotAllowed,
                    errors.InvalidClientCredentials,
                    errors.AppPasswordRequired,
                    errors.TwoStepSignInRequired,
                    errors.AppPasswordNotForAdministration,
                    errors.UserBlocked,
                    errors.TooManyRequests,
                    errors.Busy,
                    errors.StoreUnavailable,
                ),
                security=("application",),
            )
        ]

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/client-sign-ins`."""
        self._gate.ask()
        raw = await http.read_body(request)
        with self._gate.entered():
            body = decode(raw, ClientSignInBody)
            credentials = http.basic(request)
            if credentials is None:
                raise InvalidClient
            application = await self._applications.authenticated(*credentials)
            address = checked_address(body.client)
            allowed = await self._client_sign_ins.check(
                ClientSignIn(
                    application=application,
                    username=body.username,
                    password=body.password,
                    asker=asker.described(address, body.client.user_agent if body.client else None),
                    address=address,
                    purpose=body.purpose,
                )
            )
        user = UserWire(allowed.user.id, allowed.user.username)
        return http.json_reply(
            ClientSignInWire(allowed=True, user=user, credential=allowed.credential, name=allowed.name or UNSET)
        )
