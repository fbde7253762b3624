"""The outbox of prompts, in the dialect that both stores share: leases, attempts, and what is still to be sent.

Parameters are numbered `?1`, as SQLite has them; `for_postgres` numbers them `$1`. What is due is found in the live
sign-ins, which are few; rows of old prompts lie in the table until they are swept, and an index over them would cost
every commit a page.
"""

from __future__ import annotations

UNDELIVERED = (
    "d.challenge_id, d.device_id, d.attempts, d.lease_until, c.user_id, c.sign_in_id, s.expires_at, v.platform,"
    " v.push_token"
)
"""What rows.undelivered maps."""

_ASKED = (
    "c.state = 'pending' AND coalesce(s.state, '') = 'pending' AND s.expires_at > ?1 AND v.state = 'active'"
    " AND d.state = 0 AND d.acked_at IS NULL"
)
"""`coalesce`: whoever has the sign-in's id is to find it by that. The plain condition offers the index of those that
are live, and a planner that counts too few of them would read it from end to end."""
OF_LEASE = (
    f"SELECT {UNDELIVERED} FROM deliveries d JOIN challenges c ON c.id = d.challenge_id"  # noqa: S608
    f" JOIN sign_ins s ON s.id = c.sign_in_id JOIN devices v ON v.id = d.device_id WHERE {_ASKED}"
    " AND d.challenge_id = ?2 AND d.lease_until = ?3"
)
"""Of: now, challenge, end of its lease."""
DUE = (
    f"SELECT {UNDELIVERED} FROM sign_ins s JOIN challenges c ON c.id = s.challenge_id"  # noqa: S608
    " JOIN deliveries d ON d.challenge_id = c.id JOIN devices v ON v.id = d.device_id"
    f" WHERE s.state IN ('pending', 'registration_required') AND {_ASKED}"
    " AND d.lease_until <= ?1 AND d.next_at <= ?1 ORDER BY d.next_at LIMIT ?2"
)
"""Of: now, at most so many."""
LEASE = "UPDATE deliveries SET lease_until = ?1 WHERE challenge_id = ?2 AND device_id = ?3"
DONE = (
    "UPDATE deliveries SET state = ?1, attempts = attempts + 1"
    " WHERE challenge_id = ?2 AND device_id = ?3 AND state = 0 AND acked_at IS NULL"
)
AGAIN = (
    "UPDATE deliveries SET attempts = attempts + 1, next_at = ?1, lease_until = lease_until + ?2"
    " WHERE challenge_id = ?3 AND device_id = ?4 AND lease_until = ?5 AND state = 0 AND acked_at IS NULL"
)
RELEASE = "UPDATE deliveries SET lease_until = ?1 WHERE challenge_id = ?2 AND lease_until = ?3 AND state = 0"
SIGN_IN_OF = "SELECT sign_in_id FROM challenges WHERE id = ?1"


def for_postgres(statement: str) -> str:
    """The same statement with PostgreSQL's parameters."""
    return statement.replace("?", "$")
