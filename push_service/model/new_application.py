"""An application to be registered: what may be given, and the row that it becomes."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

import msgspec

from push_service.model import ids, web_address
from push_service.model.application import Application, Clients
from push_service.model.errors import InvalidRequest

MAX_NAME = 64


class NewApplication(msgspec.Struct, frozen=True, kw_only=True):
    """An application to be registered, as given; `to_application` checks it."""

    name: str
    public: bool = False
    redirect_uris: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    may_vouch: bool = False
    clients: Clients = Clients.ANY

    def to_application(self) -> Application:
        """The application's row, still without a secret's digest. Raises InvalidRequest."""
        if not _can_be_shown(self.name):
            raise InvalidRequest(f"An application's name has 1 to {MAX_NAME} characters, all of which can be seen.")
        if self.public and self.may_vouch:
            raise InvalidRequest("A public application can't vouch: it has nothing to show who it is.")
        if self.public and not self.origins and not self.redirect_uris:
            raise InvalidRequest("A public application needs an origin or a redirect URI: it is known by nothing else.")
        _check_each("Redirect URI", self.redirect_uris, web_address.redirect_uri)
        _check_each("Origin", self.origins, web_address.origin)
        if self.public and self.clients not in {Clients.ANY, Clients.NONE}:
            raise InvalidRequest("A public application can't ask for clients: it has nothing to show who it is.")
        return Application(
            id=ids.application_id(),
            name=self.name,
            may_vouch=self.may_vouch,
            redirect_uris=self.redirect_uris,
            origins=self.origins,
            clients=Clients.NONE if self.public else self.clients,
        )


def _can_be_shown(name: str) -> bool:
    """Phones show this name in prompts: nothing in it may be invisible or turn the text around (S-43)."""
    visible = all(unicodedata.category(char)[0] not in {"C", "Z"} or char == " " for char in name)
    return visible and 0 < len(name) <= MAX_NAME and name == name.strip()


def _check_each(what: str, texts: Iterable[str], check: Callable[[str], str]) -> None:
    for text in texts:
        try:
            check(text)
        except ValueError as error:
            raise InvalidRequest(f"{what} {text!r}: {error}.") from error
