"""What the operator decides about texts and calls, as the adapters want it. Made by `config/telephony.py`."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from push_service.model.policy import Rate

TWILIO = "https://api.twilio.com"


class Provider(StrEnum):
    """Whose interface is spoken."""

    TWILIO = "twilio"
    WEBHOOK = "webhook"
    """A gateway of the operator's own: gateway/__init__.py says what it is sent."""


class Language(StrEnum):
    """What is written and spoken, as BCP 47 has it; each is a file in `wording/`."""

    EN = "en"
    DE = "de"


class SpendLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many texts and calls go out at most, whoever asks for them; all rates of each hold."""

    number: tuple[Rate, ...]
    """To one number."""
    prefix: tuple[Rate, ...]
    """To all numbers that share their first seven digits."""
    country: tuple[Rate, ...]
    total: tuple[Rate, ...]


class TelephonyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that texts and calls need to know."""

    provider: Provider
    base_url: str
    """The provider's origin; a gateway's whole address."""
    public_url: str
    """Where the provider brings its news, and what it signs."""
    account_sid: str
    auth_token: str
    sender: str
    """Who texts come from: a number, a name, or a messaging service (MG...)."""
    caller: str
    """Whom calls come from: a number; "" where there is none."""
    timeout_seconds: float
    concurrency: int
    machine_detection: bool
    """Whether the provider listens first who answered."""
    language: Language
    pin_digits: int
    """How many digits of the page's number are keyed in before #; 0 where # alone is asked for."""
    limits: SpendLimits
