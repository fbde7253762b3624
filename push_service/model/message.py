"""Texts and calls on their way to a person: what is to be sent, and what became of it.

A message is sent at most once. It is marked before the provider is called; whoever finds a marked one whose sender is
gone can't know whether it went out, says so (`unknown`), and leaves it to the person to ask again. It is written in the
transaction that asks, leased to the process that writes it, and named after its challenge, or by an id of its own.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from push_service.model.challenge import DeliveryState
from push_service.model.ids import MessageId, MethodId, SignInId, UserId
from push_service.model.instant import Instant


class Via(StrEnum):
    """How it reaches the person."""

    TEXT = "text"
    CALL = "call"


class About(StrEnum):
    """What it says."""

    CODE = "code"
    """The code of a challenge."""
    VERIFY = "verify"
    """Press # to finish: a challenge answered by keys."""
    METHOD_ADDED = "method_added"
    METHOD_REMOVED = "method_removed"
    APP_PASSWORD_ADDED = "app_password_added"  # noqa: S105 - a word
    BYPASS_ISSUED = "bypass_issued"
    FRAUD_REPORTED = "fraud_reported"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message's row as it is born: leased to the process that writes it."""

    id: MessageId
    method_id: MethodId
    """Whose number it goes to."""
    via: Via
    about: About
    expires_at: Instant
    """From then on it is not sent any more."""
    lease_until: Instant
    detail: str = ""
    """What a notice names, such as a masked number; never a secret."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was marked as begun, for whoever is told this to send now, once."""

    id: MessageId
    user_id: UserId
    username: str
    sign_in_id: SignInId | None
    """None: a notice."""
    method_id: MethodId
    via: Via
    about: About
    detail: str
    number: str
    """Where to: E.164, with `;ext=N` where there is an extension (RFC 3966)."""
    secret: str | None
    """The challenge's: the code to tell."""
    seconds: float
    """How long it is still of use."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message."""

    state: DeliveryState
    """SENT, DELIVERED, FAILED or UNKNOWN."""
    code: str | None = None
    """Why not, in a word of ours."""
    provider_id: str | None = None
    """The provider's own id of the text or call."""


class KnownMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as stored, for a provider's word about it to be held against."""

    id: MessageId
    user_id: UserId
    method_id: MethodId
    via: Via
    about: About
    state: DeliveryState
    begun: bool
    """Whether the provider may have been called."""
    provider_id: str | None
    expires_at: Instant


class TakenOver(msgspec.Struct, frozen=True):
    """What was found with nobody to send it: what is to be sent now, and whose browsers are told that it is unknown."""

    to_send: tuple[Outgoing, ...]
    unknown: tuple[SignInId, ...]
