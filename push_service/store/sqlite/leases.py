"""The outbox of prompts, inside the writer's transaction: leases and attempts. Called by `store.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from push_service.model.challenge import DeliveryState
from push_service.model.ids import ChallengeId, SignInId
from push_service.model.instant import MICROSECONDS, Instant, after
from push_service.model.outbox import Attempt, Undelivered
from push_service.store import outbox
from push_service.store.rows import Rows


def claim(
    connection: sqlite3.Connection,
    now: Instant,
    map_: Rows,
    challenge_id: ChallengeId,
    lease_until: Instant,
    seconds: float,
) -> list[Undelivered]:
    """Renew a lease; what is to be sent under it."""
    return _leased(
        connection, now, map_, connection.execute(outbox.OF_LEASE, (now, challenge_id, lease_until)), seconds
    )


def take_due(connection: sqlite3.Connection, now: Instant, map_: Rows, limit: int, seconds: float) -> list[Undelivered]:
    """Take over what nobody holds any more."""
    return _leased(connection, now, map_, connection.execute(outbox.DUE, (now, limit)), seconds)


def _leased(
    connection: sqlite3.Connection, now: Instant, map_: Rows, found: sqlite3.Cursor, seconds: float
) -> list[Undelivered]:
    lease_until = after(now, seconds)
    leased = [map_.undelivered(row, now, lease_until) for row in found.fetchall()]
    for each in leased:
        connection.execute(outbox.LEASE, (lease_until, each.challenge_id, each.device_id))
    return leased


def attempted(connection: sqlite3.Connection, now: Instant, attempts: Sequence[Attempt]) -> list[SignInId]:
    """Write down what became of attempts; whose browsers can see that."""
    seen: dict[SignInId, None] = {}
    for each in attempts:
        row = (each.challenge_id, each.device_id)
        if each.state is DeliveryState.QUEUED:
            longer = round(each.retry_seconds * MICROSECONDS)
            connection.execute(outbox.AGAIN, (after(now, each.retry_seconds), longer, *row, each.lease_until))
        elif connection.execute(outbox.DONE, (each.state.value, *row)).rowcount:
            found = connection.execute(outbox.SIGN_IN_OF, (each.challenge_id,))
            seen |= dict.fromkeys(id_ for (id_,) in found)
    return list(seen)


def release(connection: sqlite3.Connection, now: Instant, challenge_id: ChallengeId, lease_until: Instant) -> None:
    """End a lease now."""
    connection.execute(outbox.RELEASE, (now, challenge_id, lease_until))
