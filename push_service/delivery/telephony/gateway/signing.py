"""How a request between this service and a gateway is signed: HMAC-SHA256 over the time, the address and the body.

With the time in it a request that was overheard is good for minutes only, and with the address in it it is good for
nothing else. Either side signs alike: `X-Push-Service-Time` is seconds since 1970, `X-Push-Service-Signature` is
`v1=` and the hexadecimal HMAC of time, address and body, each but the last followed by a line feed, by the token.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

TIME = "X-Push-Service-Time"
SIGNATURE = "X-Push-Service-Signature"
TOLERANCE_SECONDS = 300
"""How far the two clocks may be apart, the way included."""
_LONGEST_TIME = 12


def signed(token: str, at: int, url: str, body: bytes) -> dict[str, str]:
    """The two headers."""
    return {TIME: str(at), SIGNATURE: _signature(token, str(at), url, body)}


def holds(token: str, now: int, url: str, body: bytes, time: str, signature: str) -> bool:
    """Whether the two headers are right for this request, now. Compared in constant time."""
    right = hmac.compare_digest(_signature(token, time, url, body).encode(), signature.encode(errors="replace"))
    readable = time.isascii() and time.isdigit() and len(time) <= _LONGEST_TIME
    return right and readable and abs(now - int(time)) <= TOLERANCE_SECONDS


def _signature(token: str, time: str, url: str, body: bytes) -> str:
    said = b"\n".join((time.encode(errors="replace"), url.encode(), body))
    return f"v1={hmac.new(token.encode(), said, sha256).hexdigest()}"
