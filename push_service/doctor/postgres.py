"""PostgreSQL as the store: whether it is there, of this version, can be written, keeps what it says, and has room.

Each check connects by itself, as the service would. What is tried is taken back. How much room the server's disk has
can't be seen over a connection; `store.space` says so.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg

from push_service.config import Settings
from push_service.doctor.check import Check, Finding, fault, ok, warning
from push_service.doctor.records import SECONDS, connected, place_of
from push_service.model.instant import MICROSECONDS
from push_service.store.postgres.schema import OLDEST_SERVER
from push_service.store.postgres.trouble import TROUBLES, told
from push_service.store.scripts import Dialect, migrations

if TYPE_CHECKING:
    from push_service.store.postgres.connections import Connection

    Look = Callable[[Connection], Awaitable[Finding]]

_MIB = 1024 * 1024
_AHEAD_SECONDS = 2.0
_APART_SECONDS = 30.0
_TABLES = "SELECT c.oid FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
_LACKING = (
    "SELECT DISTINCT c.relname FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname <> 'schema_migrations'"
    " AND NOT has_table_privilege(c.oid, needed) ORDER BY 1"
)
_MINE = "SELECT count(*) FROM pg_stat_activity WHERE usename = current_user AND application_name = 'push-service'"
_TAKEN = "SELECT coalesce(sum(numbackends), 0)::bigint FROM pg_stat_database WHERE datid <> 0"
_ROOM = (
    "SELECT least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    " - coalesce(current_setting('reserved_connections', true), '0')::int,"
    " nullif((SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user), -1),"
    " nullif((SELECT datconnlimit FROM pg_database WHERE datname = current_database()), -1))"
)
_UNREACHABLE = "See the server, its address, and its pg_hba.conf; if it is well, the network between."
_SOON = "The first start makes its tables; nothing has to be done."
_NTP = "Set the clocks right, and have them kept so (NTP)."


class _Postgres(Check):
    """A check with a connection; without one it has nothing to say that `store.reachable` doesn't."""

    def __init__(self, settings: Settings) -> None:
        """Look at DATABASE_URL."""
        self._settings = settings
        self._place = place_of(settings.database_url)

    async def _look(self, look: Look) -> Finding:
        try:
            connection = await connected(self._settings.database_url)
            try:
                return await look(connection)
            finally:
                await connection.close(timeout=SECONDS)
        except TROUBLES as problem:
            raise told(problem) from problem


class PostgresReachable(_Postgres):
    """Whether the server answers, lets us in, and is one that this program can work with."""

    name = "store.reachable"

    async def run(self) -> Finding:
        """See Check."""
        try:
            connection = await connected(self._settings.database_url)
        except TROUBLES as problem:
            said = " ".join(str(problem).split()) or "no answer in time"
            return fault(self, f"{self._place} can't be reached: {said}.", _UNREACHABLE)
        try:
            version = await _number(connection, "SHOW server_version_num")
            shown = await connection.fetchval("SHOW server_version")
            encoding = await connection.fetchval("SHOW server_encoding")
        finally:
            await connection.close(timeout=SECONDS)
        if version < OLDEST_SERVER:
            return fault(self, f"{self._place} is served by PostgreSQL {shown}.", "Version 14 or newer is needed.")
        if encoding != "UTF8":
            told_ = f"{self._place} is in the encoding {encoding}."
            return fault(self, told_, "Make it anew: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.")
        return ok(self, f"{self._place} is served by PostgreSQL {shown}.")


class PostgresSchema(_Postgres):
    """Of which schema version the database is, and who would have to migrate it."""

    name = "store.schema"

    async def run(self) -> Finding:
        """See Check."""
        return await self._look(self._version)

    async def _version(self, connection: Connection) -> Finding:
        newest = max(number for number, _ in migrations(Dialect.POSTGRES))
        there = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
        version = await _number(connection, "SELECT max(number) FROM schema_migrations") if there else 0
        if version == newest:
            return ok(self, f"{self._place} has schema version {version}.")
        if version > newest:
            told_ = f"{self._place} has schema version {version}, this program {newest}: it works on it all the same."
            return warning(self, told_, "Finish the upgrade: install the newer version here, too.")
        told_ = f"{self._place} has schema version {version}, this program {newest}."
        if not await self._may_migrate(connection):
            role = await connection.fetchval("SELECT current_user")
            remedy = f"Run `push-service user list` once as the owner, and GRANT {role} its rights again."
            return fault(self, f"{told_} The role {role} can't migrate it.", remedy)
        return warning(self, told_, "The next start migrates it; back it up first." if version else _SOON)

    async def _may_migrate(self, connection: Connection) -> bool:
        """Whether our role may make tables, and owns those that are there."""
        owned = (
            f"SELECT coalesce(bool_and(pg_has_role(relowner, 'USAGE')), true) FROM pg_class WHERE oid IN ({_TABLES})"  # noqa: S608
        )
        makes = await connection.fetchval("SELECT has_schema_privilege(current_schema(), 'CREATE')")
        return bool(makes and await connection.fetchval(owned))


class PostgresWritable(_Postgres):
    """Whether it can be written to, all of it, by our role."""

    name = "store.writable"

    async def run(self) -> Finding:
        """See Check. What is written is taken back."""
        return await self._look(self._written)

    async def _written(self, connection: Connection) -> Finding:
        if await connection.fetchval("SELECT pg_is_in_recovery()"):
            told_ = f"{self._place} is on a standby, which can only be read."
            remedy = "Name the primary, or all hosts and target_session_attrs=read-write."
            return fault(self, told_, remedy)
        if await connection.fetchval("SHOW transaction_read_only") == "on":
            told_ = f"{self._place} is set to be read only."
            return fault(self, told_, "See default_transaction_read_only of server, database and role.")
        if not await connection.fetchval("SELECT to_regclass('throttles') IS NOT NULL"):
            return warning(self, f"{self._place} has no tables yet.", _SOON)
        lacking = [row[0] for row in await connection.fetch(_LACKING)]
        if lacking:
            role = await connection.fetchval("SELECT current_user")
            told_ = f"The role {role} lacks rights on {', '.join(lacking)}."
            return fault(self, told_, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};")
        transaction = connection.transaction()
        await transaction.start()
        try:
            key = f"doctor:{secrets.token_hex(8)}"
            await connection.execute("INSERT INTO throttles (key, tat) VALUES ($1, 0)", key)
        except (asyncpg.PostgresError, TimeoutError) as problem:
            said = " ".join(str(problem).split()) or "no answer in time"
            return fault(self, f"{self._place} can't be written to: {said}.", "See what the server's log says.")
        finally:
            if not connection.is_closed():
                await transaction.rollback()
        return ok(self, f"{self._place} can be written to.")


class PostgresDurable(_Postgres):
    """Whether what is committed stays, whatever crashes."""

    name = "store.durable"

    async def run(self) -> Finding:
        """See Check."""
        return await self._look(self._kept)

    async def _kept(self, connection: Connection) -> Finding:
        shown = {
            each: str(await connection.fetchval(f"SHOW {each}"))
            for each in ("synchronous_commit", "fsync", "full_page_writes", "autovacuum", "synchronous_standby_names")
        }
        if shown["synchronous_commit"] == "off":
            told_ = "synchronous_commit is off: a crash of the server takes acknowledged answers back."
            if self._settings.postgres.allow_asynchronous_commit:
                return warning(self, told_, "You allowed it (POSTGRES__ALLOW_ASYNCHRONOUS_COMMIT); think again.")
            return fault(self, told_, "ALTER DATABASE … SET synchronous_commit = on;")
        for each in ("fsync", "full_page_writes"):
            if shown[each] == "off":
                told_ = f"{each} is off: a power cut at the server loses the database."
                return fault(self, told_, f"ALTER SYSTEM SET {each} = on; SELECT pg_reload_conf();")
        if shown["autovacuum"] == "off":
            told_ = "autovacuum is off: rows are changed and deleted all day, and their room is never used again."
            return warning(self, told_, "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();")
        standbys = shown["synchronous_standby_names"]
        beside = f" and for {standbys}" if standbys else ""
        return ok(
            self, f"Each commit waits for the server's disk{beside} (synchronous_commit {shown['synchronous_commit']})."
        )


class PostgresConnections(_Postgres):
    """Whether the server has the connections that these settings ask for, now and in a rolling restart."""

    name = "store.connections"

    async def run(self) -> Finding:
        """See Check. Other machines take as many, which can't be known here but by those that they hold now."""
        return await self._look(self._room)

    async def _room(self, connection: Connection) -> Finding:
        each, workers = self._settings.postgres.connections, self._settings.workers
        room = await _number(connection, _ROOM)
        mine = await _number(connection, _MINE) - 1  # not this one
        others = max(0, await _number(connection, _TAKEN) - mine - 1)
        told_ = (
            f"{workers * each} connections (WORKERS times POSTGRES__CONNECTIONS) of {room} that the server gives;"
            f" others hold {others}, push-service {mine}."
        )
        if workers * each > room - others:
            remedy = "Raise max_connections at the server (or the role's or database's limit), or lower these settings."
            return fault(self, told_, remedy)
        if (workers + 1) * each > room - others or max(mine, workers * each) + each > room - others:
            remedy = (
                "Have room for one process more: in a rolling restart the new one is there before the old one goes."
            )
            return warning(self, told_, remedy)
        return ok(self, told_)


class PostgresSpace(_Postgres):
    """How large it is. How much room there is, only the server's own machine knows."""

    name = "store.space"

    async def run(self) -> Finding:
        """See Check."""
        return await self._look(self._size)

    async def _size(self, connection: Connection) -> Finding:
        size = await _number(connection, "SELECT pg_database_size(current_database())")
        return ok(
            self, f"{self._place} takes {size // _MIB:,} MiB; the room on the server's disk can't be seen from here."
        )


class PostgresClock(_Postgres):
    """Whether the server's clock, which decides, is behind what it has decided already, or far from this machine's."""

    name = "store.clock"

    async def run(self) -> Finding:
        """See Check."""
        return await self._look(self._compared)

    async def _compared(self, connection: Connection) -> Finding:
        before = time.time()
        clock = await _number(connection, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        skew = clock / MICROSECONDS - (before + time.time()) / 2
        newest = 0
        if await connection.fetchval("SELECT to_regclass('audit') IS NOT NULL"):
            newest = await _number(connection, "SELECT at FROM audit ORDER BY seq DESC LIMIT 1")
        ahead = (newest - clock) / MICROSECONDS
        if ahead > _AHEAD_SECONDS:
            told_ = (
                f"The newest record in the store is {ahead:.0f} seconds in the future: the server's clock was set back."
            )
            return fault(self, told_, _NTP)
        if abs(skew) > _APART_SECONDS:
            return fault(
                self, f"The database server's clock, which decides, is {skew:+.0f} seconds from this one.", _NTP
            )
        return ok(self, f"The database server's clock, which decides, is {skew:+.2f} seconds from this machine's.")


async def _number(connection: Connection, question: str) -> int:
    return int(await connection.fetchval(question) or 0)
