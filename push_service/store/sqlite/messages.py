"""The outbox of texts and calls, inside the writer's transaction. Called by `store.py`."""

from __future__ import annotations

import sqlite3

from push_service.model.ids import MessageId, SignInId
from push_service.model.instant import Instant, after
from push_service.model.message import Outgoing, Sent, TakenOver
from push_service.store import messages, outbox
from push_service.store.rows import Rows


def claim(
    connection: sqlite3.Connection,
    now: Instant,
    map_: Rows,
    message_id: MessageId,
    lease_until: Instant,
    seconds: float,
) -> Outgoing | None:
    """Mark a message as begun; what is to be sent."""
    row = connection.execute(messages.OF_LEASE, (now, message_id, lease_until)).fetchone()
    if row is None:
        return None
    connection.execute(messages.BEGIN, (after(now, seconds), message_id))
    return map_.outgoing(row, now)


def take_due(connection: sqlite3.Connection, now: Instant, map_: Rows, limit: int, seconds: float) -> TakenOver:
    """Take over what nobody holds any more."""
    for (message_id,) in connection.execute(messages.OF_NO_USE, (now,)).fetchall():
        connection.execute(messages.MOVE, (*messages.FAILED, message_id))
    found = connection.execute(messages.DUE, (now, limit)).fetchall()
    unknown = [row for row in found if row[messages.BEGUN]]
    for row in unknown:
        connection.execute(messages.MOVE, (*messages.UNKNOWN, row[0]))
    to_send = [map_.outgoing(row, now) for row in found if not row[messages.BEGUN]]
    for each in to_send:
        connection.execute(messages.BEGIN, (after(now, seconds), each.id))
    return TakenOver(tuple(to_send), tuple(row[messages.SIGN_IN] for row in unknown if row[messages.SIGN_IN]))


def release(connection: sqlite3.Connection, now: Instant, message_id: MessageId, lease_until: Instant) -> None:
    """End a lease now."""
    connection.execute(messages.RELEASE, (now, message_id, lease_until))


def sent(connection: sqlite3.Connection, message_id: MessageId, what: Sent) -> SignInId | None:
    """Write down what became of a message; whose browser can see that."""
    moved = connection.execute(messages.MOVE, (what.state.value, what.code, what.provider_id, message_id)).rowcount
    found = connection.execute(outbox.SIGN_IN_OF, (message_id,)).fetchone() if moved else None
    return SignInId(found[0]) if found else None
