"""Push tokens in the devices' rows, in the dialect that both stores share: whose they are, and when they go.

A row's hash says where to look, the sealed token alone what it is: an older program beside this one changes tokens and
knows of no hash. Parameters are numbered as in outbox.py.
"""

from __future__ import annotations

from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.ids import DeviceId, UserId

SWEEP_ROWS = 200
OTHERS = "SELECT id, user_id, push_token FROM devices WHERE push_token_hash = ?1 AND id <> ?2"
TOKEN = "SELECT push_token FROM devices WHERE id = ?1"  # noqa: S105 - a statement
UNDATED = "SELECT id, user_id FROM devices WHERE push_token IS NOT NULL AND push_token_at IS NULL"
STALE = "SELECT id, user_id FROM devices WHERE push_token IS NOT NULL AND push_token_at < ?1"
TO_SWEEP = f"{UNDATED} UNION ALL {STALE} LIMIT 1"
"""Whether there is anything to do; two searches in the index, where one with OR would walk through all of it."""
FORGET = "UPDATE devices SET push_token = NULL, push_token_hash = NULL, push_token_at = NULL WHERE id = ?1"
DATE = "UPDATE devices SET push_token_at = ?1 WHERE id = ?2"


def taken_over(user_id: UserId, device_id: DeviceId) -> Audit:
    """The record that another device registered the token of this one.

    A token is one app on one phone: the other is the same phone before it was set up anew, or sold.
    """
    return _retired(user_id, device_id, "taken_over", Actor.DEVICE)


def stale(user_id: UserId, device_id: DeviceId) -> Audit:
    """The record that a device has not confirmed its token for long."""
    return _retired(user_id, device_id, "stale", Actor.TIME)


def _retired(user_id: UserId, device_id: DeviceId, code: str, actor: Actor) -> Audit:
    return Audit(kind=AuditKind.PUSH_TOKEN_RETIRED, actor=actor, user_id=user_id, code=code, source=device_id)
