"""The door to a person's settings, the same for every section of them: who comes in, and for what."""

from __future__ import annotations

from aiohttp import web

from push_service.frontends import cookies
from push_service.model import errors
from push_service.registrar import Purpose, Registrar, Session

CLOSED = (
    errors.InvalidToken,
    errors.FreshSignInRequired,
    errors.OriginNotAllowed,
    errors.UnsupportedMediaType,
    errors.StoreUnavailable,
)
"""Why it may stay shut."""


class SettingsDoor:
    """Opens to a fresh two-step sign-in for the settings, and, for a first registration, to its token."""

    def __init__(self, registrar: Registrar, public_url: str) -> None:
        """The registrar knows who may come in; `public_url` is the origin of our own pages."""
        self._registrar, self._public_url = registrar, public_url

    async def session(self, request: web.Request, purpose: Purpose) -> Session:
        """Who is in. Raises what `CLOSED` names."""
        token = cookies.settings_token(request, self._public_url, changing=purpose is not Purpose.READ)
        return await self._registrar.session(token, purpose)
