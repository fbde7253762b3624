"""Who may talk to the world: programs on this machine, and the world's own page; no other web page.

Any page in the browser can send requests to a port on loopback, and a name of its own can be pointed there. So a
browser's request has to name this host, and a change has to come from the world's own origin. Composed by `world.py`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Checks names and origins, and puts security headers on every response; `host` is what the world listens on."""

    def __init__(self, host: str) -> None:
        self._names = LOOPBACK_NAMES | {host}

    def add_to(self, app: web.Application) -> None:
        """Stand in front of every route."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            if urlsplit(f"//{request.host}").hostname not in self._names:
                raise web.HTTPForbidden(text="this name isn't the world's")
            origin = request.headers.get("Origin")
            if request.method not in SAFE_METHODS and origin not in {None, f"http://{request.host}"}:
                raise web.HTTPForbidden(text="another page may not do this")
            return await handler(request)

        app.middlewares.append(check)
        app.on_response_prepare.append(self._headers)

    async def _headers(self, _: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
