"""How the soak of everything is planned, and when it counts a browser as told late: rules of the harness, alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from tests.soak.chaos.schedule import Part, schedule
from tests.soak.chaos.verdict import Trouble, Verdict, judge

TROUBLE = Trouble(begun=100.0, back=110.0)


@pytest.fixture
def rows() -> Iterator[sqlite3.Connection]:
    """One approved sign-in in order, as `mirror.py` copies them; committed at 105 s."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.executescript(
        """
        CREATE TABLE users (id, version);
        CREATE TABLE sign_ins (id, state, reason, challenge_id, decided_at, expires_at, result_jti);
        CREATE TABLE challenges (id, sign_in_id, state, kind, answer_digest);
        CREATE TABLE audit (seq, decision, n, user_id, sign_in_id, kind, code);
        INSERT INTO users VALUES ('usr', 2);
        INSERT INTO sign_ins VALUES ('si', 'approved', NULL, 'ch', 105000000, 999000000, 'jti');
        INSERT INTO challenges VALUES ('ch', 'si', 'completed', 'app_notification', 'digest');
        INSERT INTO audit VALUES (1, 'd1', 0, 'usr', NULL, 'user.added', NULL);
        INSERT INTO audit VALUES (4, 'd2', 0, 'usr', 'si', 'sign_in.begun', NULL);
        INSERT INTO audit VALUES (9, 'd3', 0, 'usr', 'si', 'sign_in.outcome', 'approved');
        """
    )
    yield connection
    connection.close()


def told_at(seconds: float, outcome: str = "completed") -> list[dict[str, object]]:
    return [
        {"client": "phone", "op": "answer", "sign_in": "si", "type": "ok", "invoke": 104.0, "complete": 106.0}
        | {"outcome": outcome},
        {"client": "browser", "op": "poll", "sign_in": "si", "type": "ok", "invoke": 90.0, "complete": seconds}
        | {"state": "approved", "version": 2},
    ]


def verdict(rows: sqlite3.Connection, ops: list[dict[str, object]]) -> Verdict:
    return judge(ops, rows, {"si"}, [TROUBLE], offset=0.0)


def test_the_same_seed_throws_the_same_schedule_and_every_part_has_its_turn() -> None:
    planned = schedule(3, 600)
    assert planned == schedule(3, 600)
    assert planned != schedule(4, 600)
    assert {blow.kind.part for episode in planned for blow in episode.strikes} == set(Part)


def test_what_is_in_order_has_no_faults(rows: sqlite3.Connection) -> None:
    judged = verdict(rows, told_at(107.0))
    assert (judged.contradictions, judged.lost, judged.unfinished, judged.late(5.0)) == ([], [], [], [])


def test_a_browser_has_its_time_from_when_everything_was_back(rows: sqlite3.Connection) -> None:
    assert verdict(rows, told_at(114.0)).late(5.0) == []
    assert len(verdict(rows, told_at(116.0)).late(5.0)) == 1
    assert len(verdict(rows, told_at(114.0)[:1]).late(5.0)) == 1, "who is never told is late"


def test_an_acknowledged_answer_that_is_not_what_is_stored_is_lost(rows: sqlite3.Connection) -> None:
    assert len(verdict(rows, told_at(107.0, outcome="denied")).lost) == 1


def test_a_second_outcome_a_missing_record_and_a_sign_in_that_nobody_began_are_contradictions(
    rows: sqlite3.Connection,
) -> None:
    rows.execute("INSERT INTO audit VALUES (12, 'd4', 0, 'usr', 'si', 'sign_in.outcome', 'withdrawn')")
    assert any("outcome records" in each for each in verdict(rows, told_at(107.0)).contradictions)
    rows.execute("UPDATE audit SET n = 1 WHERE decision = 'd4'")
    assert any("not whole" in each for each in verdict(rows, told_at(107.0)).contradictions)
    assert any("nobody began" in each for each in judge(told_at(107.0), rows, set(), [], 0.0).contradictions)
