"""The steps of a sign-in that change nothing, as log lines: for whoever follows one sign-in through several processes.

What is committed is logged from the audit anyway (observability.py). This is only in between at log level debug, so
that it costs nothing otherwise. Hears the hops (hops.py), and hands each on.
"""

from __future__ import annotations

import structlog

from push_service.hops import BeginSteps, Hops, PasswordVerdict
from push_service.model.account_states import Credential
from push_service.model.challenge import Challenge
from push_service.model.decision import Decision
from push_service.model.ids import SignInId
from push_service.model.instant import Instant
from push_service.model.message import Via
from push_service.model.sign_in import SignIn
from push_service.ports import SendReport, WakeReport

_log = structlog.get_logger()


class Journal(Hops):
    """Writes a line for each step that no audit record tells of."""

    def __init__(self, inner: Hops) -> None:
        """Hand each hop on to this one."""
        self._inner = inner

    def password(self, verdict: PasswordVerdict, seconds: float) -> None:
        """See Hops. It belongs to no sign-in yet."""
        self._inner.password(verdict, seconds)

    def begun(self, sign_in: SignIn, steps: BeginSteps, trace_parent: str | None) -> None:
        """See Hops. The audit tells of it."""
        self._inner.begun(sign_in, steps, trace_parent)

    def decided(self, decision: Decision[object], seconds: float) -> None:
        """See Hops. The audit tells of it."""
        self._inner.decided(decision, seconds)

    def sent(self, challenge: Challenge, now: Instant, seconds: float) -> None:
        """See Hops."""
        self._inner.sent(challenge, now, seconds)
        _log.debug("prompt.sent", sign_in_id=challenge.sign_in_id, user_id=challenge.user_id)

    def woken(self, sign_in_id: SignInId | None, report: WakeReport, seconds: float) -> None:
        """See Hops. The waker tells of it."""
        self._inner.woken(sign_in_id, report, seconds)

    def handed_over(self, via: Via, report: SendReport, seconds: float) -> None:
        """See Hops. WatchedTelephony tells of it."""
        self._inner.handed_over(via, report, seconds)

    def received(self, challenge: Challenge) -> None:
        """See Hops."""
        self._inner.received(challenge)
        _log.debug("prompt.received", sign_in_id=challenge.sign_in_id, user_id=challenge.user_id)

    def answered(self, sign_in_id: SignInId, seconds: float) -> None:
        """See Hops."""
        self._inner.answered(sign_in_id, seconds)
        _log.debug("answer.taken", sign_in_id=sign_in_id, seconds=seconds)

    def told(self, sign_in: SignIn, now: Instant, *, waited: bool) -> None:
        """See Hops."""
        self._inner.told(sign_in, now, waited=waited)
        _log.debug("browser.told", sign_in_id=sign_in.id, user_id=sign_in.user_id, state=sign_in.state.value)

    def refused(self, code: str) -> None:
        """See Hops. It belongs to no sign-in, or the audit tells of it."""
        self._inner.refused(code)

    def client_allowed(self, credential: Credential) -> None:
        """See Hops. It belongs to no sign-in."""
        self._inner.client_allowed(credential)

    def batch(self, size: int, waited: float, seconds: float) -> None:
        """See Hops."""
        self._inner.batch(size, waited, seconds)

    def store_failed(self, commands: int) -> None:
        """See Hops."""
        self._inner.store_failed(commands)
