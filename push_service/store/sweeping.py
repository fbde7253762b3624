"""What may be deleted, and when: what nobody can ask for any more. The audit is kept."""

from __future__ import annotations

from typing import NamedTuple

from push_service.model.instant import Instant, after
from push_service.model.policy import LONGEST_CONNECTION_SECONDS, MAX_SIGN_IN_SECONDS, SETTINGS_READING_SECONDS

SWEEP_ROWS = 500
"""At most so many of a table in one go: other writes come in between."""


class Swept(NamedTuple):
    """Rows of `table`, whose key is `key`, may go when `column` lies more than `seconds` back."""

    table: str
    key: str
    column: str
    seconds: int = 0

    def before(self, now: Instant) -> Instant:
        """What is older than this may go."""
        return after(now, -self.seconds)


_READABLE = SETTINGS_READING_SECONDS + MAX_SIGN_IN_SECONDS
"""What began longer ago can't be asked for any more."""

OVER_AND_OLD = (Swept("sign_ins", "id", "begun_at", _READABLE), Swept("challenges", "id", "started_at", _READABLE))
"""Only what is over: what is live but past its deadline waits until that is written down."""

OLD = (
    # A lease is over seconds after its prompt was put: by its end a delivery is known to be as old as that.
    Swept("deliveries", "challenge_id, device_id", "lease_until", _READABLE),
    # The provider's word about one may come late.
    Swept("messages", "id", "expires_at", _READABLE),
    Swept("activations", "code_hash", "expires_at"),
    Swept("proofs_seen", "device_id, jti_hash", "until"),
    Swept("throttles", "key", "tat"),
    Swept("remembered", "caller, route, key_hash", "until"),
    Swept("connections", "device_id", "since", LONGEST_CONNECTION_SECONDS),
)
