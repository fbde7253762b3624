"""Limits before anything is sent: per number, per prefix, per country and in total, whoever asks (S-19).

Whoever earns by texts and calls to certain numbers ("toll fraud") may have a hundred accounts and a right password for
each; what they can't hide is where the numbers lie. The store counts, for all processes together, by keyed hashes of
numbers and prefixes. Where it can't be asked, nothing is sent. Stands before an adapter; made by
`push_service/telephony.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import phonenumbers
import structlog

from push_service.delivery.telephony.settings import SpendLimits
from push_service.model.errors import ServiceError, TooManyRequests
from push_service.model.policy import Rate
from push_service.model.throttle import Charge
from push_service.ports import Call, SendOutcome, SendReport, Store, Telephony, Text

NUMBER, PREFIX, COUNTRY, TOTAL = "number_limit", "prefix_limit", "country_limit", "total_limit"
PREFIX_DIGITS = 7
_log = structlog.get_logger()


class _Limit(NamedTuple):
    """What one message is charged to one limit."""

    name: str
    concerns: str
    """What an operator may read of it."""
    charges: tuple[Charge, ...]


class LimitedTelephony:
    """See ports.Telephony: QUOTA with the limit's name where one is reached."""

    def __init__(self, inner: Telephony, store: Store, limits: SpendLimits, keyed_hash: Callable[[bytes], str]) -> None:
        """Stand before this one; count in this store."""
        self._inner, self._store, self._limits, self._keyed_hash = inner, store, limits, keyed_hash

    async def text(self, text: Text) -> SendReport:
        """See ports.Telephony."""
        return await self._over(text.to) or await self._counted(self._inner.text(text), text.to)

    async def call(self, call: Call) -> SendReport:
        """See ports.Telephony."""
        extension = call.extension or ""
        return await self._over(call.to, extension) or await self._counted(self._inner.call(call), call.to, extension)

    async def hang_up(self, provider_id: str) -> None:
        """See ports.Telephony."""
        await self._inner.hang_up(provider_id)

    async def _counted(self, sending: Awaitable[SendReport], to: str, extension: str = "") -> SendReport:
        """Send; what surely did not go out is given back, so that a provider's bad hour uses up nothing."""
        report = await sending
        if report.outcome is SendOutcome.TEMPORARY:
            charges = [charge.given_back() for limit in self._of(to, extension) for charge in limit.charges]
            with suppress(ServiceError):  # it is counted once too often, then
                await self._store.debit(charges)
        return report

    async def _over(self, to: str, extension: str = "") -> SendReport | None:
        """Charge all limits or none; why not, where it was none."""
        limits = self._of(to, extension)
        try:
            await self._store.debit([charge for limit in limits for charge in limit.charges])
        except TooManyRequests:
            return SendReport(SendOutcome.QUOTA, await self._reached(limits))
        except ServiceError as refusal:
            return SendReport(SendOutcome.TEMPORARY, refusal.code)
        return None

    async def _reached(self, limits: Sequence[_Limit]) -> str:
        """Which one it was; the widest, where there is room again by now."""
        for limit in limits:
            try:
                await self._store.debit(limit.charges)
                await self._store.debit([charge.given_back() for charge in limit.charges])
            except TooManyRequests:
                _log.warning("telephony.limit_reached", limit=limit.name, concerns=limit.concerns)
                return limit.name
            except ServiceError:
                break
        return TOTAL

    def _of(self, to: str, extension: str) -> tuple[_Limit, ...]:
        # A whole office may stand behind one number: each extension is a phone of its own.
        prefix, country = to[: PREFIX_DIGITS + 1], _country(to)
        return (
            self._limit(NUMBER, "", self._keyed_hash(f"number\n{to};{extension}".encode()), self._limits.number),
            self._limit(PREFIX, prefix, self._keyed_hash(f"prefix\n{prefix}".encode()), self._limits.prefix),
            self._limit(COUNTRY, country, country, self._limits.country),
            self._limit(TOTAL, "", "", self._limits.total),
        )

    def _limit(self, name: str, concerns: str, key: str, rates: Sequence[Rate]) -> _Limit:
        charges = (Charge.one(f"telephony:{name}:{rate}:{key}", rate) for rate in rates)
        return _Limit(name, concerns, tuple(charges))


def _country(to: str) -> str:
    """The country, as ISO 3166 has it; of a number that is not in use in any, the largest of its calling code."""
    number = phonenumbers.parse(to, None)
    code = number.country_code or 0
    return phonenumbers.region_code_for_number(number) or phonenumbers.region_code_for_country_code(code)
