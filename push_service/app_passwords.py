"""The use cases of a person's own app passwords, in the settings: make one, list them, revoke one."""

from __future__ import annotations

import functools
import secrets
import string
from collections.abc import Callable

import msgspec

from push_service.decisions import Decisions
from push_service.model import app_password, ids
from push_service.model.app_password import AppPassword
from push_service.model.decision import Remembered
from push_service.model.ids import AppPasswordId
from push_service.model.label import label
from push_service.model.rules import app_passwords
from push_service.model.user import AppPasswordKey, User
from push_service.ports import AppPasswordStore


class Made(msgspec.Struct, frozen=True):
    """An app password with its letters, which are told once."""

    app_password: AppPassword
    password: str


class AppPasswords:
    """See the module."""

    def __init__(self, store: AppPasswordStore, decisions: Decisions, mac: Callable[[bytes], str]) -> None:
        """List from the store; keep only the `mac` of what is made."""
        self._store, self._decisions, self._mac = store, decisions, mac

    async def make(
        self, user: User, name: str, source: str | None, remember: Callable[[Made], Remembered] | None = None
    ) -> Made:
        """Make one, of letters that nobody chose, for the user of a fresh settings session.

        Raises InvalidRequest for a name that can't be shown, and what rules/app_passwords.py refuses with.
        """
        letters = "".join(secrets.choice(string.ascii_lowercase) for _ in range(app_password.LETTERS))
        key = AppPasswordKey(
            id=ids.app_password_id(),
            mac=self._mac(app_password.keyed(user.id, letters)),
            name=label(name, "An app password's name"),
        )
        rule = functools.partial(app_passwords.add, new=app_passwords.NewAppPassword(key, user, source))
        password = app_password.shown(letters)
        keep = (lambda kept: remember(Made(kept, password))) if remember else None
        return Made(await self._decisions.decide(user.id, rule, (), keep), password)

    async def list(self, user: User) -> list[AppPassword]:
        """All of a person's, oldest first."""
        return await self._store.app_passwords(user.id)

    async def revoke(self, user: User, revoked: AppPasswordId, source: str | None) -> None:
        """Revoke one: it opens nothing from now on. Raises UnknownAppPassword."""
        rule = functools.partial(app_passwords.revoke, revoked=revoked, source=source)
        await self._decisions.decide(user.id, rule)
