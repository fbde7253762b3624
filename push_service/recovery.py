"""The use cases for whoever has no method at hand: recovery codes of one's own, and an administrator's bypass."""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from push_service.codes import Codes
from push_service.decisions import Decisions
from push_service.model import ids
from push_service.model.decision import Remembered
from push_service.model.errors import InvalidRequest
from push_service.model.instant import Instant, after
from push_service.model.policy import LONGEST_BYPASS_MINUTES, RECOVERY_CODES
from push_service.model.rules import recovery
from push_service.model.user import Bypass, RecoveryCodes, User
from push_service.ports import Store

_MAX_REASON = 200


class IssuedBypass(msgspec.Struct, frozen=True):
    """A bypass, told once."""

    code: str
    expires_at: Instant


class Recovery:
    """See the module."""

    def __init__(self, store: Store, decisions: Decisions, codes: Codes) -> None:
        """Wire it to its ports."""
        self._store, self._decisions, self._codes = store, decisions, codes

    async def issue_codes(
        self,
        user: User,
        source: str | None,
        remember: Callable[[tuple[str, ...]], Remembered] | None = None,
    ) -> tuple[str, ...]:
        """Ten fresh recovery codes, told this once; those before are void."""
        drawn = [self._codes.draw(user) for _ in range(RECOVERY_CODES)]
        codes = tuple(each.code for each in drawn)
        kept = RecoveryCodes(ids.method_id(), tuple(each.mac for each in drawn))
        rule = functools.partial(recovery.issue_codes, codes=kept, source=source)
        await self._decisions.decide(user.id, rule, (), (lambda _: remember(codes)) if remember else None)
        return codes

    async def issue_bypass(self, user: User, minutes: int, reason: str, issuer: str) -> IssuedBypass:
        """A code for one sign-in within so many minutes, told this once; one before is void.

        Raises InvalidRequest, Forbidden for oneself.
        """
        told = " ".join("".join(char for char in reason if char.isprintable()).split())
        if not told or len(told) > _MAX_REASON:
            raise InvalidRequest(f"A bypass needs a reason of 1 to {_MAX_REASON} visible characters.")
        if not 1 <= minutes <= LONGEST_BYPASS_MINUTES:
            raise InvalidRequest(f"A bypass is good for 1 to {LONGEST_BYPASS_MINUTES} minutes.")
        drawn = self._codes.draw(user)
        expires_at = after(await self._store.now(), minutes * 60)
        bypass = Bypass(id=ids.method_id(), mac=drawn.mac, expires_at=expires_at)
        rule = functools.partial(recovery.issue_bypass, bypass=bypass, issuer=issuer, reason=told)
        await self._decisions.decide(user.id, rule)
        return IssuedBypass(drawn.code, expires_at)
