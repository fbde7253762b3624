"""Deletes what nobody can ask for any more, a bounded number of rows of each table, beside others who do the same."""

from __future__ import annotations

from push_service.model.instant import Instant
from push_service.store.joined import LIVE
from push_service.store.postgres.connections import Connections
from push_service.store.sweeping import OLD, OVER_AND_OLD, SWEEP_ROWS, Swept


async def sweep(connections: Connections) -> int:
    """See ports.Store."""
    now = await connections.run(lambda connection: connection.fetchval("SELECT service_now()"))
    due = [
        *((_delete(each, f"AND NOT {LIVE} ORDER BY {each.column}"), each.before(now)) for each in OVER_AND_OLD),
        *((_delete(each), each.before(now)) for each in OLD),
    ]
    return sum([await _run(connections, statement, before) for statement, before in due])


async def _run(connections: Connections, statement: str, before: Instant) -> int:
    status = await connections.run(lambda connection: connection.execute(statement, before))
    return int(status.removeprefix("DELETE "))


def _delete(swept: Swept, which: str = "") -> str:
    chosen = (
        f"SELECT {swept.key} FROM {swept.table} WHERE {swept.column} < $1 {which}"  # noqa: S608
        f" LIMIT {SWEEP_ROWS} FOR UPDATE SKIP LOCKED"
    )
    return f"DELETE FROM {swept.table} WHERE ({swept.key}) IN ({chosen})"  # noqa: S608
