"""Lets pages of registered origins call the interface from the browser (Fetch standard, CORS), and no others.

Only the sign-in interface, and never with cookies: `Access-Control-Allow-Credentials` is not sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from push_service.applications import Applications
from push_service.model.errors import OriginNotAllowed

_SHARED = ("/v1/sign-ins", "/v1/me", "/.well-known/")
PATTERN = r"/{path:v1/(?:sign-ins|me)(?:/.*)?}"
_MAX_AGE_SECONDS = 600


def allow(applications: Applications) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """A response-prepare signal: it also reaches event streams and refusals, which a middleware would not."""

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin")
        if not request.path.startswith(_SHARED):
            return
        response.headers["Vary"] = "Origin"
        if origin is not None and origin in await applications.allowed_origins():
            response.headers.update(_readable(origin))

    return mark


def preflight(applications: Applications) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `OPTIONS`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Origin") not in await applications.allowed_origins():
            raise OriginNotAllowed
        return web.Response(status=204, headers=_PREFLIGHT)

    return handle


_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
    "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
}


def _readable(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Retry-After, X-Request-Id, Date",
    }
