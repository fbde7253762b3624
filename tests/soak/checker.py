"""Judges a history and the rows that it left. Knows no code of the service: JSON lines and SQLite are all it reads.
What PostgreSQL holds is copied into such a database first (`mirror.py`).

`check_history` folds what observers were told, `check_rows` looks at the database on its own, `check_agreement` puts
the two side by side. Each returns sentences about what does not hold.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

TERMINAL = frozenset({"approved", "denied", "failed", "expired", "withdrawn"})
CHALLENGE_OF = {
    "approved": {"completed"},
    "denied": {"denied"},
    "failed": {"failed"},
    "expired": {"expired"},
    "withdrawn": {"withdrawn"},
}
TOLD_TO_PHONE = {
    ("approved", None): "completed",
    ("denied", "denied_on_phone"): "denied",
    ("denied", "fraud_reported"): "fraud_reported",
    ("failed", "wrong_number"): "wrong_number",
}
SIGNED = "app_notification"
"""The method whose answers are signed, so that the same one again can be told from another."""
DECISIVE = frozenset(TOLD_TO_PHONE.values())

Op = dict[str, Any]


def load(path: Path) -> list[Op]:
    """A history's operations, in the order in which they were written."""
    with path.open() as file:
        return [json.loads(line) for line in file]


def by_sign_in(ops: Iterable[Op]) -> dict[str, list[Op]]:
    """The operations on each sign-in."""
    grouped: dict[str, list[Op]] = defaultdict(list)
    for op in ops:
        grouped[op["sign_in"]].append(op)
    return grouped


# --- what observers were told -----------------------------------------------------------------------------------------


def check_history(ops: Sequence[Op]) -> list[str]:
    """One terminal state a sign-in, for everybody, for ever; and phones and browsers told the same."""
    return [fault for sign_in, mine in by_sign_in(ops).items() for fault in _one(sign_in, mine)]


def _one(sign_in: str, ops: list[Op]) -> Iterator[str]:
    seen = [op for op in ops if op["type"] == "ok" and "state" in op]
    terminal = {op["state"] for op in seen if op["state"] in TERMINAL}
    if len(terminal) != 1:
        yield f"{sign_in}: terminal states observed: {sorted(terminal) or 'none'}"
        return
    [end] = terminal
    yield from _readers(sign_in, seen)
    yield from _real_time(sign_in, ops, seen)
    yield from _phones(sign_in, ops, seen, end)
    yield from _losers(sign_in, ops, end)


def _readers(sign_in: str, seen: list[Op]) -> Iterator[str]:
    """Within one reader versions never go back and nothing leaves a terminal state; a version means one state."""
    readers: dict[str, list[Op]] = defaultdict(list)
    meaning: dict[int, set[str]] = defaultdict(set)
    for op in seen:
        readers[op["client"]].append(op)
        if "version" in op:
            meaning[op["version"]].add(op["state"])
    for version, states in meaning.items():
        if len(states) > 1:
            yield f"{sign_in}: version {version} was told as {sorted(states)}"
    for client, mine in readers.items():
        versions = [op["version"] for op in mine if "version" in op]
        if versions != sorted(versions):
            yield f"{sign_in}: versions went backwards for {client}: {versions}"
        told = [op["state"] for op in mine]
        over = next((position for position, state in enumerate(told) if state in TERMINAL), None)
        if over is not None and set(told[over:]) - TERMINAL:
            yield f"{sign_in}: {client} saw it over, and then {told[over:]}"


def _real_time(sign_in: str, ops: list[Op], seen: list[Op]) -> Iterator[str]:
    """Who asks after anybody was told that it is over is told so, too; and no device's list shows it any more."""
    first = min((op["complete"] for op in seen if op["state"] in TERMINAL), default=None)
    if first is None:
        return
    for op in seen:
        if op["invoke"] > first and op["state"] not in TERMINAL and op["op"] in {"get", "poll"}:
            yield f"{sign_in}: {op['client']} asked after it was over, and was told {op['state']}"
    for op in ops:
        if op["op"] == "list" and op["type"] == "ok" and op["invoke"] > first and op.get("outcome") == "asked":
            yield f"{sign_in}: {op['client']}'s list still asked after it was over"


def _phones(sign_in: str, ops: list[Op], seen: list[Op], end: str) -> Iterator[str]:
    """A phone is told a decisive outcome if, and only if, the browser's state is that outcome."""
    reasons = {op.get("reason") for op in seen if op["state"] == end}
    if len(reasons) != 1:
        yield f"{sign_in}: {end} for different reasons: {sorted(map(str, reasons))}"
        return
    promised = TOLD_TO_PHONE.get((end, reasons.pop()))
    told = [op for op in ops if op["op"] == "answer" and op["type"] == "ok" and op.get("outcome") in DECISIVE]
    wrong = [op for op in told if op["outcome"] != promised]
    if wrong:
        yield f"{sign_in} is {end}, but {wrong[0]['client']} was told {wrong[0]['outcome']}"
    unknown = any(op["op"] == "answer" and op["type"] == "info" for op in ops)
    if promised and not told and not unknown:
        yield f"{sign_in} is {end} and no phone was told {promised}"
    answerers = {op["client"].partition("/")[0] for op in told}
    if len(answerers) > 1:
        yield f"{sign_in}: {sorted(answerers)} were both told that theirs counted"


def _losers(sign_in: str, ops: list[Op], end: str) -> Iterator[str]:
    """`too_late` names the state reached: the outcome, or `pending` where another challenge took this one's place."""
    switched = any(op["op"] == "choose" and op["type"] == "ok" for op in ops)
    for op in ops:
        if op["type"] == "fail" and op["op"] in {"answer", "cancel", "choose"}:
            fits = op.get("state") == end or (op.get("state") == "pending" and switched and op["op"] == "answer")
            if op.get("code") == "too_late" and not fits:
                yield f"{sign_in} is {end}, but too_late named {op.get('state')} to {op['client']}"
            if op.get("code") not in {"too_late", "challenge_changed"}:
                yield f"{sign_in}: {op['client']} lost with {op.get('status')} {op.get('code')}"
            if op.get("code") == "challenge_changed" and not switched:
                yield f"{sign_in}: challenge_changed to {op['client']}, though nobody had changed it"
        if op["op"] == "cancel" and op["type"] == "ok" and end != "withdrawn":
            yield f"{sign_in} was cancelled, but is {end}"


# --- what was written -------------------------------------------------------------------------------------------------


@contextmanager
def copied(database: Path) -> Iterator[sqlite3.Connection]:
    """The database as the files are now, its log included, opened as a copy: whoever owns it is not disturbed."""
    with TemporaryDirectory() as folder:
        for name in (database.name, f"{database.name}-wal"):
            if (database.parent / name).exists():
                shutil.copyfile(database.parent / name, Path(folder) / name)
        connection = sqlite3.connect(Path(folder) / database.name)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()


def check_rows(connection: sqlite3.Connection, *, gapless: bool = True) -> list[str]:
    """Nothing half-done: each outcome with its one record, each record with its outcome, challenges along with them.

    Not `gapless`: the audit's numbers are those of a sequence, which gives none twice but leaves some out.
    """
    whole = [*_integrity(connection)] if gapless else [*_decisions(connection)]
    return [*whole, *_outcomes(connection), *_challenges(connection), *_users(connection)]


def _decisions(connection: sqlite3.Connection) -> Iterator[str]:
    """A decision's records are all there."""
    query = "SELECT decision, count(*), count(DISTINCT n), min(n), max(n) FROM audit GROUP BY decision"
    for decision, count, distinct, first, last in connection.execute(query):
        if (count, first, last) != (distinct, 0, count - 1):
            yield f"the records of decision {decision} are not whole: {count}, numbered {first} to {last}"


def _integrity(connection: sqlite3.Connection) -> Iterator[str]:
    (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        yield f"the database is damaged: {verdict}"
    count, first, last = connection.execute("SELECT count(*), min(seq), max(seq) FROM audit").fetchone()
    if count and (first, last) != (1, count):
        yield f"the audit has gaps: {count} records, numbered {first} to {last}"


def _outcomes(connection: sqlite3.Connection) -> Iterator[str]:
    records: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in connection.execute("SELECT * FROM audit WHERE sign_in_id IS NOT NULL ORDER BY seq"):
        records[row["sign_in_id"]].append(row)
    for sign_in in connection.execute("SELECT * FROM sign_ins"):
        mine = records.pop(sign_in["id"], [])
        codes = [row["code"] for row in mine if row["kind"] == "sign_in.outcome"]
        wanted = [sign_in["state"]] if sign_in["state"] in TERMINAL else []
        if codes != wanted:
            yield f"{sign_in['id']} is {sign_in['state']}; its outcome records say {codes}"
        begun = [row for row in mine if row["kind"] == "sign_in.begun"]
        if len(begun) + (not begun and bool(codes)) != 1:
            yield f"{sign_in['id']} has {len(begun)} records of its beginning"
        if (sign_in["decided_at"] is not None) != (sign_in["state"] in TERMINAL):
            yield f"{sign_in['id']} is {sign_in['state']} with decided_at {sign_in['decided_at']}"
        if sign_in["result_jti"] is not None and sign_in["state"] != "approved":
            yield f"{sign_in['id']} is {sign_in['state']} and has a result"
    for unknown, rows in records.items():
        if any(row["kind"] in {"sign_in.begun", "sign_in.outcome"} for row in rows):
            yield f"{unknown} has records but no row"


def _challenges(connection: sqlite3.Connection) -> Iterator[str]:
    rows = connection.execute(
        "SELECT s.id, s.state, s.challenge_id, c.id AS cid, c.state AS challenge, c.kind, c.answer_digest"
        " FROM sign_ins s JOIN challenges c ON c.sign_in_id = s.id"
    ).fetchall()
    pending: dict[str, int] = defaultdict(int)
    for row in rows:
        pending[row["id"]] += row["challenge"] == "pending"
        if row["cid"] == row["challenge_id"] and row["state"] in TERMINAL:
            if row["challenge"] not in CHALLENGE_OF[row["state"]]:
                yield f"{row['id']} is {row['state']}, its challenge {row['challenge']}"
        elif row["cid"] != row["challenge_id"] and row["challenge"] != "withdrawn":
            yield f"{row['id']}: a former challenge is {row['challenge']}"
        signed = row["kind"] == SIGNED and row["challenge"] in {"completed", "denied"}
        if signed != (row["answer_digest"] is not None) and row["challenge"] != "failed":
            yield f"{row['cid']} is {row['challenge']} with the answer {row['answer_digest']}"
    states = {row["id"]: row["state"] for row in rows}
    for sign_in, count in pending.items():
        if count > (states[sign_in] == "pending"):
            yield f"{sign_in} is {states[sign_in]} with {count} pending challenges"


def _users(connection: sqlite3.Connection) -> Iterator[str]:
    """A person's version counts the decisions since they were added; what was refused and recorded may not be one.

    A push token that Firebase knows no more is forgotten and recorded without a decision.
    """
    query = (
        "SELECT u.id, u.version, count(DISTINCT a.decision) - 1 AS decisions, coalesce(sum(a.kind LIKE '%.refused'), 0)"
        " AS refused FROM users u JOIN audit a ON a.user_id = u.id WHERE a.kind <> 'push_token.retired' GROUP BY u.id"
    )
    for row in connection.execute(query):
        if not row["refused"] and row["version"] != row["decisions"]:
            yield f"{row['id']} has version {row['version']} after {row['decisions']} decisions"


# --- both -------------------------------------------------------------------------------------------------------------


def check_agreement(ops: Sequence[Op], connection: sqlite3.Connection) -> list[str]:
    """What was told is what is written: state, reason, and the answers that were acknowledged."""
    # What its time has ended may not have been written down yet: that is no contradiction.
    query = (
        "SELECT id, reason, CASE WHEN state = 'pending' AND expires_at <= ? THEN 'expired' ELSE state END AS state"
        " FROM sign_ins"
    )
    found = {row["id"]: row for row in connection.execute(query, (time.time_ns() // 1000,))}
    faults = []
    for sign_in, mine in by_sign_in(ops).items():
        row = found.get(sign_in)
        if row is None:
            faults.append(f"{sign_in} was begun, and is gone")
            continue
        for op in mine:
            if op["type"] != "ok":
                continue
            if op.get("state") in TERMINAL and (op["state"], op.get("reason")) != (row["state"], row["reason"]):
                faults.append(f"{op['client']} was told {op['state']} of {sign_in}, which is stored {row['state']}")
            if op["op"] == "answer" and op.get("outcome") in DECISIVE:
                stored = TOLD_TO_PHONE.get((row["state"], row["reason"]))
                if stored != op["outcome"]:
                    faults.append(f"{op['client']} was acknowledged {op['outcome']}, stored is {row['state']}")
    return faults
