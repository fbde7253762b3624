"""The numbers that rules are given: how long, how many, how often.

Each has a default and may be set by the operator.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from push_service.model.instant import MICROSECONDS

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})([smhd])")


class Confirm(StrEnum):
    """How a person shows on the phone that the sign-in is theirs."""

    NUMBER = "number"
    TAP = "tap"


class Rate(msgspec.Struct, frozen=True):
    """At most `count` in `seconds`: how that is counted is for `throttle` to say."""

    count: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read `COUNT/PERIOD`, such as `30/5m`; units are s, m, h, d. Raises ValueError on anything else."""
        found = _RATE.fullmatch(text.strip())
        if found is None:
            msg = f"{text!r} is not a rate such as 30/5m"
            raise ValueError(msg)
        count, amount, unit = found.groups()
        return cls(int(count), int(amount) * _UNITS[unit])

    @property
    def interval(self) -> int:
        """Microseconds that one of them uses up, rounded up: never more than `count`."""
        return -(-self.seconds * MICROSECONDS // self.count)

    def __str__(self) -> str:
        """The form that `parse` reads."""
        unit, size = next(each for each in reversed(_UNITS.items()) if self.seconds % each[1] == 0)
        return f"{self.count}/{self.seconds // size}{unit}"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decided. Times are seconds."""

    confirm: Confirm = Confirm.NUMBER
    number_digits: int = 2
    sign_in_seconds: int = 120
    registration_seconds: int = 600
    activation_seconds: int = 600
    pending_per_person: int = 3
    begins_per_person: Rate = Rate(30, 300)
    begins_per_address: Rate = Rate(300, 60)
    prompts_unanswered: tuple[Rate, ...] = (Rate(5, 300), Rate(10, 86400))
    wrong_passwords: Rate = Rate(10, 900)
    wrong_numbers: Rate = Rate(5, 86400)
    wrong_codes: Rate = Rate(10, 3600)
    text_seconds: int = 180
    send_again_seconds: int = 15
    call_pin_digits: int = 0
    phone_countries: tuple[str, ...] = ()
    """ISO 3166-1 codes of the countries whose numbers may be registered; none: of all."""
    fraud_mute_seconds: int = 1200
    reset_grace_seconds: int = 86400


MAX_SIGN_IN_SECONDS = 900
"""No sign-in lives longer than this after it began, however often its challenge is renewed."""

CONSECUTIVE_FAILURES = 100
"""After this many in a row a method is off until it is registered anew (NIST SP 800-63B-4, 3.2.2)."""

READABLE_SECONDS = 600
"""How long an outcome can still be asked for after it fell: hearing is not consuming."""

RESULT_SECONDS = 120
"""How long the signed result of an approved sign-in is valid, and handed out."""

SETTINGS_CHANGE_SECONDS = 600
"""How long after a two-step sign-in for them the settings may be changed."""

SETTINGS_READING_SECONDS = 3600
"""How long after it they may be read."""

LONGEST_CONNECTION_SECONDS = 30 * 86400
"""How long a device's newest socket is remembered. An older one that stood longer would not be told of a newer."""

MAX_WAITS = 8
"""How many requests may wait on one sign-in at once, at each process: it is memory that this guards."""
