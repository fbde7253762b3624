"""The outbox of prompts: leases, attempts, and how far a prompt has come as a browser is told.

Called by `store.py`, what writes inside the writer's transaction. What is due is found in the live sign-ins, which are
few; rows of old prompts lie in the table until they are swept, and an index over them would cost every commit a page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from push_service.model.challenge import DeliveryState
from push_service.model.ids import ChallengeId, SignInId
from push_service.model.instant import MICROSECONDS, Instant, after
from push_service.model.outbox import Attempt, Undelivered
from push_service.store.sqlite import rows
from push_service.store.sqlite.rows import Rows

FURTHEST = (
    "(SELECT CASE WHEN min(d.state) = 3 THEN max(d.state) ELSE max(CASE WHEN d.state = 3 THEN 0 ELSE d.state END) END"
    " FROM deliveries d WHERE d.challenge_id = s.challenge_id)"
)
"""Of several phones the furthest counts; that one could not be reached (3) counts only where none could."""

_ASKED = (
    "c.state = 'pending' AND s.state = 'pending' AND s.expires_at > ? AND v.state = 'active'"
    " AND d.state = 0 AND d.acked_at IS NULL"
)
OF_LEASE = (
    f"SELECT {rows.UNDELIVERED} FROM deliveries d JOIN challenges c ON c.id = d.challenge_id"  # noqa: S608
    f" JOIN sign_ins s ON s.id = c.sign_in_id JOIN devices v ON v.id = d.device_id WHERE {_ASKED}"
    " AND d.challenge_id = ? AND d.lease_until = ?"
)
DUE = (
    f"SELECT {rows.UNDELIVERED} FROM sign_ins s JOIN challenges c ON c.id = s.challenge_id"  # noqa: S608
    " JOIN deliveries d ON d.challenge_id = c.id JOIN devices v ON v.id = d.device_id"
    f" WHERE s.state IN ('pending', 'registration_required') AND {_ASKED}"
    " AND d.lease_until <= ? AND d.next_at <= ? ORDER BY d.next_at LIMIT ?"
)
_LEASE = "UPDATE deliveries SET lease_until = ? WHERE challenge_id = ? AND device_id = ?"
_DONE = (
    "UPDATE deliveries SET state = ?, attempts = attempts + 1"
    " WHERE challenge_id = ? AND device_id = ? AND state = 0 AND acked_at IS NULL"
)
_AGAIN = (
    "UPDATE deliveries SET attempts = attempts + 1, next_at = ?, lease_until = lease_until + ?"
    " WHERE challenge_id = ? AND device_id = ? AND lease_until = ? AND state = 0 AND acked_at IS NULL"
)
_RELEASE = "UPDATE deliveries SET lease_until = ? WHERE challenge_id = ? AND lease_until = ? AND state = 0"


def claim(
    connection: sqlite3.Connection,
    now: Instant,
    map_: Rows,
    challenge_id: ChallengeId,
    lease_until: Instant,
    seconds: float,
) -> list[Undelivered]:
    """Renew a lease; what is to be sent under it."""
    return _leased(connection, now, map_, connection.execute(OF_LEASE, (now, challenge_id, lease_until)), seconds)


def take_due(connection: sqlite3.Connection, now: Instant, map_: Rows, limit: int, seconds: float) -> list[Undelivered]:
    """Take over what nobody holds any more."""
    return _leased(connection, now, map_, connection.execute(DUE, (now, now, now, limit)), seconds)


def _leased(
    connection: sqlite3.Connection, now: Instant, map_: Rows, found: sqlite3.Cursor, seconds: float
) -> list[Undelivered]:
    lease_until = after(now, seconds)
    leased = [map_.undelivered(row, now, lease_until) for row in found.fetchall()]
    for each in leased:
        connection.execute(_LEASE, (lease_until, each.challenge_id, each.device_id))
    return leased


def attempted(connection: sqlite3.Connection, now: Instant, attempts: Sequence[Attempt]) -> list[SignInId]:
    """Write down what became of attempts; whose browsers can see that."""
    seen: dict[SignInId, None] = {}
    for each in attempts:
        row = (each.challenge_id, each.device_id)
        if each.state is DeliveryState.QUEUED:
            longer = round(each.retry_seconds * MICROSECONDS)
            connection.execute(_AGAIN, (after(now, each.retry_seconds), longer, *row, each.lease_until))
        elif connection.execute(_DONE, (each.state.value, *row)).rowcount:
            found = connection.execute("SELECT sign_in_id FROM challenges WHERE id = ?", (each.challenge_id,))
            seen |= dict.fromkeys(id_ for (id_,) in found)
    return list(seen)


def release(connection: sqlite3.Connection, now: Instant, challenge_id: ChallengeId, lease_until: Instant) -> None:
    """End a lease now."""
    connection.execute(_RELEASE, (now, challenge_id, lease_until))
