"""Push tokens: taken from others along with a decision, forgotten where they are refused or old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from push_service.model.decision import Audit
from push_service.model.ids import DeviceId
from push_service.model.instant import Instant
from push_service.store import push_tokens
from push_service.store.outbox import for_postgres
from push_service.store.postgres.connections import fetch
from push_service.store.rows import Rows

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection

_OTHERS = f"{for_postgres(push_tokens.OTHERS)} ORDER BY id FOR NO KEY UPDATE"
_TOKEN = f"{for_postgres(push_tokens.TOKEN)} FOR NO KEY UPDATE"
_SOME = f"ORDER BY id LIMIT {push_tokens.SWEEP_ROWS} FOR NO KEY UPDATE SKIP LOCKED"
_UNDATED = f"{push_tokens.UNDATED} {_SOME}"
_STALE = f"{for_postgres(push_tokens.STALE)} {_SOME}"
_FORGET, _DATE = for_postgres(push_tokens.FORGET), for_postgres(push_tokens.DATE)


async def take_from_others(connection: Connection, map_: Rows, device_id: DeviceId, token: str) -> tuple[Audit, ...]:
    """Take a token that a device has just registered from every other that has it; the records of that."""
    found = await fetch(connection, _OTHERS, map_.push_token_hash(token), device_id)
    losers = [(other, user) for other, user, sealed in found if map_.push_token(other, sealed) == token]
    await connection.executemany(_FORGET, [(other,) for other, _ in losers])
    return tuple(push_tokens.taken_over(user, other) for other, user in losers)


async def retire(connection: Connection, map_: Rows, device_id: DeviceId, token: str) -> bool:
    """Forget the device's token if it is this one."""
    found = await fetch(connection, _TOKEN, device_id)
    if not found or map_.push_token(device_id, found[0][0]) != token:
        return False
    await connection.execute(_FORGET, device_id)
    return True


async def sweep(connection: Connection, now: Instant, before: Instant) -> tuple[Audit, ...]:
    """Forget a bounded number of tokens that nobody has confirmed since `before`; the records of that."""
    undated = await fetch(connection, _UNDATED)
    await connection.executemany(_DATE, [(now, device_id) for device_id, _ in undated])
    found = await fetch(connection, _STALE, before)
    await connection.executemany(_FORGET, [(device_id,) for device_id, _ in found])
    return tuple(push_tokens.stale(user_id, device_id) for device_id, user_id in found)
