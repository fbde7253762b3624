"""What the writer runs: plain functions of a connection, inside its transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from push_service.model import ids
from push_service.model.challenge import Delivery, DeliveryState
from push_service.model.decision import Audit, Decision, Rule
from push_service.model.errors import StoreUnavailable, TooManyRequests, UnknownUser
from push_service.model.ids import ChallengeId, DeviceId, SignInId, UserId
from push_service.model.instant import Instant, after
from push_service.model.policy import MAX_SIGN_IN_SECONDS, SETTINGS_READING_SECONDS
from push_service.model.throttle import Charge, spend, wait_seconds
from push_service.model.user import Pending, Snapshot, User
from push_service.ports import Committed, Topic
from push_service.store.sqlite import push_tokens, rows
from push_service.store.sqlite.rows import Rows

R = TypeVar("R")

LIVE = "state IN ('pending', 'registration_required')"
SWEEP_ROWS = 500


def upsert(table: str, names: str, key: str = "id") -> str:
    """Insert a whole row, or replace the row of that key."""
    listed = [name.strip() for name in names.split(",")]
    keys = {name.strip() for name in key.split(",")}
    updates = ", ".join(f"{name} = excluded.{name}" for name in listed if name not in keys)
    marks = ", ".join("?" * len(listed))
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {updates}"  # noqa: S608


def insert(table: str, names: str) -> str:
    """Insert a row; a key that is there already is an error."""
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * rows.width(names))})"  # noqa: S608


_CUT = rows.width(rows.SIGN_IN)
_CUT_TWO = _CUT + rows.width(rows.CHALLENGE)
_READ_SNAPSHOT = (
    f"SELECT {rows.columns(rows.SIGN_IN, 's')}, {rows.columns(rows.CHALLENGE, 'c')},"  # noqa: S608
    f" {rows.columns(rows.USER, 'u')} FROM users u LEFT JOIN sign_ins s ON s.user_id = u.id AND s.{LIVE}"
    " LEFT JOIN challenges c ON c.id = s.challenge_id WHERE u.id = ? ORDER BY s.begun_at"
)
_SWAP = "UPDATE users SET version = version + 1, guard = ? WHERE id = ? AND version = ?"
_SWAP_VERSION = "UPDATE users SET version = version + 1 WHERE id = ? AND version = ?"
_SWAP_ALL = (
    "UPDATE users SET version = version + 1, guard = ?, state = ?, password_hash = ?, admin = ?"
    " WHERE id = ? AND version = ?"
)
_PUT_SIGN_IN = insert("sign_ins", rows.SIGN_IN)
_MOVE_SIGN_IN = (
    "UPDATE sign_ins SET state = ?, reason = ?, notice = ?, version = ?, challenge_id = ?, expires_at = ?,"
    " decided_at = ?, amr = ?, result_jti = ?, registration_hash = ? WHERE id = ?"
)
_PUT_CHALLENGE = insert("challenges", rows.CHALLENGE)
_END_CHALLENGE = (
    "UPDATE challenges SET state = ?, reason = ?, answered_by = ?, answer_digest = ?, ended_at = ? WHERE id = ?"
)
_PUT_DEVICE = upsert("devices", rows.DEVICE_WRITTEN)
_PUT_ACTIVATION = upsert("activations", rows.ACTIVATION, "code_hash")
_PUT_REMEMBERED = insert("remembered", rows.REMEMBERED)
_PUT_DELIVERY = insert("deliveries", "challenge_id, device_id, next_at, lease_until")
_PUT_AUDIT = insert("audit", "decision, n, at, user_id, sign_in_id, actor, kind, code, source, data")
_WITHHOLD = (
    "UPDATE sign_ins SET result_jti = NULL, version = version + 1"
    " WHERE user_id = ? AND result_jti IS NOT NULL AND decided_at >= ?"
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
_ACKNOWLEDGE = (
    "UPDATE deliveries SET state = ?, acked_at = ? WHERE challenge_id = ? AND device_id = ? AND acked_at IS NULL"
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
    return decision, Committed(_topics(user_id, decision), audit, decision.deliveries)


def read_snapshot(connection: sqlite3.Connection, map_: Rows, user_id: UserId) -> Snapshot:
    """The user with their live sign-ins, oldest first, as of one moment. Raises UnknownUser."""
    found = connection.execute(_READ_SNAPSHOT, (user_id,)).fetchall()
    if not found:
        raise UnknownUser
    live = tuple(
        Pending(map_.sign_in(row[:_CUT]), map_.challenge(row[_CUT:_CUT_TWO])) for row in found if row[0] is not None
    )
    return Snapshot(map_.user(found[0][_CUT_TWO:]), live)


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
    _write_sign_ins(connection, map_, decision)
    if decision.device or decision.removed_devices or decision.activation or decision.remembered:
        _write_seldom(connection, now, map_, decision)
    if decision.withhold_results_since is not None:
        execute(_WITHHOLD, (before.id, decision.withhold_results_since))
    audit = decision.audit
    if decision.device is not None and decision.device.push_token is not None:
        audit += push_tokens.take_from_others(connection, map_, decision.device.id, decision.device.push_token)
    record(connection, now, audit)
    return audit


def _write_sign_ins(connection: sqlite3.Connection, map_: Rows, decision: Decision[R]) -> None:
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
        execute(_PUT_DELIVERY, _delivery_row(delivery))


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


def _remove_user(connection: sqlite3.Connection, user: User) -> int:
    connection.execute("DELETE FROM devices WHERE user_id = ?", (user.id,))
    connection.execute("DELETE FROM activations WHERE user_id = ?", (user.id,))
    return connection.execute("DELETE FROM users WHERE id = ? AND version = ?", (user.id, user.version)).rowcount


def record(connection: sqlite3.Connection, now: Instant, audit: Sequence[Audit]) -> None:
    """Append records that belong together."""
    if not audit:
        return
    decision = ids.decision_id()
    for n, each in enumerate(audit):
        row = (
            decision,
            n,
            now,
            each.user_id,
            each.sign_in_id,
            each.actor.value,
            each.kind.value,
            each.code,
            each.source,
            rows.text(each.data) if each.data else "{}",
        )
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


def sweep(connection: sqlite3.Connection, now: Instant) -> int:
    """Delete a bounded number of rows that nobody can ask for any more."""
    unreadable = after(now, -SETTINGS_READING_SECONDS - MAX_SIGN_IN_SECONDS)
    gone = _sweep_oldest(connection, "sign_ins", "begun_at", unreadable)
    gone += _sweep_oldest(connection, "challenges", "started_at", unreadable)
    # A lease is over seconds after its prompt was put: by its end a delivery is known to be as old as that.
    for table, key, column, limit in (
        ("deliveries", "challenge_id, device_id", "lease_until", unreadable),
        ("activations", "code_hash", "expires_at", now),
        ("proofs_seen", "device_id, jti_hash", "until", now),
        ("throttles", "key", "tat", now),
        ("remembered", "caller, route, key_hash", "until", now),
    ):
        chosen = f"SELECT {key} FROM {table} WHERE {column} < ? LIMIT {SWEEP_ROWS}"  # noqa: S608
        gone += connection.execute(f"DELETE FROM {table} WHERE ({key}) IN ({chosen})", (limit,)).rowcount  # noqa: S608
    return gone


def _sweep_oldest(connection: sqlite3.Connection, table: str, column: str, before: Instant) -> int:
    """Delete what is over and old from the beginning of a table, which is in the order of insertion."""
    oldest = f"SELECT id, state, {column} AS since FROM {table} ORDER BY rowid LIMIT {SWEEP_ROWS}"  # noqa: S608
    over = f"SELECT id FROM ({oldest}) WHERE since < ? AND state NOT IN ('pending', 'registration_required')"  # noqa: S608
    return connection.execute(f"DELETE FROM {table} WHERE id IN ({over})", (before,)).rowcount  # noqa: S608


def _delivery_row(delivery: Delivery) -> rows.Row:
    return (delivery.challenge_id, delivery.device_id, delivery.next_at, delivery.lease_until)


def _topics(user_id: UserId, decision: Decision[R]) -> tuple[Topic, ...]:
    topics = [Topic.sign_in(sign_in.id) for sign_in in decision.sign_ins]
    if (decision.challenges or decision.device or decision.user) and not decision.devices_know:
        topics.append(Topic.user(user_id))
    return tuple(topics)
