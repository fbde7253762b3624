"""The hosted pages: rendered here, behind a strict content security policy, and otherwise clients of the interface.

The settings' own pages are entered through the sign-in page, which knows them by name (`then`): no address that it
leads to comes from outside, except an application's registered one.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp_jinja2
import jinja2
import msgspec
from aiohttp import web

from push_service.applications import Applications
from push_service.frontends import cookies, http
from push_service.frontends.http import Route
from push_service.frontends.idempotency import Idempotency, Remember
from push_service.frontends.sign_in import BEGIN_ERRORS, SignInFrontend
from push_service.frontends.wire import BeginBody, SignInWire
from push_service.frontends.words import words
from push_service.model import errors
from push_service.model.application import SETTINGS, Application
from push_service.model.challenge import MethodKind
from push_service.model.errors import InvalidRequest
from push_service.strict_json import decode
from push_service.verifier import Begun, Verifier

_PAGES = Path(str(resources.files("push_service.pages")))
_STATIC = "/static/"
_WAYS = {
    "app": MethodKind.APP_NOTIFICATION,
    "mobile": MethodKind.TEXT_MOBILE,
    "office": MethodKind.CALL_OFFICE,
    "authenticator": MethodKind.APP_CODE,
}
"""What can be added on the pages, and the method that the service must offer for it."""
_SETTINGS_PAGES = {"security": "/security", "app-passwords": "/app-passwords"}
"""What a sign-in for the settings opens, by the names by which its pages send people to sign in."""


class PagesFrontend:
    """`/sign-in`, the settings' pages, `/registration`, `/activate` and what they load."""

    def __init__(
        self,
        verifier: Verifier,
        applications: Applications,
        sign_in: SignInFrontend,
        idempotency: Idempotency,
        *,
        public_url: str,
    ) -> None:
        """Render for this service."""
        self._verifier, self._applications, self._sign_in = verifier, applications, sign_in
        self._idempotency, self._public_url = idempotency, public_url

    def set_up(self, app: web.Application) -> None:
        """Templates with escaping on, and the static files, which never follow links out of their folder."""
        loader = jinja2.FileSystemLoader(_PAGES / "templates")
        aiohttp_jinja2.setup(app, loader=loader, autoescape=jinja2.select_autoescape(default=True))
        app.router.add_static(_STATIC, _PAGES / "static", follow_symlinks=False)
        app.on_response_prepare.append(_asked_for_again)

    def routes(self) -> list[Route]:
        """What is served here. Pages are not part of the interface that others program against."""
        return [
            Route(
                method="GET",
                path="/",
                handle=self.root,
                summary="To the sign-in page",
                tag="Pages",
                replies={302: None},
                media="text/plain",
            ),
            _page("/sign-in", self.sign_in_page, "The hosted sign-in page", (200, 400)),
            _page("/security", self.security_page, "Additional security verification: one's own settings"),
            _page("/app-passwords", self.app_passwords_page, "One's own app passwords"),
            _page("/registration", self.registration_page, "The hosted registration page"),
            _page("/activate", self.activate_page, "Where a phone's camera leads without the app"),
            Route(
                method="POST",
                path="/sign-in/begin",
                handle=self.begin,
                summary="Begin a sign-in from the hosted page, whose token goes into a cookie",
                tag="Pages",
                body=BeginBody,
                replies={201: SignInWire},
                errors=BEGIN_ERRORS,
                idempotent=True,
            ),
        ]

    async def root(self, _: web.Request) -> web.StreamResponse:
        """`GET /`."""
        raise web.HTTPFound("/sign-in")

    async def sign_in_page(self, request: web.Request) -> web.StreamResponse:
        """`GET /sign-in?application&redirect_uri&state&nonce`; `then` instead, from a page of the settings."""
        query = request.query
        application = await self._applications.find(query.get("application", SETTINGS))
        redirect_uri = query.get("redirect_uri", "")
        if application is None:
            return self._error(request, "unknown_application")
        if redirect_uri and redirect_uri not in application.redirect_uris:
            return self._error(request, "unregistered_address")
        then = _SETTINGS_PAGES.get(query.get("then", ""))
        for_settings = application.id == SETTINGS and not redirect_uri
        context = {
            "application_id": application.id,
            "application_name": application.name,
            "redirect_uri": redirect_uri,
            "state": query.get("state", ""),
            "nonce": query.get("nonce", ""),
            "opens": (then or _SETTINGS_PAGES["security"]) if for_settings else "",
            "at_once": "yes" if for_settings and then else "",
        }
        return self._render(request, "sign_in.html", context, redirect_uri=redirect_uri)

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """`POST /sign-in/begin`.

        As `POST /v1/sign-ins` by our own page, for whichever application sent the browser here.
        """
        cookies.require_own_page(request, self._public_url)
        async with self._sign_in.gate.body_of(request) as raw:
            return await self._begin(request, raw)

    async def _begin(self, request: web.Request, raw: bytes) -> web.StreamResponse:
        body = decode(raw, BeginBody)
        application = await self._application(body)
        asked = self._sign_in.asked(request, body, application, trusted=False)
        if asked.password is None:
            raise InvalidRequest("A password is needed.")
        former = request.cookies.get(cookies.NAME)
        caller = f"page {application.id} {asked.address}"

        async def work(remember: Remember[Begun] | None) -> Begun:
            return await self._verifier.begin(msgspec.structs.replace(asked, replaces=former), remember)

        answer = await self._idempotency.answer(
            request, caller, raw, work, lambda begun: self._sign_in.begun_wire(begun, application.name)
        )
        return _with_cookie(answer)

    async def security_page(self, request: web.Request) -> web.StreamResponse:
        """`GET /security`."""
        return self._render(request, "security.html", {})

    async def app_passwords_page(self, request: web.Request) -> web.StreamResponse:
        """`GET /app-passwords`."""
        return self._render(request, "app_passwords.html", {})

    async def registration_page(self, request: web.Request) -> web.StreamResponse:
        """`GET /registration`."""
        return self._render(request, "registration.html", {})

    async def activate_page(self, request: web.Request) -> web.StreamResponse:
        """`GET /activate`."""
        return self._render(request, "activate.html", {})

    async def _application(self, body: BeginBody) -> Application:
        application = await self._applications.find(body.application or SETTINGS)
        if application is None:
            raise errors.InvalidClient
        return application

    def _error(self, request: web.Request, what: str) -> web.Response:
        response = self._render(request, "error.html", {"what": what})
        response.set_status(400)
        return response

    def _render(
        self, request: web.Request, template: str, context: dict[str, str], *, redirect_uri: str = ""
    ) -> web.Response:
        ways = " ".join(way for way, kind in _WAYS.items() if kind in self._verifier.methods)
        response = aiohttp_jinja2.render_template(template, request, {**context, "ways": ways, "words": words()})
        response.headers.update(page_headers(redirect_uri))
        return response


def _with_cookie(answer: web.Response) -> web.Response:
    """The same answer, its token moved to where no script can read it."""
    document = msgspec.json.decode(answer.text or "", type=dict[str, msgspec.Raw])
    token = msgspec.json.decode(document.pop("browser_token"), type=str)
    response = http.json_reply(document, answer.status)
    cookies.set_token(response, token)
    return response


def page_headers(redirect_uri: str = "") -> dict[str, str]:
    """No inline script or style, nothing from elsewhere, no framing; a form may go only to the address to return to."""
    forms = "'self'"
    if redirect_uri:
        target = urlsplit(redirect_uri)
        forms += f" {target.scheme}://{target.netloc}"
    return {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
            f" form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


async def _asked_for_again(request: web.Request, response: web.StreamResponse) -> None:
    """A browser asks before it uses a stored file, or it would mix modules of two versions after an upgrade."""
    if request.path.startswith(_STATIC):
        response.headers["Cache-Control"] = "no-cache"


def _page(path: str, handle: http.Handle, summary: str, statuses: tuple[int, ...] = (200,)) -> Route:
    return Route(
        method="GET",
        path=path,
        handle=handle,
        summary=summary,
        tag="Pages",
        replies=dict.fromkeys(statuses),
        media="text/html",
    )
