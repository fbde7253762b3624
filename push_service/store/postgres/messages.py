"""The outbox of texts and calls: each call one transaction, so that a message goes to one process only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from push_service.model.ids import MessageId, SignInId
from push_service.model.instant import Instant, after
from push_service.model.message import Outgoing, Sent, TakenOver
from push_service.store import messages
from push_service.store.outbox import for_postgres
from push_service.store.postgres.connections import fetch
from push_service.store.postgres.leases import NOW
from push_service.store.rows import Rows

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection

CLAIM = (
    f"WITH chosen AS MATERIALIZED ({for_postgres(messages.OF_LEASE)} FOR NO KEY UPDATE OF m),"  # noqa: S608
    " begun AS (UPDATE messages SET begun = 1, lease_until = $4 FROM chosen WHERE messages.id = chosen.id)"
    " SELECT * FROM chosen"
)
"""Of: now, message, end of its lease, its next end. In one statement: every text begins with it."""
ANY_DUE = for_postgres(messages.ANY_DUE)
DUE = f"{for_postgres(messages.DUE)} FOR NO KEY UPDATE OF m SKIP LOCKED"
OF_NO_USE = f"{for_postgres(messages.OF_NO_USE)} FOR NO KEY UPDATE OF m SKIP LOCKED"
SENT = (
    f"WITH moved AS ({for_postgres(messages.MOVE)} RETURNING id)"  # noqa: S608
    " SELECT c.sign_in_id FROM moved JOIN challenges c ON c.id = moved.id"
)
_BEGIN, _MOVE, _RELEASE = (for_postgres(each) for each in (messages.BEGIN, messages.MOVE, messages.RELEASE))


async def claim(
    connection: Connection, map_: Rows, message_id: MessageId, lease_until: Instant, seconds: float
) -> Outgoing | None:
    """Mark a message as begun; what is to be sent."""
    now: Instant = await connection.fetchval(NOW)
    found = await fetch(connection, CLAIM, now, message_id, lease_until, after(now, seconds))
    return map_.outgoing(found[0], now) if found else None


async def take_due(connection: Connection, map_: Rows, limit: int, seconds: float) -> TakenOver:
    """Take over what nobody holds any more. Mostly there is none, and then nothing is locked."""
    now: Instant = await connection.fetchval(NOW)
    if not await connection.fetch(ANY_DUE, now):
        return TakenOver((), ())
    async with connection.transaction():
        useless = await fetch(connection, OF_NO_USE, now)
        found = await fetch(connection, DUE, now, limit)
        unknown = [row for row in found if row[messages.BEGUN]]
        to_send = tuple(map_.outgoing(row, now) for row in found if not row[messages.BEGUN])
        ended = [(*messages.FAILED, row[0]) for row in useless] + [(*messages.UNKNOWN, row[0]) for row in unknown]
        await connection.executemany(_MOVE, ended)
        await connection.executemany(_BEGIN, [(after(now, seconds), each.id) for each in to_send])
    return TakenOver(to_send, tuple(row[messages.SIGN_IN] for row in unknown if row[messages.SIGN_IN]))


async def release(connection: Connection, message_id: MessageId, lease_until: Instant) -> None:
    """End a lease now."""
    await connection.execute(_RELEASE, await connection.fetchval(NOW), message_id, lease_until)


async def sent(connection: Connection, message_id: MessageId, what: Sent) -> SignInId | None:
    """Write down what became of a message; whose browser can see that."""
    found = await fetch(connection, SENT, what.state.value, what.code, what.provider_id, message_id)
    return SignInId(found[0][0]) if found else None
