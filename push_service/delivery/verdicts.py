"""What follows from a push network's answers beyond the one message: tokens that go, and alarms about the settings.

A token that is dead is retired; many at once are an alarm (`losses.py`), and so is a message that is refused for what
it is or for who sends it: no phone can help that, an operator has to look. Used by `waker.py`, shown by `/readyz`.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from push_service.delivery.losses import WINDOW_SECONDS, Losses, Suspect
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.outbox import Undelivered
from push_service.ports import Store, WakeOutcome, WakeReport

_log = structlog.get_logger()

MOST_REFUSED = "refuses most push tokens: is the service account of the app's own project? No token is deleted."


class Verdicts:
    """See the module."""

    def __init__(self, store: Store, observe: Callable[[Audit], None]) -> None:
        """Retire tokens in this store; `observe` hears of the records of that."""
        self._store, self._observe = store, observe
        self._losses = Losses()
        self._refused_at = -WINDOW_SECONDS
        self._refused_as = ""
        self._suspected = False

    def heard(self, at: float, row: Undelivered, report: WakeReport) -> None:
        """A call was answered."""
        match report.outcome:
            case WakeOutcome.SENT:
                self._losses.sent(at)
            case WakeOutcome.DEAD_TOKEN if row.push_token is not None:
                self._losses.lost(at, Suspect(row.device_id, row.user_id, row.push_token, report.code))
            case WakeOutcome.REFUSED:
                if not self._refusing(at):
                    _log.error("firebase.refused", code=report.code, sign_in_id=row.sign_in_id)
                self._refused_at, self._refused_as = at, report.code
            case _:
                pass

    async def execute(self, at: float) -> None:
        """Retire what is to be retired, and say when an alarm begins or ends."""
        alarming = self._losses.alarming(at)
        if alarming and not self._suspected:
            _log.error("firebase.settings_suspected", detail=MOST_REFUSED)
        elif self._suspected and not alarming:
            _log.info("firebase.settings_trusted")
        self._suspected = alarming
        for each in self._losses.ripe(at):
            audit = Audit(
                kind=AuditKind.PUSH_TOKEN_RETIRED,
                actor=Actor.TIME,
                user_id=each.user_id,
                code=each.code,
                source=each.device_id,
            )
            if await self._store.retire_push_token(each.device_id, each.token, audit):
                self._observe(audit)

    def alarms(self, at: float) -> dict[str, str]:
        """What an operator has to look at, by part; empty when all is well."""
        if self._losses.alarming(at):
            return {"firebase": MOST_REFUSED}
        if self._refusing(at):
            return {"firebase": f"refuses messages: {self._refused_as}."}
        return {}

    def _refusing(self, at: float) -> bool:
        return at - self._refused_at < WINDOW_SECONDS
