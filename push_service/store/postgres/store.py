"""ports.Store on a PostgreSQL database: decisions and frequent reads in batches, everything else one call each."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from push_service.crypto.sealing import Sealer
from push_service.hops import Hops
from push_service.model import ids
from push_service.model.app_password import AppPassword
from push_service.model.application import Application
from push_service.model.challenge import DeliveryState
from push_service.model.decision import Audit, Decision, Remembered, Rule
from push_service.model.device import Device, UsedActivation
from push_service.model.errors import NameTaken
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
from push_service.model.instant import Instant
from push_service.model.message import KnownMessage, Outgoing, Sent, TakenOver
from push_service.model.outbox import Attempt, Undelivered
from push_service.model.throttle import Charge
from push_service.model.user import Pending, Snapshot, User, UserState
from push_service.model.view import Seen
from push_service.ports import Committed, Duplicate, StoredKey, Topic
from push_service.store import app_passwords, columns, joined
from push_service.store.messages import KNOWN, METHOD_SECRET
from push_service.store.outbox import for_postgres
from push_service.store.postgres import leases, messages, tokens
from push_service.store.postgres.batching import Batcher
from push_service.store.postgres.clock import ServerClock
from push_service.store.postgres.connections import Connections, Limits, fetch
from push_service.store.postgres.decider import Decider
from push_service.store.postgres.follower import Follower
from push_service.store.postgres.reading import Reading
from push_service.store.postgres.recent import Recent
from push_service.store.postgres.schema import migrate
from push_service.store.postgres.seldom import insert, upsert
from push_service.store.postgres.statements import PUT_AUDIT, arrays, unnest
from push_service.store.postgres.sweeping import sweep
from push_service.store.postgres.throttling import Throttling
from push_service.store.records import audit_rows, topics_of_decision
from push_service.store.rows import Row, Rows

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection

R = TypeVar("R")

FOLLOW_SECONDS = 0.25
FOLLOW_BESIDE_A_BELL_SECONDS = 0.75
"""How often others' changes are looked for while their bells are heard: then this finds what rang no bell, such as what
a process wrote right before it died. Whatever it is, it is heard within a second."""
_LARGEST_BATCH = 128
_PUT_PROOFS = (
    f"INSERT INTO proofs_seen (device_id, jti_hash, until) SELECT t.device_id, t.jti_hash, t.until"  # noqa: S608
    f" FROM {unnest('device_id, jti_hash, until', 1)} ORDER BY t.device_id, t.jti_hash"
    " ON CONFLICT DO NOTHING RETURNING device_id, jti_hash"
)
ACKNOWLEDGE = f"""
WITH shown AS MATERIALIZED (
    SELECT d.challenge_id, d.device_id FROM deliveries d
    JOIN {unnest("challenge_id, device_id", 1)} ON d.challenge_id = t.challenge_id AND d.device_id = t.device_id
    JOIN challenges c ON c.id = d.challenge_id AND c.state = 'pending'
    WHERE d.acked_at IS NULL ORDER BY d.challenge_id, d.device_id FOR NO KEY UPDATE OF d),
acked AS (
    UPDATE deliveries d SET state = {DeliveryState.DELIVERED.value}, acked_at = service_now() FROM shown
    WHERE d.challenge_id = shown.challenge_id AND d.device_id = shown.device_id RETURNING d.challenge_id)
SELECT c.sign_in_id FROM acked JOIN challenges c ON c.id = acked.challenge_id
"""  # noqa: S608
_SOCKET = "device_id, connection_id, since"
_CONNECTED = (
    f"INSERT INTO connections AS c ({_SOCKET}) SELECT {columns.of(_SOCKET, 't')}"  # noqa: S608
    f" FROM {unnest(_SOCKET, 1)} ORDER BY t.device_id ON CONFLICT (device_id)"
    " DO UPDATE SET connection_id = excluded.connection_id, since = excluded.since"
    " WHERE excluded.since >= c.since OR c.since > service_now()"
)
_USERS = f"SELECT {columns.USER} FROM users WHERE name_key > $1 AND state = ANY($2::text[]) ORDER BY name_key LIMIT $3"  # noqa: S608
_DEVICES = f"SELECT {columns.DEVICE} FROM devices WHERE user_id = $1 AND state = 'active' ORDER BY activated_at"  # noqa: S608
_REMEMBERED = (
    f"SELECT {columns.REMEMBERED} FROM remembered"  # noqa: S608
    " WHERE caller = $1 AND route = $2 AND key_hash = $3 AND until > service_now()"
)
OVERDUE = f"SELECT DISTINCT user_id FROM sign_ins WHERE {joined.LIVE} AND expires_at <= service_now() LIMIT $1"  # noqa: S608
_KNOWN_MESSAGE, _METHOD_SECRET = for_postgres(KNOWN), for_postgres(METHOD_SECRET)
_APP_PASSWORDS, _APP_PASSWORD_USED = for_postgres(app_passwords.LISTED), for_postgres(app_passwords.USED)
_TOUCH = "INSERT INTO throttles AS t (key, tat) VALUES ($1, 0) ON CONFLICT (key) DO UPDATE SET tat = t.tat"

Proof = tuple[DeviceId, str, Instant]
Connected = tuple[DeviceId, ConnectionId, Instant]


class PostgresStore:
    """Opened with `async with`; `foreign` hears what other processes change in the same database."""

    def __init__(
        self,
        url: str,
        sealer: Sealer,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        clock: Callable[[], Instant] | None = None,
        foreign: Callable[[Sequence[Topic]], None] = lambda _: None,
        hops: Hops | None = None,
        belled: Callable[[], bool] = lambda: False,
        allow_asynchronous_commit: bool = False,
    ) -> None:
        """Keep everything in the database at `url`, with secret columns sealed.

        `clock` is the server's, if it is known by other means than its answers. `belled` says whether others' bells
        are heard now, so that following them may be seldom.
        """
        self._url, self._map, self._limits, self._hops = url, Rows(sealer), limits, hops or Hops()
        self._foreign, self._belled = foreign, belled
        self._allow_asynchronous_commit = allow_asynchronous_commit
        self._server_clock = ServerClock()
        self._clock = clock or self._server_clock
        self._check_key = f"check:{secrets.token_hex(8)}"

    async def __aenter__(self) -> Self:
        """Migrate, and begin to follow. Raises UnsafeDatabase where nothing would be safe."""
        await migrate(self._url, allow_asynchronous_commit=self._allow_asynchronous_commit)
        readers = max(1, self._limits.connections // 2)
        seconds, learn = self._limits.statement_seconds, self._server_clock.learn
        self._reads = Connections(self._url, readers, seconds)
        self._writes = Connections(self._url, max(1, self._limits.connections - readers), seconds)
        self._follower = Follower(self._reads, self._foreign, learn, self._follow_pause)
        recent = Recent()
        self._decider = Decider(self._writes, self._map, self._follower, self._clock, learn, recent, self._hops)
        self._throttling = Throttling(self._writes)
        self._proofs: Batcher[Proof, bool] = Batcher(self._spend_proofs, largest=_LARGEST_BATCH, lanes=1)
        self._sockets: Batcher[Connected, None] = Batcher(self._note_connected, largest=_LARGEST_BATCH, lanes=1)
        self._reading = Reading(self._reads, self._map, self._clock, learn, recent)
        try:
            await self._follower.begin()
        except BaseException:
            await self._reads.close()
            raise
        self._following = asyncio.create_task(self._follower.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is queued."""
        self._following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._following
        for each in (
            self._decider,
            self._throttling,
            self._proofs,
            self._sockets,
            self._reading,
            self._writes,
            self._reads,
        ):
            await each.close()

    @property
    def queued(self) -> int:
        """How many writes are queued or running."""
        batched = (self._decider, self._throttling, self._proofs, self._sockets)
        return sum(each.outstanding for each in batched) + self._writes.outstanding

    async def now(self) -> Instant:
        """See ports.Store."""
        if self._clock is self._server_clock and self._server_clock.stale:
            self._server_clock.learn(await self._value("SELECT service_now()"))
        return self._clock()

    async def decide(
        self, user_id: UserId, rule: Rule[R], charges: Sequence[Charge] = ()
    ) -> tuple[Decision[R], Committed]:
        """See ports.Store."""
        decision = await self._decider.decide(user_id, rule, charges)
        if not decision.changes:
            await self._throttling.debit(charges)
        topics = topics_of_decision(user_id, decision)
        return decision, Committed(topics, decision.audit, decision.deliveries, decision.messages)

    async def debit(self, charges: Sequence[Charge]) -> None:
        """See ports.Store."""
        await self._throttling.debit(charges)

    async def record(self, audit: Sequence[Audit]) -> None:
        """See ports.Store."""
        if audit:
            await self._write(audit)

    async def add_user(self, user: User, audit: Audit) -> None:
        """See ports.Store."""
        try:
            await self._write((audit,), (insert("users", columns.USER), self._map.user_row(user)))
        except Duplicate:
            raise NameTaken from None

    async def user_by_name(self, name_key: str) -> User | None:
        """See ports.Store."""
        return await self._reading.user_by_name(name_key)

    async def user(self, user_id: UserId) -> User | None:
        """See ports.Store."""
        row = await self._row(f"SELECT {columns.USER} FROM users WHERE id = $1", user_id)  # noqa: S608
        return self._map.user(row) if row else None

    async def users(self, after_name_key: str = "", limit: int = 500, state: UserState | None = None) -> list[User]:
        """See ports.Store."""
        wanted = [state.value] if state else [each.value for each in UserState]
        return [self._map.user(row) for row in await self._fetch(_USERS, after_name_key, wanted, limit)]

    async def watch(self, sign_in_id: SignInId) -> Seen | None:
        """See ports.Store."""
        return await self._reading.watch(sign_in_id)

    async def challenge(self, challenge_id: ChallengeId) -> Pending | None:
        """See ports.Store."""
        return await self._reading.challenge(challenge_id)

    async def asked(self, user_id: UserId) -> Snapshot | None:
        """See ports.Store."""
        return await self._reading.asked(user_id)

    async def acknowledge(self, received: Sequence[tuple[ChallengeId, DeviceId]]) -> list[SignInId]:
        """See ports.Store."""
        if not received:
            return []
        pairs = arrays("challenge_id, device_id", received)
        found = await self._writes.run(lambda connection: fetch(connection, ACKNOWLEDGE, *pairs))
        return [row[0] for row in found]

    async def claim(self, challenge_id: ChallengeId, lease_until: Instant, seconds: float) -> list[Undelivered]:
        """See ports.Store."""
        return await self._writes.run(
            lambda connection: leases.claim(connection, self._map, challenge_id, lease_until, seconds)
        )

    async def take_due(self, limit: int, seconds: float) -> list[Undelivered]:
        """See ports.Store."""
        return await self._writes.run(lambda connection: leases.take_due(connection, self._map, limit, seconds))

    async def attempted(self, attempts: Sequence[Attempt]) -> list[SignInId]:
        """See ports.Store."""
        return await self._writes.run(lambda connection: leases.attempted(connection, attempts))

    async def release(self, challenge_id: ChallengeId, lease_until: Instant) -> None:
        """See ports.Store."""
        await self._writes.run(lambda connection: leases.release(connection, challenge_id, lease_until))

    async def claim_message(self, message_id: MessageId, lease_until: Instant, seconds: float) -> Outgoing | None:
        """See ports.MessageStore."""
        return await self._writes.run(
            lambda connection: messages.claim(connection, self._map, message_id, lease_until, seconds)
        )

    async def take_due_messages(self, limit: int, seconds: float) -> TakenOver:
        """See ports.MessageStore."""
        return await self._writes.run(lambda connection: messages.take_due(connection, self._map, limit, seconds))

    async def release_message(self, message_id: MessageId, lease_until: Instant) -> None:
        """See ports.MessageStore."""
        await self._writes.run(lambda connection: messages.release(connection, message_id, lease_until))

    async def sent(self, message_id: MessageId, what: Sent) -> SignInId | None:
        """See ports.MessageStore."""
        return await self._writes.run(lambda connection: messages.sent(connection, message_id, what))

    async def known_message(self, message_id: MessageId) -> KnownMessage | None:
        """See ports.MessageStore."""
        row = await self._row(_KNOWN_MESSAGE, message_id)
        return self._map.known_message(row) if row else None

    async def method_secret(self, method_id: MethodId) -> str | None:
        """See ports.MessageStore."""
        row = await self._row(_METHOD_SECRET, method_id)
        return self._map.method_secret(method_id, row[0]) if row else None

    async def app_passwords(self, user_id: UserId) -> list[AppPassword]:
        """See ports.AppPasswordStore."""
        return [self._map.app_password(row) for row in await self._fetch(_APP_PASSWORDS, user_id)]

    async def app_password_used(self, used: AppPasswordId, at: Instant, source: str | None) -> None:
        """See ports.AppPasswordStore."""
        await self._writes.run(lambda connection: connection.execute(_APP_PASSWORD_USED, at, source, used))

    async def retire_push_token(self, device_id: DeviceId, token: str, audit: Audit) -> bool:
        """See ports.Store."""

        async def change(connection: Connection) -> tuple[Audit, ...]:
            return (audit,) if await tokens.retire(connection, self._map, device_id, token) else ()

        return bool(await self._recording(change))

    async def sweep_push_tokens(self, before: Instant) -> int:
        """See ports.Store."""
        now = await self.now()
        return len(await self._recording(lambda connection: tokens.sweep(connection, now, before)))

    async def device(self, device_id: DeviceId) -> Device | None:
        """See ports.Store."""
        return await self._reading.device(device_id)

    async def devices(self, user_id: UserId) -> list[Device]:
        """See ports.Store."""
        return [self._map.device(row) for row in await self._fetch(_DEVICES, user_id)]

    async def activation(self, code_hash: str) -> UsedActivation | None:
        """See ports.Store."""
        row = await self._row(f"SELECT {columns.ACTIVATION} FROM activations WHERE code_hash = $1", code_hash)  # noqa: S608
        return self._map.activation(row) if row else None

    async def spend_proof(self, device_id: DeviceId, jti_hash: str, until: Instant) -> bool:
        """See ports.Store."""
        return await self._proofs.ask((device_id, jti_hash, until))

    async def connected(self, device_id: DeviceId, connection_id: ConnectionId, since: Instant) -> None:
        """See ports.Store."""
        await self._sockets.ask((device_id, connection_id, since))

    async def newest_connection(self, device_id: DeviceId) -> ConnectionId | None:
        """See ports.Store."""
        return await self._reading.newest_connection(device_id)

    async def remembered(self, caller: str, route: str, key_hash: str) -> Remembered | None:
        """See ports.Store."""
        row = await self._row(_REMEMBERED, caller, route, key_hash)
        return self._map.remembered(row) if row else None

    async def applications(self) -> list[Application]:
        """See ports.Store."""
        found = await self._fetch(f"SELECT {columns.APPLICATION} FROM applications ORDER BY name, id")  # noqa: S608
        return [self._map.application(row) for row in found]

    async def application(self, application_id: ApplicationId) -> Application | None:
        """See ports.Store."""
        row = await self._row(f"SELECT {columns.APPLICATION} FROM applications WHERE id = $1", application_id)  # noqa: S608
        return self._map.application(row) if row else None

    async def put_application(self, application: Application, audit: Audit) -> None:
        """See ports.Store."""
        statement = upsert("applications", columns.APPLICATION)
        await self._write((audit,), (statement, self._map.application_row(application)))

    async def signing_keys(self) -> list[StoredKey]:
        """See ports.Store."""
        found = await self._fetch(f"SELECT {columns.SIGNING_KEY} FROM signing_keys ORDER BY created_at DESC")  # noqa: S608
        return [self._map.signing_key(row) for row in found]

    async def put_signing_keys(self, keys: Sequence[StoredKey], audit: Audit) -> None:
        """See ports.Store."""
        statement = upsert("signing_keys", columns.SIGNING_KEY, "kid")
        await self._write((audit,), *((statement, self._map.signing_key_row(key)) for key in keys))

    async def overdue(self, limit: int) -> list[UserId]:
        """See ports.Store."""
        return [row[0] for row in await self._fetch(OVERDUE, limit)]

    async def sweep(self) -> int:
        """See ports.Store."""
        return await sweep(self._writes)

    async def check(self) -> None:
        """See ports.Store."""
        await self._writes.run(lambda connection: connection.execute(_TOUCH, self._check_key))
        await self._value("SELECT count(*) FROM (SELECT FROM users LIMIT 1) AS one")

    def _follow_pause(self) -> float:
        return FOLLOW_BESIDE_A_BELL_SECONDS if self._belled() else FOLLOW_SECONDS

    async def _note_connected(self, sockets: Sequence[Connected]) -> list[None]:
        """Of several of one device the newest counts."""
        newest = {each[0]: each for each in sorted(sockets, key=lambda each: each[2])}
        rows = arrays(_SOCKET, list(newest.values()))
        await self._writes.use(lambda connection: connection.execute(_CONNECTED, *rows))
        return [None] * len(sockets)

    async def _spend_proofs(self, proofs: Sequence[Proof]) -> list[bool]:
        """Of several that are the same, the first passes."""
        found = await self._writes.use(
            lambda connection: fetch(connection, _PUT_PROOFS, *arrays("device_id, jti_hash, until", proofs))
        )
        fresh = {(row[0], row[1]) for row in found}
        passed = []
        for device_id, jti_hash, _ in proofs:
            passed.append((device_id, jti_hash) in fresh)
            fresh.discard((device_id, jti_hash))
        return passed

    async def _write(self, audit: Sequence[Audit], *statements: tuple[str, Row]) -> None:
        """Run the statements and append the records, all or nothing."""

        async def change(connection: Connection) -> Sequence[Audit]:
            for statement, values in statements:
                await connection.execute(statement, *values)
            return audit

        await self._recording(change)

    async def _recording(self, change: Callable[[Connection], Awaitable[Sequence[Audit]]]) -> Sequence[Audit]:
        """Make a change and append the records that it asks for, all or nothing."""
        decision, now = ids.decision_id(), await self.now()

        async def write(connection: Connection) -> Sequence[Audit]:
            async with connection.transaction():
                audit = await change(connection)
                if audit:
                    await connection.execute(PUT_AUDIT, *arrays(columns.AUDIT, audit_rows(decision, now, audit)))
                return audit

        self._follower.own((decision,))
        return await self._writes.run(write)

    async def _fetch(self, statement: str, *values: object) -> Sequence[Row]:
        return await self._reads.run(lambda connection: fetch(connection, statement, *values))

    async def _row(self, statement: str, *values: object) -> Row | None:
        return next(iter(await self._fetch(statement, *values)), None)

    async def _value(self, statement: str) -> Instant:
        return await self._reads.run(lambda connection: connection.fetchval(statement))
