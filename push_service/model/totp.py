"""Time-based codes of authenticator apps (RFC 6238, on HOTP of RFC 4226).

A code is accepted within one step of where the app's clock was last seen, and each step at most once: that step, and
all before it, are over then. Called by `methods/app_code.py` at a sign-in and by `rules/enrolment.py` when an app is
confirmed; both write the new use in the transaction that accepts the code.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from push_service.model.instant import Instant, unix
from push_service.model.user import TotpUse

WINDOW = 1
"""Steps of tolerance to either side, for the way from the app to here (RFC 6238, 5.2: at most one)."""

MAX_DRIFT = 2
"""How many steps an app's clock may be known to be off.

A clock that is a minute wrong is let in for good. Each step more would let a code live longer after it was shown, for
whoever looked over a shoulder: with this bound, and steps of 30 seconds, 90 seconds at most, and only for an app whose
clock is that late. A clock further off is to be set right.
"""

_SEPARATOR = ":"


class Algorithm(StrEnum):
    """The hash under the HMAC, as `otpauth` URIs name it. SHA-1 is no weakness here: nothing rests on collisions."""

    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA512 = "SHA512"


class TotpKey(msgspec.Struct, frozen=True):
    """What an app makes codes from."""

    secret: str
    """Base32, upper case, without padding (RFC 4648, 6)."""
    algorithm: Algorithm = Algorithm.SHA1
    digits: int = 6
    period: int = 30
    """Seconds in a step."""

    @property
    def stored(self) -> str:
        """The form kept as a method's secret: the secret alone, or with what departs from the usual before it."""
        if (self.algorithm, self.digits, self.period) == (Algorithm.SHA1, 6, 30):
            return self.secret
        return _SEPARATOR.join((self.algorithm, str(self.digits), str(self.period), self.secret))

    @classmethod
    def of(cls, stored: str) -> TotpKey:
        """Read what `stored` made. Raises ValueError on anything else: that is a defect, never an input."""
        *departs, secret = stored.split(_SEPARATOR)
        if not departs:
            return cls(secret)
        algorithm, digits, period = departs
        return cls(secret, Algorithm(algorithm), int(digits), int(period))

    def step(self, now: Instant) -> int:
        """The step that a right clock is in."""
        return unix(now) // self.period

    def code(self, step: int) -> str:
        """The code of a step: RFC 4226, 5.3, with the step as the counter. Leading zeros belong to it."""
        padded = self.secret + "=" * (-len(self.secret) % 8)
        digest = hmac.digest(base64.b32decode(padded), step.to_bytes(8, "big"), self.algorithm.value.lower())
        offset = digest[-1] & 0xF
        number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
        return f"{number % 10**self.digits:0{self.digits}d}"


def verify(secret: str, code: str, now: Instant, use: TotpUse | None) -> TotpUse | None:
    """Judge a code by a method's stored secret and its latest use; None: it is wrong, or was used before.

    The use returned is to be written with what the code opens. What it says of the clock was learned from a right code
    alone (S-26): wrong ones move nothing.
    """
    matched = [step for step in _matching(secret, code, now, use) if use is None or step > use.step]
    if not matched:
        return None
    drift = matched[0] - TotpKey.of(secret).step(now)
    return TotpUse(step=matched[0], drift=max(-MAX_DRIFT, min(MAX_DRIFT, drift)))


def used_before(secret: str, code: str, now: Instant, use: TotpUse | None) -> bool:
    """Whether a code that was refused would have been right, had its step or a later one not been used (S-25).

    Somebody may have read it from the person's screen: the audit says so.
    """
    return use is not None and any(step <= use.step for step in _matching(secret, code, now, use))


def _matching(secret: str, code: str, now: Instant, use: TotpUse | None) -> Iterator[int]:
    """The steps in reach whose code this is; all are compared, however early one fits, in constant time each."""
    key, given = TotpKey.of(secret), code.encode()
    centre = key.step(now) + (use.drift if use else 0)
    steps = range(max(0, centre - WINDOW), centre + WINDOW + 1)
    fits = [hmac.compare_digest(key.code(step).encode(), given) for step in steps]
    return (step for step, fit in zip(steps, fits, strict=True) if fit)
