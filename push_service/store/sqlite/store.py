"""ports.Store on one SQLite file: writes by the writer thread, point reads on a connection of the event loop's own.

A point read is by primary key, from pages that are in memory, and in WAL mode waits for nobody; it takes less than
handing it to a thread would (docs/decisions/0003). Whatever may read many rows goes to a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from push_service.crypto.sealing import Sealer
from push_service.hops import Hops
from push_service.model.app_password import AppPassword
from push_service.model.application import Application
from push_service.model.decision import Audit, Decision, Remembered, Rule
from push_service.model.device import Device, UsedActivation
from push_service.model.errors import NameTaken, StoreUnavailable, UnknownUser
from push_service.model.ids import (
    ApplicationId,
    AppPasswordId,
    ChallengeId,
    ConnectionId,
    DeviceId,
    MessageId,
    MethodId,
    SignInId,
    UserId,
)
from push_service.model.instant import MICROSECONDS, Instant
from push_service.model.message import KnownMessage, Outgoing, Sent, TakenOver
from push_service.model.outbox import Attempt, Undelivered
from push_service.model.sign_in import SignIn
from push_service.model.throttle import Charge
from push_service.model.user import Pending, Snapshot, User, UserState
from push_service.model.view import Seen
from push_service.ports import Committed, Duplicate, StoredKey, Topic
from push_service.store import app_passwords, columns, joined, outbox, push_tokens, rows
from push_service.store.messages import ANY_DUE, KNOWN, METHOD_SECRET
from push_service.store.rows import Rows
from push_service.store.sqlite import commands, leases, messages, tokens
from push_service.store.sqlite.connection import connect, migrate
from push_service.store.sqlite.writer import Clock, Writer

R = TypeVar("R")

_WATCH = f"SELECT {joined.SEEN} FROM {joined.SEEN_FROM} WHERE s.id = ?"  # noqa: S608
_REMEMBERED = (
    f"SELECT {columns.REMEMBERED} FROM remembered"  # noqa: S608
    " WHERE caller = ? AND route = ? AND key_hash = ? AND until > ?"
)
_CHALLENGE = f"SELECT {joined.PENDING} FROM {joined.PENDING_FROM} WHERE c.id = ?"  # noqa: S608


def system_clock() -> Instant:
    """The machine's wall clock."""
    return Instant(time.time_ns() // (1_000_000_000 // MICROSECONDS))


class SqliteStore:
    """Opened with `async with`; `foreign` hears what other processes change in the same file."""

    def __init__(
        self,
        path: Path,
        sealer: Sealer,
        *,
        clock: Clock = system_clock,
        foreign: Callable[[Sequence[Topic]], None] = lambda _: None,
        hops: Hops | None = None,
    ) -> None:
        """Keep everything in `path`, with secret columns sealed."""
        self._path, self._clock, self._foreign, self._hops = path, clock, foreign, hops
        self._map = Rows(sealer)

    async def __aenter__(self) -> Self:
        """Migrate, and start the writer."""
        await asyncio.to_thread(migrate, self._path)
        self._reader = connect(self._path, read_only=True)
        self._writer = Writer(self._path, self._clock, self._foreign, self._hops)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is queued."""
        await self._writer.close()
        self._reader.close()

    @property
    def queued(self) -> int:
        """How many writes are queued or running."""
        return self._writer.outstanding

    @property
    def disk_free(self) -> int:
        """Bytes that are free where the file is."""
        return shutil.disk_usage(self._path.parent).free

    async def now(self) -> Instant:
        """See ports.Store."""
        return self._clock()

    async def decide(
        self, user_id: UserId, rule: Rule[R], charges: Sequence[Charge] = ()
    ) -> tuple[Decision[R], Committed]:
        """See ports.Store."""
        return await self._writer.submit(
            lambda connection, now: commands.decide(connection, now, self._map, user_id, rule, charges)
        )

    async def debit(self, charges: Sequence[Charge]) -> None:
        """See ports.Store."""
        await self._writer.submit(lambda connection, now: commands.debit(connection, now, charges))

    async def record(self, audit: Sequence[Audit]) -> None:
        """See ports.Store."""
        await self._writer.submit(lambda connection, now: commands.record(connection, now, audit))

    async def add_user(self, user: User, audit: Audit) -> None:
        """See ports.Store."""

        def command(connection: sqlite3.Connection, now: Instant) -> None:
            connection.execute(commands.insert("users", columns.USER), self._map.user_row(user))
            commands.record(connection, now, (audit,))

        try:
            await self._writer.submit(command)
        except Duplicate:
            raise NameTaken from None

    async def user_by_name(self, name_key: str) -> User | None:
        """See ports.Store."""
        found = self._read(f"SELECT {columns.USER} FROM users WHERE name_key = ?", name_key)  # noqa: S608
        return self._map.user(found[0]) if found else None

    async def user(self, user_id: UserId) -> User | None:
        """See ports.Store."""
        found = self._read(f"SELECT {columns.USER} FROM users WHERE id = ?", user_id)  # noqa: S608
        return self._map.user(found[0]) if found else None

    async def users(self, after_name_key: str = "", limit: int = 500, state: UserState | None = None) -> list[User]:
        """See ports.Store."""
        wanted = (state.value,) if state else tuple(each.value for each in UserState)
        marks = ", ".join("?" * len(wanted))
        sql = f"SELECT {columns.USER} FROM users WHERE name_key > ? AND state IN ({marks}) ORDER BY name_key LIMIT ?"  # noqa: S608

        def read() -> list[User]:
            try:
                with contextlib.closing(connect(self._path, read_only=True)) as connection:
                    found = connection.execute(sql, (after_name_key, *wanted, limit)).fetchall()
            except sqlite3.Error as problem:
                raise _unreadable(problem) from problem
            return [self._map.user(row) for row in found]

        return await asyncio.to_thread(read)

    async def watch(self, sign_in_id: SignInId) -> Seen | None:
        """See ports.Store."""
        seen = self._watched(sign_in_id)
        if seen is not None and self._lapsed(seen.sign_in):
            await self._settle()
            seen = self._watched(sign_in_id)
        return seen

    def _watched(self, sign_in_id: SignInId) -> Seen | None:
        found = self._read(_WATCH, sign_in_id)
        return joined.seen(self._map, found[0]) if found else None

    async def challenge(self, challenge_id: ChallengeId) -> Pending | None:
        """See ports.Store."""
        pending = self._challenged(challenge_id)
        if pending is not None and self._lapsed(pending.sign_in):
            await self._settle()
            pending = self._challenged(challenge_id)
        return pending

    def _challenged(self, challenge_id: ChallengeId) -> Pending | None:
        found = self._read(_CHALLENGE, challenge_id)
        return joined.pending(self._map, found[0]) if found else None

    async def asked(self, user_id: UserId) -> Snapshot | None:
        """See ports.Store."""
        snapshot = self._snapshot(user_id)
        if snapshot is not None and any(self._lapsed(each.sign_in) for each in snapshot.live):
            await self._settle()
            snapshot = self._snapshot(user_id)
        return snapshot

    def _snapshot(self, user_id: UserId) -> Snapshot | None:
        try:
            return commands.read_snapshot(self._reader, self._map, user_id)
        except UnknownUser:
            return None
        except sqlite3.Error as problem:
            raise _unreadable(problem) from problem

    async def acknowledge(self, received: Sequence[tuple[ChallengeId, DeviceId]]) -> list[SignInId]:
        """See ports.Store."""
        return await self._writer.submit(lambda connection, now: commands.acknowledge(connection, now, received))

    async def claim(self, challenge_id: ChallengeId, lease_until: Instant, seconds: float) -> list[Undelivered]:
        """See ports.Store."""
        if not self._read(outbox.OF_LEASE, self._clock(), challenge_id, lease_until):
            return []  # the usual case, without a commit: the phone has shown it, or answered
        return await self._writer.submit(
            lambda connection, now: leases.claim(connection, now, self._map, challenge_id, lease_until, seconds)
        )

    async def take_due(self, limit: int, seconds: float) -> list[Undelivered]:
        """See ports.Store."""
        if not self._read(outbox.DUE, self._clock(), 1):
            return []
        return await self._writer.submit(
            lambda connection, now: leases.take_due(connection, now, self._map, limit, seconds)
        )

    async def attempted(self, attempts: Sequence[Attempt]) -> list[SignInId]:
        """See ports.Store."""
        return await self._writer.submit(lambda connection, now: leases.attempted(connection, now, attempts))

    async def release(self, challenge_id: ChallengeId, lease_until: Instant) -> None:
        """See ports.Store."""
        await self._writer.submit(lambda connection, now: leases.release(connection, now, challenge_id, lease_until))

    async def claim_message(self, message_id: MessageId, lease_until: Instant, seconds: float) -> Outgoing | None:
        """See ports.MessageStore."""
        return await self._writer.submit(
            lambda connection, now: messages.claim(connection, now, self._map, message_id, lease_until, seconds)
        )

    async def take_due_messages(self, limit: int, seconds: float) -> TakenOver:
        """See ports.MessageStore."""
        if not self._read(ANY_DUE, self._clock()):
            return TakenOver((), ())
        return await self._writer.submit(
            lambda connection, now: messages.take_due(connection, now, self._map, limit, seconds)
        )

    async def release_message(self, message_id: MessageId, lease_until: Instant) -> None:
        """See ports.MessageStore."""
        await self._writer.submit(lambda connection, now: messages.release(connection, now, message_id, lease_until))

    async def sent(self, message_id: MessageId, what: Sent) -> SignInId | None:
        """See ports.MessageStore."""
        return await self._writer.submit(lambda connection, _: messages.sent(connection, message_id, what))

    async def known_message(self, message_id: MessageId) -> KnownMessage | None:
        """See ports.MessageStore."""
        found = self._read(KNOWN, message_id)
        return self._map.known_message(found[0]) if found else None

    async def method_secret(self, method_id: MethodId) -> str | None:
        """See ports.MessageStore."""
        found = self._read(METHOD_SECRET, method_id)
        return self._map.method_secret(method_id, found[0][0]) if found else None

    async def app_passwords(self, user_id: UserId) -> list[AppPassword]:
        """See ports.AppPasswordStore."""
        return [self._map.app_password(row) for row in self._read(app_passwords.LISTED, user_id)]

    async def app_password_used(self, used: AppPasswordId, at: Instant, source: str | None) -> None:
        """See ports.AppPasswordStore."""
        await self._writer.submit(lambda connection, _: connection.execute(app_passwords.USED, (at, source, used)))

    async def retire_push_token(self, device_id: DeviceId, token: str, audit: Audit) -> bool:
        """See ports.Store."""

        def command(connection: sqlite3.Connection, now: Instant) -> bool:
            retired = tokens.retire(connection, self._map, device_id, token)
            if retired:
                commands.record(connection, now, (audit,))
            return retired

        return await self._writer.submit(command)

    async def sweep_push_tokens(self, before: Instant) -> int:
        """See ports.Store."""
        if not self._read(push_tokens.TO_SWEEP, before):
            return 0

        def command(connection: sqlite3.Connection, now: Instant) -> int:
            stale = tokens.sweep(connection, now, before)
            for each in stale:  # one by one: they have nothing to do with one another
                commands.record(connection, now, (each,))
            return len(stale)

        return await self._writer.submit(command)

    async def device(self, device_id: DeviceId) -> Device | None:
        """See ports.Store."""
        found = self._read(f"SELECT {columns.DEVICE} FROM devices WHERE id = ?", device_id)  # noqa: S608
        return self._map.device(found[0]) if found else None

    async def devices(self, user_id: UserId) -> list[Device]:
        """See ports.Store."""
        found = self._read(
            f"SELECT {columns.DEVICE} FROM devices WHERE user_id = ? AND state = 'active' ORDER BY activated_at",  # noqa: S608
            user_id,
        )
        return [self._map.device(row) for row in found]

    async def activation(self, code_hash: str) -> UsedActivation | None:
        """See ports.Store."""
        found = self._read(f"SELECT {columns.ACTIVATION} FROM activations WHERE code_hash = ?", code_hash)  # noqa: S608
        return self._map.activation(found[0]) if found else None

    async def spend_proof(self, device_id: DeviceId, jti_hash: str, until: Instant) -> bool:
        """See ports.Store."""
        return await self._writer.submit(
            lambda connection, _: commands.spend_proof(connection, device_id, jti_hash, until)
        )

    async def connected(self, device_id: DeviceId, connection_id: ConnectionId, since: Instant) -> None:
        """See ports.Store."""
        await self._writer.submit(
            lambda connection, now: commands.connected(connection, now, device_id, connection_id, since)
        )

    async def newest_connection(self, device_id: DeviceId) -> ConnectionId | None:
        """See ports.Store."""
        found = self._read("SELECT connection_id FROM connections WHERE device_id = ?", device_id)
        return ConnectionId(found[0][0]) if found else None

    async def remembered(self, caller: str, route: str, key_hash: str) -> Remembered | None:
        """See ports.Store."""
        found = self._read(_REMEMBERED, caller, route, key_hash, self._clock())
        return self._map.remembered(found[0]) if found else None

    async def applications(self) -> list[Application]:
        """See ports.Store."""
        found = self._read(f"SELECT {columns.APPLICATION} FROM applications ORDER BY name, id")  # noqa: S608
        return [self._map.application(row) for row in found]

    async def application(self, application_id: ApplicationId) -> Application | None:
        """See ports.Store."""
        found = self._read(f"SELECT {columns.APPLICATION} FROM applications WHERE id = ?", application_id)  # noqa: S608
        return self._map.application(found[0]) if found else None

    async def put_application(self, application: Application, audit: Audit) -> None:
        """See ports.Store."""

        def command(connection: sqlite3.Connection, now: Instant) -> None:
            sql = commands.upsert("applications", columns.APPLICATION)
            connection.execute(sql, self._map.application_row(application))
            commands.record(connection, now, (audit,))

        await self._writer.submit(command)

    async def signing_keys(self) -> list[StoredKey]:
        """See ports.Store."""
        found = self._read(f"SELECT {columns.SIGNING_KEY} FROM signing_keys ORDER BY created_at DESC")  # noqa: S608
        return [self._map.signing_key(row) for row in found]

    async def put_signing_keys(self, keys: Sequence[StoredKey], audit: Audit) -> None:
        """See ports.Store."""

        def command(connection: sqlite3.Connection, now: Instant) -> None:
            sql = commands.upsert("signing_keys", columns.SIGNING_KEY, "kid")
            connection.executemany(sql, [self._map.signing_key_row(key) for key in keys])
            commands.record(connection, now, (audit,))

        await self._writer.submit(command)

    async def overdue(self, limit: int) -> list[UserId]:
        """See ports.Store."""
        found = self._read(
            f"SELECT DISTINCT user_id FROM sign_ins WHERE {joined.LIVE} AND expires_at <= ? LIMIT ?",  # noqa: S608
            self._clock(),
            limit,
        )
        return [row[0] for row in found]

    async def sweep(self) -> int:
        """See ports.Store."""
        return await self._writer.submit(commands.sweep)

    async def check(self) -> None:
        """See ports.Store."""
        await self._writer.submit(_touch)
        self._read("SELECT 1 FROM users LIMIT 1")

    def _lapsed(self, sign_in: SignIn) -> bool:
        return sign_in.live and not sign_in.open_at(self._clock())

    async def _settle(self) -> None:
        """Wait until whatever was decided so far is committed: only then does a deadline that has passed prove much.

        Without it a reader could tell `expired` of a sign-in whose approval, decided in time, is not on disk yet.
        """
        await self._writer.submit(lambda _connection, _now: None)

    def _read(self, sql: str, *values: object) -> list[rows.Row]:
        try:
            return self._reader.execute(sql, values).fetchall()
        except sqlite3.Error as problem:
            raise _unreadable(problem) from problem


def _touch(connection: sqlite3.Connection, _: Instant) -> None:
    """Write what is there already: a transaction that writes nothing commits even where the disk is full."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {int(version)}")


def _unreadable(problem: sqlite3.Error) -> StoreUnavailable:
    return StoreUnavailable(f"The store can't be read: {problem}.", retry_after=1)
