"""How the service's own pages carry the browser token: in a cookie that no script can read.

`__Host-` binds it to this origin and to TLS (loopback counts as secure). With the cookie, whatever changes something
needs `Origin` to be our own and a JSON content type, which no form of another site can send.
"""

from __future__ import annotations

from aiohttp import web

from push_service.frontends import http
from push_service.model.errors import InvalidToken, OriginNotAllowed, UnsupportedMediaType
from push_service.model.ids import SignInId
from push_service.model.tokens import sign_in_of

NAME = "__Host-sign-in"


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


def set_token(response: web.StreamResponse, token: str) -> None:
    """Hand the token to the browser for as long as its session lasts."""
    response.set_cookie(NAME, token, path="/", secure=True, httponly=True, samesite="Strict")
