"""Who comes in to administration: everything below `/v1/admin` is behind this one door, whatever it is.

It opens to a fresh two-step sign-in of an administrator, begun for `administration`. HTTP Basic never opens it: a name
with a password, app password or not, is told what to do instead.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from push_service.applications import Applications
from push_service.client_sign_in import ClientSignIn, ClientSignIns
from push_service.frontends import asker, cookies, http
from push_service.frontends.http import Networks
from push_service.model.account_states import Purpose as ClientPurpose
from push_service.model.application import ADMINISTRATION
from push_service.model.errors import InvalidClient, TwoStepSignInRequired
from push_service.registrar import Purpose, Registrar, Session

PREFIX = "/v1/admin"
SESSION = web.RequestKey("administrator", Session)
"""Where a route finds who came in."""

_READING = frozenset({"GET", "HEAD"})


class AdminFrontend:
    """`/v1/admin/…`."""

    def __init__(
        self,
        registrar: Registrar,
        client_sign_ins: ClientSignIns,
        applications: Applications,
        *,
        public_url: str,
        proxies: Networks,
    ) -> None:
        """Have the registrar say who is an administrator."""
        self._registrar, self._client_sign_ins, self._applications = registrar, client_sign_ins, applications
        self._public_url, self._proxies = public_url, proxies

    def set_up(self, app: web.Application) -> None:
        """Put the door in its place: in front of every path, those that are nowhere included."""

        @web.middleware
        async def door(request: web.Request, handler: Handler) -> web.StreamResponse:
            request[SESSION] = await self._come_in(request)
            return await handler(request)

        app.add_subapp(PREFIX, web.Application(middlewares=[door]))

    async def _come_in(self, request: web.Request) -> Session:
        if request.headers.get("Authorization", "").partition(" ")[0].lower() == "basic":
            await self._turn_away(request)
        purpose = Purpose.READ if request.method in _READING else Purpose.CHANGE
        token = cookies.settings_token(request, self._public_url, changing=purpose is Purpose.CHANGE)
        return await self._registrar.administration(token, purpose)

    async def _turn_away(self, request: web.Request) -> None:
        """Raises what a name and a password are refused with."""
        try:
            credentials = http.basic(request)
        except InvalidClient:
            credentials = None
        application = await self._applications.find(ADMINISTRATION)
        if credentials is None or application is None:
            raise TwoStepSignInRequired
        username, password = credentials
        address = http.client_address(request, self._proxies)
        await self._client_sign_ins.turn_away(
            ClientSignIn(
                application=application,
                username=username,
                password=password,
                asker=asker.described(address, request.headers.get("User-Agent")),
                address=address,
                purpose=ClientPurpose.ADMINISTER,
            )
        )
