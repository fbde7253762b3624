"""Reads that thousands of waiters repeat whenever a bell rings: those of one turn in one statement.

A deadline that has passed proves little while a decision that was made in time is not committed yet, here or in another
process. Such a decision holds the lock on its user's row until it is committed, and looks at the clock when it has the
lock (statements.py). So whoever finds a live sign-in past its deadline waits for that lock, sees with it that the
server's clock shows the deadline too, and reads again: what is live then has expired for good.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import TypeVar

from push_service.model.device import Device
from push_service.model.ids import ChallengeId, ConnectionId, DeviceId, SignInId, UserId
from push_service.model.instant import Instant
from push_service.model.sign_in import SignIn
from push_service.model.user import Pending, Snapshot, User
from push_service.model.view import Seen
from push_service.store import columns, joined
from push_service.store.postgres.batching import Batcher
from push_service.store.postgres.connections import ANSWER_SECONDS, Connections, fetch
from push_service.store.postgres.recent import Read, Recent
from push_service.store.postgres.statements import READ, READ_NAMED
from push_service.store.postgres.trouble import unanswered
from push_service.store.rows import Row, Rows

F = TypeVar("F")
V = TypeVar("V")

_JITTER_MILLISECONDS = 20
_LARGEST, _LANES = 128, 2
SEEN = f"SELECT {joined.SEEN} FROM {joined.SEEN_FROM} WHERE s.id = ANY($1::text[])"  # noqa: S608
PENDING = f"SELECT {joined.PENDING} FROM {joined.PENDING_FROM} WHERE c.id = ANY($1::text[])"  # noqa: S608
DEVICE = f"SELECT {columns.DEVICE} FROM devices WHERE id = ANY($1::text[])"  # noqa: S608
NEWEST = "SELECT device_id, connection_id FROM connections WHERE device_id = ANY($1::text[])"
SETTLED = """
WITH locked AS MATERIALIZED (SELECT id FROM users WHERE id = ANY($1::text[]) FOR SHARE SKIP LOCKED),
clock AS MATERIALIZED (SELECT service_now() AS at FROM (SELECT count(*) FROM locked) AS all_locked)
SELECT t.id, CASE WHEN u.id IS NULL OR locked.id IS NOT NULL THEN clock.at END
FROM clock, unnest($1::text[]) AS t (id) LEFT JOIN users u ON u.id = t.id LEFT JOIN locked ON locked.id = t.id
"""
"""The clock as it was with the lock held; NULL where somebody else holds it. Of who is gone nothing is decided."""


class Reading:
    """The batched reads of this process."""

    def __init__(
        self,
        connections: Connections,
        map_: Rows,
        clock: Callable[[], Instant],
        learn: Callable[[Instant], None],
        recent: Recent,
    ) -> None:
        """Read over these connections; `clock` says when a deadline has passed, `learn` hears of the server's.

        What is likely to be decided about next is kept as `recent`.
        """
        self._connections, self._map, self._clock = connections, map_, clock
        self._learn, self._recent = learn, recent
        self._seen: Batcher[SignInId, Seen | None] = Batcher(self._read_seen, largest=_LARGEST, lanes=_LANES)
        self._pending: Batcher[ChallengeId, Pending | None] = Batcher(
            self._read_pending, largest=_LARGEST, lanes=_LANES
        )
        self._snapshots: Batcher[UserId, Read | None] = Batcher(self._read_snapshots, largest=_LARGEST, lanes=_LANES)
        self._named: Batcher[str, Read | None] = Batcher(self._read_named, largest=_LARGEST, lanes=_LANES)
        self._devices: Batcher[DeviceId, Device | None] = Batcher(self._read_devices, largest=_LARGEST, lanes=_LANES)
        self._newest: Batcher[DeviceId, ConnectionId | None] = Batcher(
            self._read_newest, largest=_LARGEST, lanes=_LANES
        )
        self._settled: Batcher[UserId, Instant | None] = Batcher(self._lock, largest=_LARGEST, lanes=_LANES)

    async def user_by_name(self, name_key: str) -> User | None:
        """See ports.Store."""
        found = await self._named.ask(name_key)
        if found is None:
            return None
        self._recent.keep(found)
        return found.snapshot.user

    async def watch(self, sign_in_id: SignInId) -> Seen | None:
        """See ports.Store."""
        seen = await self._seen.ask(sign_in_id)
        if seen is not None and self._lapsed(seen.sign_in):
            await self._settle(seen.user.id, seen.sign_in.expires_at)
            seen = await self._seen.ask(sign_in_id)
        return seen

    async def challenge(self, challenge_id: ChallengeId) -> Pending | None:
        """See ports.Store."""
        pending = await self._pending.ask(challenge_id)
        if pending is not None and self._lapsed(pending.sign_in):
            await self._settle(pending.sign_in.user_id, pending.sign_in.expires_at)
            pending = await self._pending.ask(challenge_id)
        return pending

    async def asked(self, user_id: UserId) -> Snapshot | None:
        """See ports.Store."""
        found = await self._snapshots.ask(user_id)
        live = found.snapshot.live if found else ()
        if lapsed := [each.sign_in.expires_at for each in live if self._lapsed(each.sign_in)]:
            await self._settle(user_id, max(lapsed))
            found = await self._snapshots.ask(user_id)
        if found is None:
            return None
        if found.snapshot.live:
            self._recent.keep(found)
        return found.snapshot

    async def device(self, device_id: DeviceId) -> Device | None:
        """See ports.Store. Thousands ask at once when a server that held their phones has died."""
        return await self._devices.ask(device_id)

    async def newest_connection(self, device_id: DeviceId) -> ConnectionId | None:
        """See ports.Store."""
        return await self._newest.ask(device_id)

    async def close(self) -> None:
        """Answer what was asked."""
        batchers = (self._seen, self._pending, self._snapshots, self._named, self._devices, self._newest, self._settled)
        for each in batchers:
            await each.close()

    def _lapsed(self, sign_in: SignIn) -> bool:
        return sign_in.live and not sign_in.open_at(self._clock())

    async def _settle(self, user_id: UserId, deadline: Instant) -> None:
        """Wait until nothing that was decided before the deadline is on its way any more.

        Asked again and again rather than waited for in the server: a row that somebody holds keeps no connection busy.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while (at := await self._settled.ask(user_id)) is None or at < deadline:  # noqa: ASYNC110 - in the server
                    await asyncio.sleep((1 + secrets.randbelow(_JITTER_MILLISECONDS)) / 1000)
        except TimeoutError:
            raise unanswered() from None

    async def _read_seen(self, ids: Sequence[SignInId]) -> list[Seen | Exception | None]:
        found = await self._fetch(SEEN, ids)
        rows = {row[0]: row for row in found}
        return [self._mapped(lambda row: joined.seen(self._map, row), rows.get(each)) for each in ids]

    async def _read_pending(self, ids: Sequence[ChallengeId]) -> list[Pending | Exception | None]:
        found = await self._fetch(PENDING, ids)
        rows = {row[joined.PENDING_CHALLENGE_ID]: row for row in found}
        return [self._mapped(lambda row: joined.pending(self._map, row), rows.get(each)) for each in ids]

    async def _read_snapshots(self, ids: Sequence[UserId]) -> list[Read | Exception | None]:
        rows = joined.by_user(await self._fetch(READ, ids))
        return [self._mapped(self._read, rows.get(each)) for each in ids]

    async def _read_named(self, names: Sequence[str]) -> list[Read | Exception | None]:
        rows = joined.by_user(await self._fetch(READ_NAMED, names))
        of_name = {found[0][joined.SNAPSHOT_NAME_KEY]: found for found in rows.values()}
        return [self._mapped(self._read, of_name.get(each)) for each in names]

    def _read(self, found: Sequence[Row]) -> Read:
        at: Instant = found[0][joined.SNAPSHOT_WIDTH]
        self._learn(at)
        return Read(joined.snapshot(self._map, found), at)

    async def _read_devices(self, ids: Sequence[DeviceId]) -> list[Device | Exception | None]:
        rows = {row[0]: row for row in await self._fetch(DEVICE, ids)}
        return [self._mapped(self._map.device, rows.get(each)) for each in ids]

    async def _read_newest(self, ids: Sequence[DeviceId]) -> list[ConnectionId | None]:
        found: dict[str, ConnectionId] = {row[0]: row[1] for row in await self._fetch(NEWEST, ids)}
        return [found.get(each) for each in ids]

    async def _lock(self, ids: Sequence[UserId]) -> list[Instant | None]:
        found: dict[str, Instant | None] = {row[0]: row[1] for row in await self._fetch(SETTLED, ids)}
        return [found[each] for each in ids]

    async def _fetch(self, statement: str, ids: Sequence[str]) -> Sequence[Row]:
        return await self._connections.use(lambda connection: fetch(connection, statement, ids))

    @staticmethod
    def _mapped(map_: Callable[[F], V], found: F | None) -> V | Exception | None:
        """A row that does not open is its reader's trouble alone."""
        try:
            return None if found is None else map_(found)
        except Exception as problem:  # noqa: BLE001 - told to whom it belongs
            return problem
