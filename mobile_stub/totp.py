"""Time-based one-time codes, RFC 6238 over RFC 4226: what an authenticator app shows.

Called by `Phone.code`. Only SHA-1 with its common parameters is used by the service; the other two hashes of the RFC
are here because its test vectors cover them.
"""

from __future__ import annotations

import base64
import hmac

import msgspec


class TotpSettings(msgspec.Struct, frozen=True):
    """What activation hands over: `secret` in base32 without padding, `period` in seconds."""

    secret: str
    algorithm: str = "SHA1"
    digits: int = 6
    period: int = 30

    def key(self) -> bytes:
        """The secret's bytes."""
        return base64.b32decode(self.secret + "=" * (-len(self.secret) % 8))


def totp(settings: TotpSettings, at: float) -> str:
    """The code of the time step that holds `at` (seconds since 1970), with leading zeros."""
    step = int(at) // settings.period
    mac = hmac.digest(settings.key(), step.to_bytes(8, "big"), settings.algorithm)
    offset = mac[-1] & 0x0F
    truncated = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(truncated % 10**settings.digits).zfill(settings.digits)
