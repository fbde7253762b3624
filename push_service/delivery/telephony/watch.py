"""Tells the metrics, the log and the operator of every text and call that was handed over, or was not.

The log names a message by its id, which is its challenge's; the number is in neither. Stands around the limits and an
adapter; made by `push_service/telephony.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from push_service.delivery.telephony import limits
from push_service.model.ids import MessageId
from push_service.model.message import Via
from push_service.ports import Call, SendOutcome, SendReport, Telephony, Text

ALARM_SECONDS = 600.0
"""How long an operator is told of what went wrong last."""
_log = structlog.get_logger()

Told = Callable[[Via, SendReport, float], None]
"""Hears of each, with the seconds that it took."""


class WatchedTelephony:
    """See ports.Telephony."""

    def __init__(self, inner: Telephony, told: Told) -> None:
        """Stand around this one."""
        self._inner, self._told = inner, told
        self._alarm: str | None = None
        self._alarm_at = -ALARM_SECONDS

    async def text(self, text: Text) -> SendReport:
        """See ports.Telephony."""
        return await self._watched(Via.TEXT, text.id, self._inner.text(text))

    async def call(self, call: Call) -> SendReport:
        """See ports.Telephony."""
        return await self._watched(Via.CALL, call.id, self._inner.call(call))

    async def hang_up(self, provider_id: str) -> None:
        """See ports.Telephony."""
        await self._inner.hang_up(provider_id)

    def alarm(self, at: float) -> str | None:
        """What an operator has to look at; None when all is well."""
        return self._alarm if at - self._alarm_at < ALARM_SECONDS else None

    async def _watched(self, via: Via, message_id: MessageId, sending: Awaitable[SendReport]) -> SendReport:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        report = await sending
        at = loop.time()
        self._told(via, report, at - begun)
        say = _log.info if report.outcome is SendOutcome.SENT else _log.warning
        say(
            "telephony.handed_over",
            via=via.value,
            outcome=report.outcome.value,
            code=report.code,
            message_id=message_id,
            provider_id=report.provider_id,
            seconds=round(at - begun, 3),
        )
        if concern := _alarming(report):
            self._alarm, self._alarm_at = concern, at
        return report


def _alarming(report: SendReport) -> str | None:
    match report:
        case SendReport(outcome=SendOutcome.REFUSED):
            return f"the provider refuses texts or calls: {report.code}."
        case SendReport(outcome=SendOutcome.QUOTA, code=limits.TOTAL | limits.COUNTRY | limits.PREFIX):
            return f"texts and calls are held back: {report.code}. Is somebody running up charges?"
        case SendReport(outcome=SendOutcome.QUOTA, code=code) if code != limits.NUMBER:
            return f"the provider's own limit is reached: {code}."
        case _:
            return None
