"""An application that sends people here to sign in."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from push_service.model.account_states import Purpose
from push_service.model.ids import ApplicationId

SETTINGS = ApplicationId("settings")
ADMINISTRATION = ApplicationId("administration")


class Clients(StrEnum):
    """For which clients, of those that show no second step, an application may ask (client_sign_in.py)."""

    ANY = "any"
    USE = "use"
    ADMINISTER = "administer"
    NONE = "none"

    def allows(self, purpose: Purpose) -> bool:
        """Whether it may ask for one of that purpose."""
        return self is Clients.ANY or self.value == purpose.value


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """An application's row. Public ones have no secret and are known by the origin of their page."""

    id: ApplicationId
    name: str
    secret_hash: str | None = None
    may_vouch: bool = False
    redirect_uris: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    removed: bool = False
    clients: Clients = Clients.ANY

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
