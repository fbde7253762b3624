"""The world's phones over HTTP: JSON to script them, an event stream and static files for the page.

Translates only; the phones are in `shelf.py`. Composed by `world.py`.

========================================  =====================================================================
GET /, GET /phones/{id} (asked for HTML)   the page
GET /phones, GET /phones/{id}              what the screens show
GET /events                                the same, again after every change, as server-sent events
POST /phones {uri, name?, platform?}       activate a phone
GET /phones/{id}/code                       its one-time code, and for how many seconds more
POST /phones/{id}/close, …/open             close its app (no socket: only a push message reaches it), open it
DELETE /phones/{id}                        take it off the account and away
POST /phones/{id}/prompts/{prompt}/verify  {number?}; …/deny, …/fraud without a body
DELETE /phones/{id}/prompts/{prompt}       close it on the screen
========================================  =====================================================================
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from mobile_stub.carrier import Carrier
from mobile_stub.carrier_views import HandsetView
from mobile_stub.errors import ActivationUriError, PhoneError, RefusedError, UnreachableError
from mobile_stub.proofs import Decision
from mobile_stub.shelf import NoSuchPhone, NoSuchPrompt, Shelf
from mobile_stub.views import ActivatePhone, OneTimeCode, Trouble, TypedNumber, WorldView

Body = TypeVar("Body")

PAGE = Path(__file__).parent / "page"
EVENT_COMMENT_SECONDS = 15.0


class PhoneRoutes:
    """Handlers over one shelf, and a look at the phones of a carrier.

    `closing` is set when the world ends, so that event streams end too.
    """

    def __init__(self, shelf: Shelf, carrier: Carrier) -> None:
        self._shelf, self._carrier = shelf, carrier
        self._closing = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/", self.page)
        app.router.add_static("/page/", PAGE)
        app.router.add_get("/events", self.events)
        app.router.add_get("/phones", self.phones)
        app.router.add_post("/phones", self.activate)
        app.router.add_get("/phones/{phone}", self.phone)
        app.router.add_delete("/phones/{phone}", self.remove)
        app.router.add_get("/phones/{phone}/code", self.code)
        app.router.add_post("/phones/{phone}/close", self.close_app)
        app.router.add_post("/phones/{phone}/open", self.open_app)
        prompt = "/phones/{phone}/prompts/{prompt}"
        app.router.add_post(f"{prompt}/verify", self.verify)
        app.router.add_post(f"{prompt}/deny", self.deny)
        app.router.add_post(f"{prompt}/fraud", self.fraud)
        app.router.add_delete(prompt, self.dismiss)
        app.on_shutdown.append(self._close)
        app.middlewares.append(_troubles)

    async def page(self, _: web.Request) -> web.StreamResponse:
        """The page; which phone it shows is in its address."""
        return web.FileResponse(PAGE / "index.html")

    async def phones(self, _: web.Request) -> web.StreamResponse:
        """All screens."""
        return _json(self._view())

    async def phone(self, request: web.Request) -> web.StreamResponse:
        """One screen: as a page for browsers, as JSON for the rest."""
        if "text/html" in request.headers.get("Accept", ""):
            return await self.page(request)
        return _json(self._shelf.phone(request.match_info["phone"]).view())

    async def activate(self, request: web.Request) -> web.StreamResponse:
        """Activate a phone."""
        wanted = await _body(request, ActivatePhone)
        held = await self._shelf.activate(wanted.uri, wanted.name, wanted.platform)
        return _json(held.view(), 201)

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """Take a phone away."""
        await self._shelf.remove(request.match_info["phone"])
        return web.Response(status=204)

    async def code(self, request: web.Request) -> web.StreamResponse:
        """What the app shows to be typed in the browser."""
        phone = self._shelf.phone(request.match_info["phone"]).phone
        now, period = phone.clock.now(), phone.identity.totp.period
        return _json(OneTimeCode(phone.code(now), period - now % period))

    async def close_app(self, request: web.Request) -> web.StreamResponse:
        """Close the app."""
        held = self._shelf.phone(request.match_info["phone"])
        await held.close_app()
        return _json(held.view())

    async def open_app(self, request: web.Request) -> web.StreamResponse:
        """Open the app."""
        held = self._shelf.phone(request.match_info["phone"])
        held.open_app()
        return _json(held.view())

    async def verify(self, request: web.Request) -> web.StreamResponse:
        """Press Verify."""
        typed = await _body(request, TypedNumber)
        return await self._answer(request, Decision.VERIFY, typed.number)

    async def deny(self, request: web.Request) -> web.StreamResponse:
        """Press Deny."""
        return await self._answer(request, Decision.DENY)

    async def fraud(self, request: web.Request) -> web.StreamResponse:
        """Press "This wasn't me"."""
        return await self._answer(request, Decision.REPORT_FRAUD)

    async def dismiss(self, request: web.Request) -> web.StreamResponse:
        """Press Close."""
        self._shelf.phone(request.match_info["phone"]).dismiss(request.match_info["prompt"])
        return web.Response(status=204)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """All screens, now and after every change, until the world or the reader ends."""
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await stream.prepare(request)
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            while not closing.done():
                seen = self._shelf.changes.number
                await stream.write(b"event: world\ndata: " + msgspec.json.encode(self._view()) + b"\n\n")
                change = asyncio.ensure_future(self._shelf.changes.after(seen))
                try:
                    while not (change.done() or closing.done()):
                        await asyncio.wait(
                            {change, closing}, timeout=EVENT_COMMENT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                        )
                        if not change.done():
                            await stream.write(b": still here\n\n")
                finally:
                    change.cancel()
        except ConnectionResetError:
            pass  # the tab was closed
        finally:
            closing.cancel()
        return stream

    def _view(self) -> WorldView:
        handsets = tuple(HandsetView.of(each) for each in self._carrier.handsets())
        return msgspec.structs.replace(self._shelf.view(), handsets=handsets)

    async def _answer(self, request: web.Request, decision: Decision, number: str | None = None) -> web.StreamResponse:
        held = self._shelf.phone(request.match_info["phone"])
        return _json(await held.answer(request.match_info["prompt"], decision, number))

    async def _close(self, _: web.Application) -> None:
        self._closing.set()


def _json(view: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(view), status=status, content_type="application/json")


async def _body(request: web.Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


@web.middleware
async def _troubles(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors of phones as problem documents: the service's own refusals keep their code."""
    try:
        return await handler(request)
    except PhoneError as error:
        trouble = _trouble(error)
        return web.Response(
            body=msgspec.json.encode(trouble), status=trouble.status, content_type="application/problem+json"
        )


def _trouble(error: PhoneError) -> Trouble:
    match error:
        case NoSuchPhone():
            return Trouble(404, "no_such_phone", str(error))
        case NoSuchPrompt():
            return Trouble(409, "no_such_prompt", str(error))
        case ActivationUriError():
            return Trouble(400, "not_an_activation_address", str(error))
        case RefusedError():
            return Trouble(502, error.code, error.problem.detail or f"the service refused: {error.code}")
        case UnreachableError():
            return Trouble(502, "service_unreachable", "the service doesn't answer")
        case _:
            return Trouble(502, "phone_trouble", str(error))
