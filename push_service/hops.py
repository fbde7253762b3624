"""The hops of a sign-in's way, told after each was taken: what metrics and traces are made of.

Use cases and front-ends tell; `app.py` says who hears. A hop carries what its teller has at hand anyway: rows with
their instants, and how long the step took. Nothing here is asked for anything, so nothing can go wrong by it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from push_service.model.account_states import Credential
from push_service.model.challenge import Challenge
from push_service.model.decision import Decision
from push_service.model.ids import SignInId
from push_service.model.instant import Instant
from push_service.model.message import Via
from push_service.model.sign_in import SignIn
from push_service.ports import SendReport, WakeReport


class PasswordVerdict(StrEnum):
    """What came of looking at a password."""

    RIGHT = "right"
    WRONG = "wrong"
    BUSY = "busy"
    """It was not looked at: too many waited already."""


class BeginSteps(NamedTuple):
    """How long a begin took, in seconds: first factor first, then all of it."""

    first_factor: float
    whole: float


class Hops:
    """Hears of every hop; this one makes nothing of it."""

    def password(self, verdict: PasswordVerdict, seconds: float) -> None:
        """A password was looked at, or turned away."""

    def begun(self, sign_in: SignIn, steps: BeginSteps, trace_parent: str | None) -> None:
        """A sign-in was begun; `trace_parent` is the W3C header of a caller that is trusted to name a trace."""

    def decided(self, decision: Decision[object], seconds: float) -> None:
        """A decision was committed."""

    def sent(self, challenge: Challenge, now: Instant, seconds: float) -> None:
        """A prompt was sent to a phone over its socket."""

    def woken(self, sign_in_id: SignInId | None, report: WakeReport, seconds: float) -> None:
        """A push network was asked to wake a phone, and took so long; no sign-in where it was not even asked."""

    def handed_over(self, via: Via, report: SendReport, seconds: float) -> None:
        """A text or call was handed over to the provider, or was not, and that took so long."""

    def received(self, challenge: Challenge) -> None:
        """A phone said that it shows the prompt."""

    def answered(self, sign_in_id: SignInId, seconds: float) -> None:
        """A phone's answer was taken and decided."""

    def told(self, sign_in: SignIn, now: Instant, *, waited: bool) -> None:
        """A browser's wait ends with the outcome; `waited`: it was waiting when the outcome fell."""

    def refused(self, code: str) -> None:
        """Somebody was answered with this error code, over HTTP or a socket."""

    def client_allowed(self, credential: Credential) -> None:
        """A client that shows no second step was let in."""

    def batch(self, size: int, waited: float, seconds: float) -> None:
        """The store committed so many commands at once; the first had waited, and the commit took, so many seconds."""

    def store_failed(self, commands: int) -> None:
        """The store could not be written: so many commands were refused by it."""
