"""Who wants to sign in, and whether their password is right, or an application vouches for them.

Wrong passwords are counted before anything is hashed, by person and address, so that guessing is slow and nobody
elsewhere can keep a right password out (S-29). Nothing is given away: unknown and wrong are one answer, in one time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from push_service.decisions import Decisions
from push_service.hops import Hops, PasswordVerdict
from push_service.model import ids
from push_service.model.application import Application
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.errors import Busy, InvalidCredentials, InvalidRequest, ServiceError, TooManyRequests
from push_service.model.ids import ApplicationId
from push_service.model.policy import Policy
from push_service.model.sign_in import Asker
from push_service.model.throttle import Charge
from push_service.model.user import User, name_key
from push_service.ports import PasswordChecker, Store


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser, or an application for it, asks."""

    application: Application
    username: str
    password: str | None
    asker: Asker
    address: str | None
    """What limits by address count by; None where an authenticated application named no browser."""
    replaces: str | None = None
    remembered: str | None = None
    """The token by which this browser is remembered."""
    kept_by: ApplicationId
    """Whose page keeps that token."""
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
        by_address = _charge_address(asked, self._policy)
        if asked.password is None:
            if not asked.application.may_vouch:
                raise InvalidRequest("A password is needed: this application may not vouch for anyone.")
            user = await self._find(asked.username)
            if user is None:
                await self._refuse(asked, None, InvalidCredentials())
                raise InvalidCredentials
            return user, by_address
        user = await self._find(asked.username)
        wrong = _charge_wrong_password(asked, self._policy)
        try:
            await self._store.debit((*by_address, wrong))
        except TooManyRequests as refusal:
            await self._refuse(asked, user, refusal)
            raise
        begun = time.perf_counter()
        try:
            right = await self._passwords.check(user, asked.password)
        except Busy:
            self._hops.password(PasswordVerdict.BUSY, time.perf_counter() - begun)
            await self._store.debit((wrong.given_back(),))  # it was not looked at, so it was not wrong
            raise
        verdict = PasswordVerdict.RIGHT if right else PasswordVerdict.WRONG
        self._hops.password(verdict, time.perf_counter() - begun)
        if not right:
            await self._refuse(asked, user, InvalidCredentials())
            raise InvalidCredentials
        if user is None:
            raise AssertionError  # pragma: no cover - a checker never accepts a password of nobody
        return user, (wrong.given_back(),)

    async def _find(self, username: str) -> User | None:
        try:
            return await self._store.user_by_name(name_key(username))
        except InvalidRequest:
            return None

    async def _refuse(self, asked: Begin, user: User | None, refusal: ServiceError) -> None:
        await self._decisions.record(
            Audit(
                kind=AuditKind.SIGN_IN_REFUSED,
                actor=Actor.BROWSER,
                user_id=user.id if user else None,
                code=refusal.code,
                source=asked.asker.ip,
                data={"application": asked.application.id},
            )
        )


def _charge_address(asked: Begin, policy: Policy) -> tuple[Charge, ...]:
    return (Charge.one(f"begins:{asked.address}", policy.begins_per_address),) if asked.address else ()


def _charge_wrong_password(asked: Begin, policy: Policy) -> Charge:
    """By person and address: nobody elsewhere can keep a right password out."""
    try:
        name = name_key(asked.username)
    except InvalidRequest:
        name = ""
    key = ids.digest(f"{name}\0{asked.address or asked.application.id}")
    return Charge.one(f"passwords:{key}", policy.wrong_passwords)
