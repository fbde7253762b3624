"""What the outbox says of prompts on their way: what has to be sent still, and what became of an attempt.

A prompt's rows have one lease. Its end is also its name: whoever holds it says which one, and a process that slept past
it finds that the rows belong to another by now.
"""

from __future__ import annotations

import msgspec

from push_service.model.challenge import DeliveryState
from push_service.model.ids import ChallengeId, DeviceId, SignInId, UserId
from push_service.model.instant import Instant


class Undelivered(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt to one device: still asked, not acknowledged, not sent, and leased to whoever is told this."""

    challenge_id: ChallengeId
    device_id: DeviceId
    user_id: UserId
    sign_in_id: SignInId
    platform: str
    push_token: str | None
    attempts: int
    lease_until: Instant
    expires_at: Instant
    seconds: float
    """How long it is still asked, as of the moment of reading."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt to send, under the lease that ends at `lease_until`."""

    challenge_id: ChallengeId
    device_id: DeviceId
    lease_until: Instant
    state: DeliveryState
    """SENT and FAILED are for good; QUEUED is tried again."""
    retry_seconds: float = 0.0
    """When to try again. The lease grows by as much."""
