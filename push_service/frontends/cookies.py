"""How the service's own pages carry the browser token, and that of a remembered browser: in cookies no script can read.

`__Host-` binds it to this origin and to TLS (loopback counts as secure). With the cookie, whatever changes something
needs `Origin` to be our own and a JSON content type, which no form of another site can send.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime

from aiohttp import web

from push_service.frontends import http
from push_service.model.errors import InvalidToken, OriginNotAllowed, UnsupportedMediaType
from push_service.model.ids import SignInId
from push_service.model.tokens import sign_in_of

NAME = "__Host-sign-in"
REMEMBERED = "__Host-remembered"


def token_for(request: web.Request, sign_in_id: SignInId, own_origin: str, *, changing: bool) -> str:
    """The token that opens this sign-in: from the header, else from the page's cookie.

    Raises InvalidToken and the like.
    """
    if "Authorization" in request.headers:
        return http.bearer(request)
    token = request.cookies.get(NAME)
    if token is None or sign_in_of(token) != sign_in_id:
        raise InvalidToken
    if changing:
        require_own_page(request, own_origin)
    return token


def settings_token(request: web.Request, own_origin: str, *, changing: bool) -> str:
    """The token that may open the settings: from the header, else from the page's cookie.

    Raises InvalidToken and the like.
    """
    if "Authorization" in request.headers:
        return http.bearer(request)
    token = request.cookies.get(NAME)
    if token is None:
        raise InvalidToken
    if changing:
        require_own_page(request, own_origin)
    return token


def require_own_page(request: web.Request, own_origin: str) -> None:
    """Refuse whatever a page of another origin could have sent. Raises OriginNotAllowed, UnsupportedMediaType."""
    if request.headers.get("Origin") != own_origin:
        raise OriginNotAllowed
    if request.content_type != http.JSON:
        raise UnsupportedMediaType


def remembered_token(request: web.Request) -> str | None:
    """The token by which this browser is remembered; what can't be one is none."""
    token = request.cookies.get(REMEMBERED)
    return token if token and token.isascii() else None


def set_remembered(response: web.StreamResponse, token: str, expires_at: str) -> None:
    """Hand the browser the token by which it is remembered, until that time (RFC 3339)."""
    until = format_datetime(datetime.fromisoformat(expires_at), usegmt=True)
    response.set_cookie(REMEMBERED, token, path="/", expires=until, secure=True, httponly=True, samesite="Strict")


def set_token(response: web.StreamResponse, token: str) -> None:
    """Hand the token to the browser for as long as its session lasts."""
    response.set_cookie(NAME, token, path="/", secure=True, httponly=True, samesite="Strict")
