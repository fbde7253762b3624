"""The two statements of a decision: one that reads many snapshots, one that writes many decisions.

What is read was mostly read already (recent.py), so most decisions are the second alone.

The write is one statement, hence one transaction and one round trip for any number of decisions about different users:

- `held`: the rows of those users who are still at the version that was read, locked. Who is locked by somebody else is
  left out rather than waited for: so nobody stalls behind a held row, and two writers never wait for one another.
- `due`: of those, the decisions that still come in time. The clock is read when the lock is held, so that whoever waits
  for the lock and then finds the deadline passed knows that nothing more will be decided (reads.py).
- `refused`: the charges are spent, unless one would go over.
- `won`: the rest. Their versions move on, and their rows are written with them.

What is not in the answer was not written at all.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import msgspec

from push_service.model.decision import Audit, Decision
from push_service.model.ids import DecisionId, UserId
from push_service.model.instant import Instant
from push_service.model.throttle import Charge
from push_service.model.user import User
from push_service.store import columns, joined, rows
from push_service.store.records import audit_rows
from push_service.store.rows import Row, Rows

_READ = f"SELECT {joined.SNAPSHOT}, (SELECT service_now()) FROM {joined.SNAPSHOT_FROM}"  # noqa: S608
READ = f"{_READ} WHERE u.id = ANY($1::text[]) ORDER BY s.begun_at"
READ_NAMED = f"{_READ} WHERE u.name_key = ANY($1::text[]) ORDER BY s.begun_at"
"""Snapshots by id and by name, each row with the server's clock."""

_TYPES = dict.fromkeys(("version", "until", "cost", "burst", "at", "next_at", "lease_until"), "bigint")
_TYPES |= dict.fromkeys(("begun_at", "expires_at", "decided_at", "started_at", "ended_at", "since"), "bigint")
_TYPES |= {"digits": "integer", "n": "integer", "secret": "bytea", "answer": "bytea"}

_USERS, _CHARGES, _DELIVERIES, _REMEMBERED, _AUDIT = "users", "charges", "deliveries", "remembered", "audit"
_MESSAGES = "messages"
_NEW_SIGN_INS, _MOVED_SIGN_INS = "new_sign_ins", "moved_sign_ins"
_NEW_CHALLENGES, _ENDED_CHALLENGES = "new_challenges", "ended_challenges"
_GROUPS = {
    _USERS: "id, version, guard, until",
    _CHARGES: "owner, key, cost, burst",
    _NEW_SIGN_INS: f"owner, {columns.SIGN_IN}",
    _MOVED_SIGN_INS: f"owner, {columns.MOVED_SIGN_IN}, id",
    _NEW_CHALLENGES: f"owner, {columns.CHALLENGE}",
    _ENDED_CHALLENGES: f"owner, {columns.ENDED_CHALLENGE}, id",
    _DELIVERIES: f"owner, {columns.DELIVERY}",
    _MESSAGES: f"owner, {columns.MESSAGE}",
    _REMEMBERED: f"owner, {columns.REMEMBERED}",
    _AUDIT: f"owner, {columns.AUDIT}",
}
"""What `write` takes, an array for each column: rows of several decisions, each with the user whom it belongs to."""


class Written:
    """The rows of several decisions, of different users, on their way into a statement."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._groups: dict[str, list[Row]] = {name: [] for name in _GROUPS}

    def charge(self, owner: UserId, charges: Sequence[Charge]) -> None:
        """Add what the decision about this user costs."""
        self._groups[_CHARGES] += [(owner, each.key, each.cost, each.burst) for each in charges]

    def add(self, map_: Rows, id_: DecisionId, now: Instant, before: User, decision: Decision[object]) -> None:
        """Add what the statement writes of a decision: all but what is seldom (seldom.py)."""
        groups, owner = self._groups, before.id
        guard = None if decision.user is None else rows.text(decision.user.guard)
        groups[_USERS].append((owner, before.version, guard, decision.until))
        for sign_in in decision.sign_ins:
            if sign_in.version == 1:
                groups[_NEW_SIGN_INS].append((owner, *map_.sign_in_row(sign_in)))
            else:
                groups[_MOVED_SIGN_INS].append((owner, *map_.moved_sign_in_row(sign_in)))
        for challenge in decision.challenges:
            if challenge.ended_at is None:
                groups[_NEW_CHALLENGES].append((owner, *map_.challenge_row(challenge)))
            else:
                groups[_ENDED_CHALLENGES].append((owner, *map_.ended_challenge_row(challenge)))
        groups[_DELIVERIES] += [(owner, *rows.delivery_row(each)) for each in decision.deliveries]
        groups[_MESSAGES] += [(owner, *rows.message_row(owner, each)) for each in decision.messages]
        if decision.remembered:
            groups[_REMEMBERED].append((owner, *msgspec.structs.astuple(decision.remembered)))
        groups[_AUDIT] += [(owner, *row) for row in audit_rows(id_, now, decision.audit)]
        self._last = (id_, now, decision.audit)

    def further_records(self, audit: tuple[Audit, ...]) -> list[list[object]]:
        """The arguments of `PUT_AUDIT` for records that belong to the decision added last."""
        id_, now, before = self._last
        return arrays(columns.AUDIT, audit_rows(id_, now, (*before, *audit))[len(before) :])

    @property
    def statement(self) -> str:
        """The statement that writes what is here, and that which is not here it does not mention."""
        return write(tuple(name for name, group in self._groups.items() if group))

    def arguments(self) -> list[list[object]]:
        """The arguments of `statement`."""
        return [column for name, group in self._groups.items() if group for column in arrays(_GROUPS[name], group)]


def arrays(listed: str, group: Sequence[Row]) -> list[list[object]]:
    """Rows turned into an array for each column."""
    if not group:
        return [[] for _ in columns.names(listed)]
    return [list(column) for column in zip(*group, strict=True)]


def unnest(listed: str, first: int) -> str:
    """The rows again, in their order, from the arrays that are the arguments from `first` on; `place` counts them."""
    types = ", ".join(
        f"${number}::{_TYPES.get(name, 'text')}[]" for number, name in enumerate(columns.names(listed), first)
    )
    return f"unnest({types}) WITH ORDINALITY AS t ({listed}, place)"


def _from(group: str, groups: Sequence[str]) -> str:
    """The rows of a group, in their order; the arguments are those of these groups."""
    first = 1 + sum(columns.width(_GROUPS[name]) for name in groups[: groups.index(group)])
    return unnest(_GROUPS[group], first)


def _insert(table: str, group: str, groups: Sequence[str]) -> str:
    listed = _GROUPS[group].removeprefix("owner, ")
    return (
        f"INSERT INTO {table} ({listed}) SELECT {columns.of(listed, 't')} FROM {_from(group, groups)}"  # noqa: S608
        f" WHERE {_is_of('won')} ORDER BY t.place"
    )


def _update(table: str, group: str, groups: Sequence[str]) -> str:
    listed = _GROUPS[group].removeprefix("owner, ").removesuffix(", id")
    changes = ", ".join(f"{name} = t.{name}" for name in columns.names(listed))
    source = _from(group, groups)
    return f"UPDATE {table} AS x SET {changes} FROM {source} WHERE x.id = t.id AND {_is_of('won')}"  # noqa: S608


def _is_of(whom: str) -> str:
    """That a row belongs to one of these users.

    Looked up in a hash, which keeps the rows in their order. Without `IS TRUE` it would be planned as a join instead,
    which compares each row with each user and has to sort afterwards.
    """
    return f"(t.owner IN (SELECT id FROM {whom})) IS TRUE"  # noqa: S608


PUT_AUDIT = (
    f"INSERT INTO audit ({columns.AUDIT}) SELECT {columns.of(columns.AUDIT, 't')}"  # noqa: S608
    f" FROM {unnest(columns.AUDIT, 1)} ORDER BY t.place"
)
_SPENT = """
asked AS MATERIALIZED (
    SELECT array_agg(t.owner ORDER BY t.place) AS owners, array_agg(t.key ORDER BY t.place) AS keys,
        array_agg(t.cost ORDER BY t.place) AS costs, array_agg(t.burst ORDER BY t.place) AS bursts
    FROM {charges} WHERE {is_due}),
refused AS MATERIALIZED (
    SELECT r.owner, r.wait FROM asked, spend(asked.owners, asked.keys, asked.costs, asked.bursts) AS r),"""
_TABLES = {
    _NEW_SIGN_INS: (_insert, "sign_ins"),
    _MOVED_SIGN_INS: (_update, "sign_ins"),
    _NEW_CHALLENGES: (_insert, "challenges"),
    _ENDED_CHALLENGES: (_update, "challenges"),
    _DELIVERIES: (_insert, "deliveries"),
    _MESSAGES: (_insert, "messages"),
    _REMEMBERED: (_insert, "remembered"),
    _AUDIT: (_insert, "audit"),
}


@functools.cache
def write(groups: tuple[str, ...]) -> str:
    """The statement for rows of these groups alone.

    It answers whose decisions were written; and, with the microseconds to wait, whose charges were refused. What is
    not there is left out, rather than handed over empty: to set up a plan costs the server more than to run it, and
    few decisions write to more than half of the tables.
    """
    charged = _CHARGES in groups
    spent = _SPENT.format(charges=_from(_CHARGES, groups), is_due=_is_of("due")) if charged else ""
    unless = "AND NOT EXISTS (SELECT FROM refused r WHERE r.owner = due.id)" if charged else ""
    refused = "UNION ALL SELECT refused.owner, refused.wait FROM refused" if charged else ""
    written = "".join(
        f", written_{n} AS ({make(table, group, groups)})"
        for n, (group, (make, table)) in enumerate(_TABLES.items())
        if group in groups
    )
    return f"""
WITH held AS MATERIALIZED (
    SELECT t.id, t.version, t.guard, t.until FROM {_from(_USERS, groups)} JOIN users u ON u.id = t.id
    WHERE u.version = t.version FOR NO KEY UPDATE OF u SKIP LOCKED),
due AS MATERIALIZED (
    SELECT id, version, guard FROM held WHERE until IS NULL OR service_now() < until),{spent}
won AS (
    UPDATE users AS u SET version = u.version + 1, guard = coalesce(due.guard, u.guard) FROM due
    WHERE u.id = due.id AND u.version = due.version {unless}
    RETURNING u.id){written}
SELECT won.id, NULL::bigint AS wait FROM won {refused}
"""  # noqa: S608


WRITE = write(tuple(_GROUPS))
"""The longest of them."""
