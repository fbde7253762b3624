"""The outbox of prompts: each call one transaction, so that a lease goes to one process only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from push_service.model.challenge import DeliveryState
from push_service.model.ids import ChallengeId, SignInId
from push_service.model.instant import MICROSECONDS, Instant, after
from push_service.model.outbox import Attempt, Undelivered
from push_service.store import outbox
from push_service.store.outbox import for_postgres
from push_service.store.postgres.connections import fetch
from push_service.store.rows import Row, Rows

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection

NOW = "SELECT service_now()"
OF_LEASE = f"{for_postgres(outbox.OF_LEASE)} FOR NO KEY UPDATE OF d"
DUE = f"{for_postgres(outbox.DUE)} FOR NO KEY UPDATE OF d SKIP LOCKED"
_ANY_DUE = for_postgres(outbox.DUE)
_LEASE, _DONE = for_postgres(outbox.LEASE), for_postgres(outbox.DONE)
_AGAIN, _RELEASE = for_postgres(outbox.AGAIN), for_postgres(outbox.RELEASE)
_SIGN_IN_OF = for_postgres(outbox.SIGN_IN_OF)


async def claim(
    connection: Connection, map_: Rows, challenge_id: ChallengeId, lease_until: Instant, seconds: float
) -> list[Undelivered]:
    """Renew a lease; what is to be sent under it."""
    async with connection.transaction():
        now: Instant = await connection.fetchval(NOW)
        found = await fetch(connection, OF_LEASE, now, challenge_id, lease_until)
        return await _leased(connection, now, map_, found, seconds)


async def take_due(connection: Connection, map_: Rows, limit: int, seconds: float) -> list[Undelivered]:
    """Take over what nobody holds any more. Mostly there is none, and then nothing is locked."""
    now: Instant = await connection.fetchval(NOW)
    if not await connection.fetch(_ANY_DUE, now, 1):
        return []
    async with connection.transaction():
        return await _leased(connection, now, map_, await fetch(connection, DUE, now, limit), seconds)


async def _leased(
    connection: Connection, now: Instant, map_: Rows, found: Sequence[Row], seconds: float
) -> list[Undelivered]:
    lease_until = after(now, seconds)
    leased = [map_.undelivered(row, now, lease_until) for row in found]
    await connection.executemany(_LEASE, [(lease_until, each.challenge_id, each.device_id) for each in leased])
    return leased


async def attempted(connection: Connection, attempts: Sequence[Attempt]) -> list[SignInId]:
    """Write down what became of attempts; whose browsers can see that."""
    seen: dict[SignInId, None] = {}
    async with connection.transaction():
        now: Instant = await connection.fetchval(NOW)
        for each in attempts:
            row = (each.challenge_id, each.device_id)
            if each.state is DeliveryState.QUEUED:
                longer = round(each.retry_seconds * MICROSECONDS)
                await connection.execute(_AGAIN, after(now, each.retry_seconds), longer, *row, each.lease_until)
            elif (await connection.execute(_DONE, each.state.value, *row)) != "UPDATE 0":
                seen |= dict.fromkeys(id_ for (id_,) in await fetch(connection, _SIGN_IN_OF, each.challenge_id))
    return list(seen)


async def release(connection: Connection, challenge_id: ChallengeId, lease_until: Instant) -> None:
    """End a lease now."""
    await connection.execute(_RELEASE, await connection.fetchval(NOW), challenge_id, lease_until)
