"""Signing in clients that can't show a second step: mail, chat, shells. One request, one answer, nothing kept.

What opens what is the table of model/account_states.py. Where the ordinary password doesn't open the door it is not
even hashed: right or wrong, whatever is not a valid app password gets one and the same answer, so nobody learns here
what the sign-in page protects (S-51). Tries count together with that page's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import msgspec

from push_service.app_password_uses import AppPasswordUses
from push_service.first_factor import FirstFactor, Presented
from push_service.hops import Hops
from push_service.model import account_states, app_password
from push_service.model.account_states import Credential, Outcome, Purpose, Standing, at_clients_door
from push_service.model.decision import Actor, AuditKind
from push_service.model.errors import (
    AppPasswordNotForAdministration,
    InvalidClientCredentials,
    InvalidCredentials,
    PurposeNotAllowed,
    ServiceError,
    TwoStepSignInRequired,
)
from push_service.model.method import Methods, registered_methods
from push_service.model.user import AppPasswordKey, User

KeyedHash = Callable[[bytes], str]

_FINGERPRINT = 4
"""Characters of a keyed hash: 24 bits tell a password from the next one, and narrow nothing down."""


class ClientSignIn(Presented, frozen=True, kw_only=True):
    """What an application asks for one of its clients."""

    refused_as = AuditKind.CLIENT_REFUSED
    by = Actor.APPLICATION

    password: str
    purpose: Purpose


class Allowed(msgspec.Struct, frozen=True):
    """Who is let in, by what; the name of the app password, if it was one."""

    user: User
    credential: Credential
    name: str | None = None


class ClientSignIns:
    """See the module."""

    def __init__(
        self,
        first_factor: FirstFactor,
        mac: KeyedHash,
        uses: AppPasswordUses,
        methods: Methods,
        hops: Hops | None = None,
    ) -> None:
        """Find people and count by `first_factor`; app passwords are found by their `mac`."""
        self._first_factor, self._mac, self._uses, self._methods = first_factor, mac, uses, methods
        self._hops = hops or Hops()

    async def check(self, asked: ClientSignIn) -> Allowed:
        """Who is let in.

        Raises PurposeNotAllowed, InvalidClientCredentials, TooManyRequests, Busy, and what the table says.
        """
        if not asked.application.clients.allows(asked.purpose):
            raise PurposeNotAllowed
        user = await self._first_factor.find(asked.username)
        key = self._key(user, asked.password)
        allowed = await (self._by_app_password(asked, user, key) if user and key else self._by_password(asked, user))
        self._hops.client_allowed(allowed.credential)
        return allowed

    async def turn_away(self, asked: ClientSignIn) -> NoReturn:
        """Refuse name and password where none is taken at all, saying no more than what to do instead.

        Raises AppPasswordNotForAdministration for a valid app password, else TwoStepSignInRequired or TooManyRequests.
        """
        user = await self._first_factor.find(asked.username)
        if self._key(user, asked.password):
            await self._refuse(asked, user, AppPasswordNotForAdministration())
        await self._refuse_unseen(asked, user, TwoStepSignInRequired())

    async def _by_app_password(self, asked: ClientSignIn, user: User, key: AppPasswordKey) -> Allowed:
        outcome = at_clients_door(self._standing(user), Credential.APP_PASSWORD, asked.purpose)
        if outcome is not Outcome.ALLOWED:
            await self._refuse(asked, user, account_states.REFUSALS[outcome]())
        self._uses.used(key.id, asked.address)
        return Allowed(user, Credential.APP_PASSWORD, key.name)

    async def _by_password(self, asked: ClientSignIn, user: User | None) -> Allowed:
        # For nobody a password is hashed, as for those whom it may let in.
        account = self._standing(user) if user else Standing.DISABLED
        outcome = at_clients_door(account, Credential.PASSWORD, asked.purpose)
        if outcome is not Outcome.ALLOWED:
            await self._refuse_unseen(asked, user, account_states.REFUSALS[outcome]())
        try:
            found, tries = await self._first_factor.prove(asked, asked.password, user)
        except InvalidCredentials as wrong:
            raise InvalidClientCredentials from wrong
        await self._first_factor.give_back(tries)
        return Allowed(found, Credential.PASSWORD)

    async def _refuse(self, asked: ClientSignIn, user: User | None, refusal: ServiceError) -> NoReturn:
        await self._first_factor.refuse(asked, user, refusal)
        raise refusal

    async def _refuse_unseen(self, asked: ClientSignIn, user: User | None, refusal: ServiceError) -> NoReturn:
        fingerprint = self._mac(f"tried\0{asked.password}".encode())[:_FINGERPRINT]
        await self._first_factor.count_unseen(asked, user, fingerprint, refusal)
        raise refusal

    def _key(self, user: User | None, password: str) -> AppPasswordKey | None:
        letters = app_password.normal(password)
        if user is None or letters is None or not user.guard.app_passwords:
            return None
        return app_password.opened_by(user.guard, self._mac(app_password.keyed(user.id, letters)))

    def _standing(self, user: User) -> Standing:
        return account_states.standing(user, registered=bool(registered_methods(user.guard, self._methods)))
