"""The stories of tests/soak with a fraction of their rounds, and the breaks that they must notice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.soak import (
    chaos,
    codes,
    drain,
    durability,
    expiry,
    herd,
    hints,
    kills,
    leaks,
    races,
    rolling,
    texts,
    undead,
    wakes,
)
from tests.soak.chaos.schedule import Episode, Kind, Strike
from tests.soak.mutants import Mutant
from tests.soak.story import silent
from tests.support.deployments import Deployment

pytestmark = pytest.mark.soak


@pytest.mark.reliability("R-01")
@pytest.mark.security("S-31", "S-32")
async def test_one_outcome_for_every_observer_whoever_comes_first(tmp_path: Path) -> None:
    report = await races.run(tmp_path, rounds=25, seed=7, say=silent)
    assert report.faults == []


@pytest.mark.reliability("R-02", "R-04", "R-22")
async def test_what_was_acknowledged_survives_kill_9_and_what_was_not_can_be_said_again(tmp_path: Path) -> None:
    report = await kills.run(tmp_path, rounds=6, seed=7, say=silent)
    assert report.faults == []


@pytest.mark.reliability("R-02")
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (apt-get install strace)")
async def test_an_answer_is_synced_to_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    try:
        report = await durability.run(tmp_path, rounds=25, seed=7, say=silent)
    except durability.NoTracerError as refusal:
        pytest.skip(f"strace may not trace here: {refusal}")
    assert report.faults == []


@pytest.mark.reliability("R-06")
async def test_without_a_single_bell_everybody_learns_the_outcome_a_little_later(tmp_path: Path) -> None:
    report = await hints.run(tmp_path, rounds=5, seed=7, say=silent)
    assert report.faults == []


@pytest.mark.reliability("R-08")
async def test_clients_that_go_away_leave_nothing_behind(tmp_path: Path) -> None:
    report = await leaks.run(tmp_path, rounds=120, seed=7, say=silent, frozen=False)
    assert report.faults == []


@pytest.mark.reliability("R-10")
async def test_what_a_killed_process_had_to_send_is_sent_unless_it_has_ended(tmp_path: Path) -> None:
    report = await wakes.run(tmp_path, rounds=6, seed=7, say=silent)
    assert report.faults == []


@pytest.mark.reliability("R-10")
async def test_what_a_killed_process_had_to_text_or_call_goes_out_at_most_once(tmp_path: Path) -> None:
    report = await texts.run(tmp_path, rounds=5, seed=7, say=silent)
    assert report.faults == []


@pytest.mark.reliability("R-15")
async def test_sigterm_sends_everybody_away_politely(tmp_path: Path) -> None:
    report = await drain.run(tmp_path, rounds=100, seed=7, say=silent)
    assert report.faults == []


@pytest.mark.reliability("R-14", "R-15")
async def test_rolling_restarts_fail_nobody_who_asks_again(tmp_path: Path) -> None:
    report = await rolling.run(tmp_path, rounds=1, seed=7, say=silent, processes=2)
    assert report.faults == []


@pytest.mark.reliability("R-16", "R-18")
async def test_a_server_stopped_past_a_deadline_approves_nothing_when_it_goes_on(tmp_path: Path) -> None:
    report = await undead.run(tmp_path, rounds=1, seed=7, say=silent)
    assert report.faults == []


@pytest.mark.security("S-21", "S-24", "S-61")
@pytest.mark.parametrize("deployment", [Deployment.EMBEDDED, Deployment.FLEET], ids=str)
async def test_of_codes_typed_at_once_one_approves_and_no_more_are_judged_than_allowed(
    tmp_path: Path, deployment: Deployment
) -> None:
    report = await codes.run(tmp_path, rounds=5, seed=7, say=silent, deployment=deployment)
    assert report.faults == []


@pytest.mark.reliability("R-17")
@pytest.mark.parametrize("deployment", [Deployment.EMBEDDED, Deployment.FLEET], ids=str)
async def test_a_herd_of_phones_comes_back_and_no_prompt_is_lost(tmp_path: Path, deployment: Deployment) -> None:
    report = await herd.run(tmp_path, rounds=100, seed=7, say=silent, deployment=deployment)
    assert report.faults == []


@pytest.mark.reliability("R-19")
async def test_everything_that_time_ends_is_over_without_a_sweeper(tmp_path: Path) -> None:
    report = await expiry.run(tmp_path, rounds=1, seed=7, say=silent)
    assert report.faults == []


@pytest.mark.reliability("R-01", "R-02", "R-03", "R-04", "R-05", "R-06", "R-10", "R-16", "R-22", "R-24")
async def test_everything_dies_in_turn_and_at_random_and_nobody_has_to_notice(tmp_path: Path) -> None:
    report = await chaos.run(tmp_path, rounds=12, seed=26, say=silent, promised=50.0)
    assert report.faults == []


# --- does the harness bite? -------------------------------------------------------------------------------------------


async def test_telling_before_the_commit_is_noticed(tmp_path: Path) -> None:
    mutant = Mutant("tell-before-commit", tmp_path)
    report = await kills.run(tmp_path, rounds=10, seed=7, say=silent, service=mutant, enough=bool, patience=5.0)
    assert any("was acknowledged" in fault or "was answered" in fault for fault in report.faults)


async def test_deciding_by_what_was_read_before_the_transaction_is_noticed(tmp_path: Path) -> None:
    for seed in range(7, 13):  # on a busy machine those who race may miss one another
        folder = tmp_path / str(seed)
        folder.mkdir()
        mutant = Mutant("compare-outside", folder)
        report = await races.run(folder, rounds=12, seed=seed, say=silent, service=mutant)
        if any("outcome records" in fault or "terminal states" in fault for fault in report.faults):
            return
    pytest.fail("six times twelve races, and nothing was noticed")


async def test_expiry_that_waits_for_a_sweeper_is_noticed(tmp_path: Path) -> None:
    report = await expiry.run(tmp_path, rounds=1, seed=7, say=silent, mutation="expiry-by-sweeper")
    assert any("past its deadline" in fault for fault in report.faults)


async def test_decisions_of_several_servers_that_ignore_one_another_are_noticed(tmp_path: Path) -> None:
    report = await chaos.run(
        tmp_path, rounds=5, seed=7, say=silent, promised=50.0, contested=1.0, mutation="write-blindly"
    )
    assert any(
        "outcome records" in fault or "terminal states" in fault or "was told" in fault for fault in report.faults
    )


async def test_a_bell_that_is_not_rung_again_when_the_bus_is_back_is_noticed(tmp_path: Path) -> None:
    lost = [Episode(1.0, (Strike(Kind.REDIS_KILL, 1.5, 0, 0.0),))] * 3
    report = await chaos.run(
        tmp_path, rounds=10, seed=7, say=silent, promised=10.0, mutation="bell-once", episodes=lost
    )
    assert any("its browser was not told" in fault for fault in report.faults)


async def test_a_text_that_is_not_marked_before_it_is_sent_is_noticed(tmp_path: Path) -> None:
    report = await texts.run(tmp_path, rounds=2, seed=7, say=silent, mutation="send-unmarked")
    assert any("the provider heard 2" in fault for fault in report.faults)
