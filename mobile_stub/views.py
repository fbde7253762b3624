"""What the world says about its phones, as JSON: the page and whoever scripts the world read the same.

Made by `shelf.py`, sent by `phone_routes.py`, drawn by `page/`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from mobile_stub.carrier_views import HandsetView
from mobile_stub.line import LineState
from mobile_stub.wire import Challenge, Confirm, Outcome, WithdrawalReason


class OneTimeCode(msgspec.Struct, frozen=True):
    """The code that a phone's app shows, and for how many seconds more."""

    code: str
    seconds_left: float


class PromptState(StrEnum):
    """What a prompt on the screen has come to. Only WAITING can be answered."""

    WAITING = "waiting"
    COMPLETED = "completed"
    DENIED = "denied"
    FRAUD_REPORTED = "fraud_reported"
    WRONG_NUMBER = "wrong_number"
    TOO_LATE = "too_late"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"

    @classmethod
    def of(cls, outcome: Outcome) -> PromptState:
        """The state that an outcome leads to: the same word."""
        return cls(outcome.value)


class PromptView(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt. `reason` only when withdrawn; `reported`: a report of fraud came too late but was taken down."""

    id: str
    application: str
    username: str
    ip: str | None
    location: str | None
    browser: str | None
    requested_at: datetime
    expires_at: datetime
    confirm: Confirm
    digits: int | None
    state: PromptState = PromptState.WAITING
    reason: WithdrawalReason | None = None
    reported: bool = False

    @classmethod
    def of(cls, challenge: Challenge) -> PromptView:
        """A challenge as it has just come, without the parts that only machines need."""
        return cls(
            id=challenge.id,
            application=challenge.application,
            username=challenge.username,
            ip=challenge.ip,
            location=challenge.location,
            browser=challenge.browser,
            requested_at=challenge.requested_at,
            expires_at=challenge.expires_at,
            confirm=challenge.confirm,
            digits=challenge.digits,
        )


class PhoneView(msgspec.Struct, frozen=True, kw_only=True):
    """One phone; `trouble` is a sentence for people when something is wrong. Prompts are in order of arrival.

    `pushed`: it has a push token, so that its app can be closed (`asleep`) and is opened by a push message.
    """

    id: str
    name: str
    platform: str
    username: str | None
    service: str
    line: LineState
    pushed: bool
    asleep: bool
    trouble: str | None
    prompts: tuple[PromptView, ...]


class WorldView(msgspec.Struct, frozen=True, kw_only=True):
    """All phones, and those that texts and calls reach.

    `now` is the world's clock, by which a page tells how long a prompt has left.
    """

    now: datetime
    phones: tuple[PhoneView, ...]
    handsets: tuple[HandsetView, ...] = ()


class ActivatePhone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /phones."""

    uri: str
    name: str = "Stub phone"
    platform: str = "stub"


class TypedNumber(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of …/verify; no number where none is asked for."""

    number: str | None = None


class Trouble(msgspec.Struct, frozen=True):
    """What went wrong, as `application/problem+json`: `code` for programs, `detail` for people."""

    status: int
    code: str
    detail: str
