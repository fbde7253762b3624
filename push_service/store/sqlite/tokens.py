"""Push tokens, inside the writer's transaction. Called by `commands.py` and `store.py`."""

from __future__ import annotations

import sqlite3

from push_service.model.decision import Audit
from push_service.model.ids import DeviceId
from push_service.model.instant import Instant
from push_service.store import push_tokens
from push_service.store.rows import Rows


def take_from_others(connection: sqlite3.Connection, map_: Rows, device_id: DeviceId, token: str) -> tuple[Audit, ...]:
    """Take a token that a device has just registered from every other that has it; the records of that."""
    found = connection.execute(push_tokens.OTHERS, (map_.push_token_hash(token), device_id)).fetchall()
    losers = [(other, user) for other, user, sealed in found if map_.push_token(other, sealed) == token]
    for other, _ in losers:
        connection.execute(push_tokens.FORGET, (other,))
    return tuple(push_tokens.taken_over(user, other) for other, user in losers)


def retire(connection: sqlite3.Connection, map_: Rows, device_id: DeviceId, token: str) -> bool:
    """Forget the device's token if it is this one."""
    found = connection.execute(push_tokens.TOKEN, (device_id,)).fetchone()
    if found is None or map_.push_token(device_id, found[0]) != token:
        return False
    connection.execute(push_tokens.FORGET, (device_id,))
    return True


def sweep(connection: sqlite3.Connection, now: Instant, before: Instant) -> tuple[Audit, ...]:
    """Forget a bounded number of tokens that nobody has confirmed since `before`; the records of that."""
    limit = push_tokens.SWEEP_ROWS
    for device_id, _ in connection.execute(f"{push_tokens.UNDATED} LIMIT ?1", (limit,)).fetchall():
        connection.execute(push_tokens.DATE, (now, device_id))
    found = connection.execute(f"{push_tokens.STALE} LIMIT ?2", (before, limit)).fetchall()
    for device_id, _ in found:
        connection.execute(push_tokens.FORGET, (device_id,))
    return tuple(push_tokens.stale(user_id, device_id) for device_id, user_id in found)
