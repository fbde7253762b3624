"""Push tokens in the devices' rows: whose they are, and when they go.

A row's hash says where to look, the sealed token alone what it is: an older program beside this one changes tokens and
knows of no hash. Called by `commands.py` and `store.py`, inside the writer's transaction.
"""

from __future__ import annotations

import sqlite3

from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.ids import DeviceId, UserId
from push_service.model.instant import Instant
from push_service.store.sqlite.rows import Rows

SWEEP_ROWS = 200
_UNDATED = "SELECT id, user_id FROM devices WHERE push_token IS NOT NULL AND push_token_at IS NULL"
_STALE = "SELECT id, user_id FROM devices WHERE push_token IS NOT NULL AND push_token_at < ?"
TO_SWEEP = f"{_UNDATED} UNION ALL {_STALE} LIMIT 1"
"""Whether there is anything to do; two searches in the index, where one with OR would walk through all of it."""
_FORGET = "UPDATE devices SET push_token = NULL, push_token_hash = NULL, push_token_at = NULL WHERE id = ?"
_DATE = "UPDATE devices SET push_token_at = ? WHERE id = ?"


def take_from_others(connection: sqlite3.Connection, map_: Rows, device_id: DeviceId, token: str) -> tuple[Audit, ...]:
    """Take a token that a device has just registered from every other that has it; the records of that.

    A token is one app on one phone: the other is the same phone before it was set up anew, or sold.
    """
    found = connection.execute(
        "SELECT id, user_id, push_token FROM devices WHERE push_token_hash = ? AND id <> ?",
        (map_.push_token_hash(token), device_id),
    ).fetchall()
    losers = [(other, user) for other, user, sealed in found if map_.push_token(other, sealed) == token]
    for other, _ in losers:
        connection.execute(_FORGET, (other,))
    return tuple(_retired(user, other, "taken_over", Actor.DEVICE) for other, user in losers)


def retire(connection: sqlite3.Connection, map_: Rows, device_id: DeviceId, token: str) -> bool:
    """Forget the device's token if it is this one."""
    found = connection.execute("SELECT push_token FROM devices WHERE id = ?", (device_id,)).fetchone()
    if found is None or map_.push_token(device_id, found[0]) != token:
        return False
    connection.execute(_FORGET, (device_id,))
    return True


def sweep(connection: sqlite3.Connection, now: Instant, before: Instant) -> tuple[Audit, ...]:
    """Forget a bounded number of tokens that nobody has confirmed since `before`; the records of that."""
    for device_id, _ in connection.execute(f"{_UNDATED} LIMIT ?", (SWEEP_ROWS,)).fetchall():
        connection.execute(_DATE, (now, device_id))
    stale = connection.execute(f"{_STALE} LIMIT ?", (before, SWEEP_ROWS)).fetchall()
    for device_id, _ in stale:
        connection.execute(_FORGET, (device_id,))
    return tuple(_retired(user_id, device_id, "stale", Actor.TIME) for device_id, user_id in stale)


def _retired(user_id: UserId, device_id: DeviceId, code: str, actor: Actor) -> Audit:
    return Audit(kind=AuditKind.PUSH_TOKEN_RETIRED, actor=actor, user_id=user_id, code=code, source=device_id)
