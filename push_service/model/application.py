"""An application that sends people here to sign in."""

from __future__ import annotations

import msgspec

from push_service.model.ids import ApplicationId

SETTINGS = ApplicationId("settings")
ADMINISTRATION = ApplicationId("administration")


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """An application's row. Public ones have no secret and are known by the origin of their page."""

    id: ApplicationId
    name: str
    secret_hash: str | None = None
    may_vouch: bool = False
    redirect_uris: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    removed: bool = False

    @property
    def public(self) -> bool:
        """Whether it can't keep a secret."""
        return self.secret_hash is None


def built_in(origin: str) -> tuple[Application, ...]:
    """The two applications that are always there, at the service's own origin."""
    return (
        Application(id=SETTINGS, name="Additional security verification", origins=(origin,)),
        Application(id=ADMINISTRATION, name="Administration", origins=(origin,)),
    )
