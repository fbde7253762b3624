"""What may be deleted, and when: what nobody can ask for any more. The audit is kept."""

from __future__ import annotations

from typing import NamedTuple

from push_service.model.instant import Instant, after
from push_service.model.policy import MAX_SIGN_IN_SECONDS, SETTINGS_READING_SECONDS

SWEEP_ROWS = 500
"""At most so many of a table in one go: other writes come in between."""


class Swept(NamedTuple):
    """Rows of `table`, whose key is `key`, may go when `column` lies far enough back."""

    table: str
    key: str
    column: str


OVER_AND_OLD = (Swept("sign_ins", "id", "begun_at"), Swept("challenges", "id", "started_at"))
"""Only what is over: what is live but past its deadline waits until that is written down."""

OLD = (Swept("deliveries", "challenge_id, device_id", "lease_until"),)
"""A lease is over seconds after its prompt was put: by its end a delivery is known to be as old as that."""

RUN_OUT = (
    Swept("activations", "code_hash", "expires_at"),
    Swept("proofs_seen", "device_id, jti_hash", "until"),
    Swept("throttles", "key", "tat"),
    Swept("remembered", "caller, route, key_hash", "until"),
)
"""Gone when the instant itself has passed."""


def unreadable_before(now: Instant) -> Instant:
    """What began before this instant can't be asked for any more."""
    return after(now, -SETTINGS_READING_SECONDS - MAX_SIGN_IN_SECONDS)
