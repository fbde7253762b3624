"""What few decisions write besides, in one transaction: devices, secrets, the account itself, results taken back.

Also how a decision is written alone, where writing it with others failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from push_service.model.decision import Audit, Decision
from push_service.model.ids import UserId
from push_service.model.user import User
from push_service.store import app_passwords, columns, messages
from push_service.store.outbox import for_postgres
from push_service.store.postgres.connections import fetch
from push_service.store.postgres.statements import PUT_AUDIT, Written
from push_service.store.postgres.tokens import take_from_others
from push_service.store.rows import Row, Rows, app_password_row

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection


def insert(table: str, listed: str) -> str:
    """Insert a row; a key that is there already is an error."""
    marks = ", ".join(f"${n}" for n in range(1, columns.width(listed) + 1))
    return f"INSERT INTO {table} ({listed}) VALUES ({marks})"  # noqa: S608


def upsert(table: str, listed: str, key: str = "id") -> str:
    """Insert a whole row, or replace the row of that key."""
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns.names(listed) if name != key)
    return f"{insert(table, listed)} ON CONFLICT ({key}) DO UPDATE SET {changes}"


_CHANGE_ACCOUNT = "UPDATE users SET state = $2, password_hash = $3, admin = $4 WHERE id = $1"
_PUT_DEVICE = upsert("devices", columns.DEVICE_WRITTEN)
_REMOVE_DEVICE = (
    "UPDATE devices SET state = 'removed', push_token = NULL, push_token_hash = NULL, push_token_at = NULL,"
    " totp_secret = NULL WHERE id = $1"
)
_WITHHOLD_BY_DEVICE = (
    "UPDATE sign_ins SET result_jti = NULL, version = version + 1"
    " WHERE user_id = (SELECT user_id FROM devices WHERE id = $1) AND result_jti IS NOT NULL"
    " AND id IS DISTINCT FROM $2 AND (SELECT answered_by FROM challenges WHERE id = sign_ins.challenge_id) = $1"
)
_WITHHOLD_BY_METHOD = (
    "UPDATE sign_ins SET result_jti = NULL, version = version + 1 WHERE user_id = $1 AND result_jti IS NOT NULL"
    " AND id IS DISTINCT FROM $2 AND (SELECT method_id FROM challenges WHERE id = sign_ins.challenge_id) = $3"
)
_WITHHOLD = (
    "UPDATE sign_ins SET result_jti = NULL, version = version + 1"
    " WHERE user_id = $1 AND result_jti IS NOT NULL AND decided_at >= $2"
)
_VOID_ACTIVATIONS = "DELETE FROM activations WHERE user_id = $1 AND device_id IS NULL"
_PUT_ACTIVATION = upsert("activations", columns.ACTIVATION, "code_hash")
_FORGET = "DELETE FROM remembered WHERE caller = $1 AND route = $2 AND key_hash = $3 AND until <= service_now()"
_FORGET_METHOD_SECRET = for_postgres(messages.FORGET_METHOD_SECRET)
_PUT_METHOD_SECRET = insert("method_secrets", columns.METHOD_SECRET)
_FORGET_APP_PASSWORD = for_postgres(app_passwords.FORGET)
_PUT_APP_PASSWORD = upsert("app_passwords", columns.APP_PASSWORD_WRITTEN)
_REMOVE_USER = (
    *(f"DELETE FROM {table} WHERE user_id = $1" for table in columns.OF_USER),  # noqa: S608
    "DELETE FROM users WHERE id = $1",
)


def is_seldom(before: User, decision: Decision[object]) -> bool:
    """Whether the decision writes anything that `statements.write` does not."""
    rare = decision.device or decision.removed_devices or decision.activation or decision.remove_user
    secrets = (
        decision.method_secrets or decision.removed_methods or decision.app_password or decision.removed_app_passwords
    )
    return bool(rare or secrets) or decision.withhold_results_since is not None or _account_changes(before, decision)


async def write_alone(
    connection: Connection, map_: Rows, written: Written, before: User, decision: Decision[object]
) -> tuple[list[Row], tuple[Audit, ...]]:
    """Write one decision whole, or nothing; answers what `statements.write` answers, and what was recorded besides."""
    besides: tuple[Audit, ...] = ()
    async with connection.transaction():
        if kept := decision.remembered:
            # One that is over though not yet swept away: its key may be used again.
            await connection.execute(_FORGET, kept.caller, kept.route, kept.key_hash)
        answered = await fetch(connection, written.statement, *written.arguments())
        if any(row[1] is None for row in answered):
            besides = await _write_rest(connection, map_, before, decision)
            if besides:
                await connection.execute(PUT_AUDIT, *written.further_records(besides))
    return answered, besides


async def _write_rest(
    connection: Connection, map_: Rows, before: User, decision: Decision[object]
) -> tuple[Audit, ...]:
    """Says what is to be recorded besides."""
    execute, after, device = connection.execute, decision.user, decision.device
    if after and _account_changes(before, decision):
        await execute(_CHANGE_ACCOUNT, before.id, after.state.value, after.password_hash, int(after.admin))
    if device:
        await execute(_PUT_DEVICE, *map_.device_row(device))
    for device_id in decision.removed_devices:
        await execute(_REMOVE_DEVICE, device_id)
        await execute(_WITHHOLD_BY_DEVICE, device_id, decision.within)
    await _write_secrets(connection, map_, before.id, decision)
    if decision.activation:
        # Unused codes of the same person are void, and must not be found by them any more.
        await execute(_VOID_ACTIVATIONS, decision.activation.user_id)
        await execute(_PUT_ACTIVATION, *msgspec.structs.astuple(decision.activation))
    if decision.withhold_results_since is not None:
        await execute(_WITHHOLD, before.id, decision.withhold_results_since)
    if decision.remove_user:
        for statement in _REMOVE_USER:
            await execute(statement, before.id)
    if device and device.push_token:
        return await take_from_others(connection, map_, device.id, device.push_token)
    return ()


async def _write_secrets(connection: Connection, map_: Rows, user_id: UserId, decision: Decision[object]) -> None:
    """What methods need, and the list of app passwords."""
    execute = connection.execute
    for method_id in decision.removed_methods:
        await execute(_FORGET_METHOD_SECRET, method_id)
        await execute(_WITHHOLD_BY_METHOD, user_id, decision.within, method_id)
    for secret in decision.method_secrets:
        await execute(_PUT_METHOD_SECRET, *map_.method_secret_row(user_id, secret))
    for app_password_id in decision.removed_app_passwords:
        await execute(_FORGET_APP_PASSWORD, app_password_id)
    if decision.app_password:
        await execute(_PUT_APP_PASSWORD, *app_password_row(user_id, decision.app_password))


def _account_changes(before: User, decision: Decision[object]) -> bool:
    after = decision.user
    return after is not None and (after.state, after.password_hash, after.admin) != (
        before.state,
        before.password_hash,
        before.admin,
    )
