"""What the writer runs: plain functions of a connection, inside its transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from push_service.model import ids
from push_service.model.challenge import DeliveryState
from push_service.model.decision import Audit, Decision, Rule
from push_service.model.errors import StoreUnavailable, TooManyRequests, UnknownUser
from push_service.model.ids import ChallengeId, ConnectionId, DeviceId, SignInId, UserId
from push_service.model.instant import Instant
from push_service.model.throttle import Charge, spend, wait_seconds
from push_service.model.user import Snapshot, User
from push_service.ports import Committed
from push_service.store import app_passwords, columns, joined, messages, rows
from push_service.store.columns import OF_USER
from push_service.store.joined import LIVE
from push_service.store.records import audit_rows, topics_of_decision
from push_service.store.rows import Rows
from push_service.store.sqlite import tokens
from push_service.store.sweeping import OLD, OVER_AND_OLD, SWEEP_ROWS, Swept

R = TypeVar("R")


def upsert(table: str, names: str, key: str = "id") -> str:
    """Insert a whole row, or replace the row of that key."""
    keys = columns.names(key)
    updates = ", ".join(f"{name} = excluded.{name}" for name in columns.names(names) if name not in keys)
    marks = ", ".join("?" * columns.width(names))
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {updates}"  # noqa: S608


def insert(table: str, names: str) -> str:
    """Insert a row; a key that is there already is an error."""
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * columns.width(names))})"  # noqa: S608


def update(table: str, names: str) -> str:
    """Change these columns of the row of the id that comes last."""
    return f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in columns.names(names))} WHERE id = ?"  # noqa: S608


_READ_SNAPSHOT = f"SELECT {joined.SNAPSHOT} FROM {joined.SNAPSHOT_FROM} WHERE u.id = ? ORDER BY s.begun_at"  # noqa: S608
_SWAP = "UPDATE users SET version = version + 1, guard = ? WHERE id = ? AND version = ?"
_SWAP_VERSION = "UPDATE users SET version = version + 1 WHERE id = ? AND version = ?"
_SWAP_ALL = (
    "UPDATE users SET version = version + 1, guard = ?, state = ?, password_hash = ?, admin = ?"
    " WHERE id = ? AND version = ?"
)
_PUT_SIGN_IN = insert("sign_ins", columns.SIGN_IN)
_MOVE_SIGN_IN = update("sign_ins", columns.MOVED_SIGN_IN)
_PUT_CHALLENGE = insert("challenges", columns.CHALLENGE)
_END_CHALLENGE = update("challenges", columns.ENDED_CHALLENGE)
_PUT_DEVICE = upsert("devices", columns.DEVICE_WRITTEN)
_PUT_ACTIVATION = upsert("activations", columns.ACTIVATION, "code_hash")
_PUT_REMEMBERED = insert("remembered", columns.REMEMBERED)
_PUT_DELIVERY = insert("deliveries", columns.DELIVERY)
_PUT_MESSAGE = insert("messages", columns.MESSAGE)
_PUT_METHOD_SECRET = insert("method_secrets", columns.METHOD_SECRET)
_PUT_APP_PASSWORD = upsert("app_passwords", columns.APP_PASSWORD_WRITTEN)
_PUT_AUDIT = insert("audit", columns.AUDIT)
_WITHHOLD = (
    "UPDATE sign_ins SET result_jti = NULL, version = version + 1"
    " WHERE user_id = ? AND result_jti IS NOT NULL AND decided_at >= ?"
)
_WITHHOLD_BY_METHOD = (
    "UPDATE sign_ins SET result_jti = NULL, version = version + 1 WHERE user_id = ?1 AND result_jti IS NOT NULL"
    " AND id IS NOT ?2 AND (SELECT method_id FROM challenges WHERE id = sign_ins.challenge_id) = ?3"
)
_WITHHOLD_BY_DEVICE = (
    "UPDATE sign_ins SET result_jti = NULL, version = version + 1"
    " WHERE user_id = (SELECT user_id FROM devices WHERE id = ?1) AND result_jti IS NOT NULL"
    " AND id IS NOT ?2 AND (SELECT answered_by FROM challenges WHERE id = sign_ins.challenge_id) = ?1"
)
_REMOVE_DEVICE = (
    "UPDATE devices SET state = 'removed', push_token = NULL, push_token_hash = NULL, push_token_at = NULL,"
    " totp_secret = NULL WHERE id = ?"
)
_CONNECTED = (
    f"{upsert('connections', 'device_id, connection_id, since', 'device_id')}"
    " WHERE excluded.since >= connections.since OR connections.since > ?4"
)
_ACKNOWLEDGE = (
    "UPDATE deliveries SET state = ?, acked_at = ? WHERE challenge_id = ? AND device_id = ? AND acked_at IS NULL"
    " AND (SELECT c.state FROM challenges c WHERE c.id = deliveries.challenge_id) = 'pending'"
)


def decide(
    connection: sqlite3.Connection, now: Instant, map_: Rows, user_id: UserId, rule: Rule[R], charges: Sequence[Charge]
) -> tuple[Decision[R], Committed]:
    """Read the snapshot, run the rule, write what it decided."""
    debit(connection, now, charges)
    snapshot = read_snapshot(connection, map_, user_id)
    decision = rule(snapshot, now)
    if decision.until is not None and now >= decision.until:
        raise StoreUnavailable("The decision came too late to be written.", retry_after=1)
    audit = write(connection, now, map_, snapshot.user, decision) if decision.changes else decision.audit
    topics = topics_of_decision(user_id, decision)
    return decision, Committed(topics, audit, decision.deliveries, decision.messages)


def read_snapshot(connection: sqlite3.Connection, map_: Rows, user_id: UserId) -> Snapshot:
    """The user with their live sign-ins, oldest first, as of one moment. Raises UnknownUser."""
    found = connection.execute(_READ_SNAPSHOT, (user_id,)).fetchall()
    if not found:
        raise UnknownUser
    return joined.snapshot(map_, found)


def write(
    connection: sqlite3.Connection, now: Instant, map_: Rows, before: User, decision: Decision[R]
) -> tuple[Audit, ...]:
    """Swap the version, and write the rows with it; says what was recorded."""
    execute = connection.execute
    after_ = decision.user
    if decision.remove_user:
        swapped = _remove_user(connection, before)
    elif after_ is None:
        swapped = execute(_SWAP_VERSION, (before.id, before.version)).rowcount
    elif (after_.state, after_.password_hash, after_.admin) == (before.state, before.password_hash, before.admin):
        swapped = execute(_SWAP, (rows.text(after_.guard), before.id, before.version)).rowcount
    else:
        values = (rows.text(after_.guard), after_.state.value, after_.password_hash, int(after_.admin))
        swapped = execute(_SWAP_ALL, (*values, before.id, before.version)).rowcount
    if swapped != 1:
        raise StoreUnavailable("The user changed while being decided about.", retry_after=1)
    _write_sign_ins(connection, map_, before.id, decision)
    if decision.device or decision.removed_devices or decision.activation or decision.remembered:
        _write_seldom(connection, now, map_, decision)
    _write_secrets(connection, map_, before.id, decision)
    if decision.withhold_results_since is not None:
        execute(_WITHHOLD, (before.id, decision.withhold_results_since))
    audit = decision.audit
    if decision.device is not None and decision.device.push_token is not None:
        audit += tokens.take_from_others(connection, map_, decision.device.id, decision.device.push_token)
    record(connection, now, audit)
    return audit


def _write_sign_ins(connection: sqlite3.Connection, map_: Rows, user_id: UserId, decision: Decision[R]) -> None:
    """Insert what is new, and of what was there only what can have changed."""
    execute = connection.execute
    for sign_in in decision.sign_ins:
        if sign_in.version == 1:
            execute(_PUT_SIGN_IN, map_.sign_in_row(sign_in))
        else:
            execute(_MOVE_SIGN_IN, map_.moved_sign_in_row(sign_in))
    for challenge in decision.challenges:
        if challenge.ended_at is None:
            execute(_PUT_CHALLENGE, map_.challenge_row(challenge))
        else:
            execute(_END_CHALLENGE, map_.ended_challenge_row(challenge))
    for delivery in decision.deliveries:
        execute(_PUT_DELIVERY, rows.delivery_row(delivery))
    for message in decision.messages:
        execute(_PUT_MESSAGE, rows.message_row(user_id, message))


def _write_seldom(connection: sqlite3.Connection, now: Instant, map_: Rows, decision: Decision[R]) -> None:
    execute = connection.execute
    if decision.device:
        execute(_PUT_DEVICE, map_.device_row(decision.device))
    for device_id in decision.removed_devices:
        execute(_REMOVE_DEVICE, (device_id,))
        execute(_WITHHOLD_BY_DEVICE, (device_id, decision.within))
    if decision.activation:
        # Unused codes of the same person are void, and must not be found by them any more.
        execute("DELETE FROM activations WHERE user_id = ? AND device_id IS NULL", (decision.activation.user_id,))
        execute(_PUT_ACTIVATION, msgspec.structs.astuple(decision.activation))
    if kept := decision.remembered:
        stale = "DELETE FROM remembered WHERE caller = ? AND route = ? AND key_hash = ? AND until <= ?"
        execute(stale, (kept.caller, kept.route, kept.key_hash, now))
        execute(_PUT_REMEMBERED, msgspec.structs.astuple(kept))


def _write_secrets(connection: sqlite3.Connection, map_: Rows, user_id: UserId, decision: Decision[R]) -> None:
    """What methods need, and the list of app passwords."""
    execute = connection.execute
    for method_id in decision.removed_methods:
        execute(messages.FORGET_METHOD_SECRET, (method_id,))
        execute(_WITHHOLD_BY_METHOD, (user_id, decision.within, method_id))
    for secret in decision.method_secrets:
        execute(_PUT_METHOD_SECRET, map_.method_secret_row(user_id, secret))
    for app_password_id in decision.removed_app_passwords:
        execute(app_passwords.FORGET, (app_password_id,))
    if decision.app_password:
        execute(_PUT_APP_PASSWORD, rows.app_password_row(user_id, decision.app_password))


def _remove_user(connection: sqlite3.Connection, user: User) -> int:
    for table in OF_USER:
        connection.execute(f"DELETE FROM {table} WHERE user_id = ?", (user.id,))  # noqa: S608
    return connection.execute("DELETE FROM users WHERE id = ? AND version = ?", (user.id, user.version)).rowcount


def record(connection: sqlite3.Connection, now: Instant, audit: Sequence[Audit]) -> None:
    """Append records that belong together."""
    for row in audit_rows(ids.decision_id(), now, audit):
        connection.execute(_PUT_AUDIT, row)


def debit(connection: sqlite3.Connection, now: Instant, charges: Sequence[Charge]) -> None:
    """Spend all charges; the savepoint undoes the earlier ones when a later one is refused."""
    for charge in charges:
        row = connection.execute("SELECT tat FROM throttles WHERE key = ?", (charge.key,)).fetchone()
        before = Instant(row[0]) if row else Instant(0)
        tat = spend(before, now, charge.cost, charge.burst)
        if tat is None:
            raise TooManyRequests(retry_after=wait_seconds(before, now, charge.cost, charge.burst))
        connection.execute(
            "INSERT INTO throttles (key, tat) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET tat = excluded.tat",
            (charge.key, tat),
        )


def acknowledge(
    connection: sqlite3.Connection, now: Instant, received: Sequence[tuple[ChallengeId, DeviceId]]
) -> list[SignInId]:
    """Mark prompts as shown; says which sign-ins' pending challenges that concerns."""
    concerned: list[SignInId] = []
    for challenge_id, device_id in received:
        values = (DeliveryState.DELIVERED.value, now, challenge_id, device_id)
        if connection.execute(_ACKNOWLEDGE, values).rowcount:
            found = connection.execute("SELECT sign_in_id FROM challenges WHERE id = ?", (challenge_id,)).fetchone()
            concerned += found or ()
    return concerned


def spend_proof(connection: sqlite3.Connection, device_id: DeviceId, jti_hash: str, until: Instant) -> bool:
    """Remember a proof's id; False if it is known."""
    return bool(
        connection.execute(
            "INSERT INTO proofs_seen (device_id, jti_hash, until) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (device_id, jti_hash, until),
        ).rowcount
    )


def connected(
    connection: sqlite3.Connection, now: Instant, device_id: DeviceId, connection_id: ConnectionId, since: Instant
) -> None:
    """Note a device's newest socket."""
    connection.execute(_CONNECTED, (device_id, connection_id, since, now))


def sweep(connection: sqlite3.Connection, now: Instant) -> int:
    """Delete a bounded number of rows that nobody can ask for any more."""
    gone = sum(_sweep_oldest(connection, each, each.before(now)) for each in OVER_AND_OLD)
    for each in OLD:
        chosen = f"SELECT {each.key} FROM {each.table} WHERE {each.column} < ? LIMIT {SWEEP_ROWS}"  # noqa: S608
        sql = f"DELETE FROM {each.table} WHERE ({each.key}) IN ({chosen})"  # noqa: S608
        gone += connection.execute(sql, (each.before(now),)).rowcount
    return gone


def _sweep_oldest(connection: sqlite3.Connection, swept: Swept, before: Instant) -> int:
    """Delete what is over and old from the beginning of a table, which is in the order of insertion."""
    oldest = f"SELECT id, state, {swept.column} AS since FROM {swept.table} ORDER BY rowid LIMIT {SWEEP_ROWS}"  # noqa: S608
    over = f"SELECT id FROM ({oldest}) WHERE since < ? AND NOT {LIVE}"  # noqa: S608
    return connection.execute(f"DELETE FROM {swept.table} WHERE id IN ({over})", (before,)).rowcount  # noqa: S608
