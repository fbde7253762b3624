"""Who wants to sign in, and whether their password is right, or an application vouches for them.

Wrong passwords are counted before anything is hashed, by person and address, so that guessing is slow and nobody
elsewhere can keep a right password out (S-29). Nothing is given away: unknown and wrong are one answer, in one time.
Browsers come here by `Begin`, and clients without one by client_sign_in.py, so that both count together (S-51).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from push_service.decisions import Decisions
from push_service.hops import Hops, PasswordVerdict
from push_service.model import ids
from push_service.model.application import Application
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.errors import Busy, InvalidCredentials, InvalidRequest, ServiceError, TooManyRequests
from push_service.model.policy import Policy, Rate
from push_service.model.sign_in import Asker
from push_service.model.throttle import Charge
from push_service.model.user import User, name_key
from push_service.ports import PasswordChecker, Store


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """A name and what is shown for it, by whom, from where."""

    refused_as: ClassVar[AuditKind]
    by: ClassVar[Actor]

    application: Application
    username: str
    password: str | None
    asker: Asker
    address: str | None
    """What limits by address count by; None where an authenticated application named no browser."""


class Begin(Presented, frozen=True, kw_only=True):
    """What a browser, or an application for it, asks."""

    refused_as = AuditKind.SIGN_IN_REFUSED
    by = Actor.BROWSER

    replaces: str | None = None
    nonce: str | None = None
    trace_parent: str | None = None
    """The trace that the request belongs to (W3C traceparent), where whoever sent it may name one."""


class FirstFactor:
    """Checks it."""

    def __init__(
        self,
        store: Store,
        decisions: Decisions,
        passwords: PasswordChecker,
        policy: Policy,
        hops: Hops | None = None,
    ) -> None:
        """Find people in the store, and count there."""
        self._store, self._decisions, self._passwords, self._policy = store, decisions, passwords, policy
        self._hops = hops or Hops()

    async def check(self, asked: Begin) -> tuple[User, Sequence[Charge]]:
        """Who it is, with what is to be charged along with the begin. Raises InvalidCredentials."""
        if asked.password is None and not asked.application.may_vouch:
            raise InvalidRequest("A password is needed: this application may not vouch for anyone.")
        user = await self.find(asked.username)
        if asked.password is not None:
            user, tries = await self.prove(asked, asked.password, user)
            return user, (tries.wrong.given_back(),)
        if user is None:
            await self.refuse(asked, None, InvalidCredentials())
            raise InvalidCredentials
        return user, _charge_address(asked, self._policy)

    async def prove(self, asked: Presented, password: str, user: User | None) -> tuple[User, Tries]:
        """Who it is, if the password is theirs, and what was debited for this try.

        Raises InvalidCredentials, TooManyRequests and Busy.
        """
        tries = await self._debit(asked, user)
        begun = time.perf_counter()
        try:
            right = await self._passwords.check(user, password)
        except Busy:
            self._hops.password(PasswordVerdict.BUSY, time.perf_counter() - begun)
            await self._store.debit((tries.wrong.given_back(),))  # it was not looked at, so it was not wrong
            raise
        verdict = PasswordVerdict.RIGHT if right else PasswordVerdict.WRONG
        self._hops.password(verdict, time.perf_counter() - begun)
        if not right:
            await self.refuse(asked, user, InvalidCredentials())
            raise InvalidCredentials
        if user is None:
            raise AssertionError  # pragma: no cover - a checker never accepts a password of nobody
        return user, tries

    async def find(self, username: str) -> User | None:
        """The user of that name; None for nobody, and for what can't be a name."""
        try:
            return await self._store.user_by_name(name_key(username))
        except InvalidRequest:
            return None

    async def count_unseen(self, asked: Presented, user: User | None, fingerprint: str, refusal: ServiceError) -> None:
        """Count and record a try that is refused whatever its password. Raises TooManyRequests.

        Guesses count with the sign-in page's wrong passwords. The same password over and over is no guess: it is a mail
        program that kept the ordinary password, and it must not keep its owner out of the page where they would make an
        app password. It counts by itself. `fingerprint` is a few bits of a keyed hash: enough to tell another password
        from this one, too few to find it by.
        """
        where, rate = _where(asked), self._policy.wrong_passwords
        first = Charge.one(f"tried:{ids.digest(f'{where} {fingerprint}')}", Rate(1, rate.seconds))
        try:
            await self._store.debit((first,))
        except TooManyRequests:
            await self._store.debit((Charge.one(f"repeated:{where}", rate),))
            return
        await self._debit(asked, user)
        await self.refuse(asked, user, refusal)

    async def give_back(self, tries: Tries) -> None:
        """Undo a try that turned out to be none."""
        await self._store.debit(tuple(each.given_back() for each in tries.charges))

    async def refuse(self, asked: Presented, user: User | None, refusal: ServiceError) -> None:
        """Record a refusal."""
        await self._decisions.record(
            Audit(
                kind=asked.refused_as,
                actor=asked.by,
                user_id=user.id if user else None,
                code=refusal.code,
                source=asked.asker.ip,
                data={"application": asked.application.id},
            )
        )

    async def _debit(self, asked: Presented, user: User | None) -> Tries:
        tries = Tries(_charge_address(asked, self._policy), _charge_wrong_password(asked, self._policy))
        try:
            await self._store.debit(tries.charges)
        except TooManyRequests as refusal:
            await self.refuse(asked, user, refusal)
            raise
        return tries


class Tries(msgspec.Struct, frozen=True):
    """What a try is debited, before its password is looked at."""

    by_address: tuple[Charge, ...]
    wrong: Charge

    @property
    def charges(self) -> tuple[Charge, ...]:
        """All of it."""
        return (*self.by_address, self.wrong)


def _charge_address(asked: Presented, policy: Policy) -> tuple[Charge, ...]:
    return (Charge.one(f"begins:{asked.address}", policy.begins_per_address),) if asked.address else ()


def _charge_wrong_password(asked: Presented, policy: Policy) -> Charge:
    """By person and address: nobody elsewhere can keep a right password out."""
    return Charge.one(f"passwords:{_where(asked)}", policy.wrong_passwords)


def _where(asked: Presented) -> str:
    """Person and address, by which tries are counted."""
    try:
        name = name_key(asked.username)
    except InvalidRequest:
        name = ""
    return ids.digest(f"{name}\0{asked.address or asked.application.id}")
