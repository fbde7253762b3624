"""The benchmarks of the service, a twentieth and less of their size: that they complete, not how fast.

Each goes through the whole of it: people imported and registered, the service started as a process, measured, stopped.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from typer.testing import CliRunner

from bench.__main__ import commands
from bench.client_sign_ins import ClientSignInsResult
from bench.idle_devices import IdleResult
from bench.load import LoadResult
from bench.overload import OverloadResult
from bench.passwords import PasswordsResult, lanes_measured
from bench.results import load
from bench.sign_in import SignInResult

Measured = TypeVar("Measured")
pytestmark = pytest.mark.usefixtures("registered_already")


def run(target: Path, kind: type[Measured], *arguments: str) -> Measured:
    done = CliRunner().invoke(commands, [*arguments, "--json", str(target)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return msgspec.json.decode(load(target).measured, type=kind)


def test_service_and_prototype_sign_people_in_by_turns(tmp_path: Path) -> None:
    arguments = ("sign-in", "--people", "8", "--rounds", "1", "--seconds", "0.5")
    result = run(tmp_path / "sign-in.json", SignInResult, *arguments)
    assert [taken.contestant for taken in result.rounds] == ["prototype", "service"]
    for taken in result.rounds:
        for measurement in (taken.saturated, taken.half, taken.one):
            assert measurement.sign_ins > 0
            assert measurement.errors == {}


def test_nobody_who_waits_is_forgotten(tmp_path: Path) -> None:
    result = run(tmp_path / "load.json", LoadResult, "load", "--waiting", "24", "--seconds", "2")
    assert [step.waiting for step in result.steps] == [3, 6, 12, 24]
    for step in result.steps:
        assert step.sign_ins > 0
        assert step.errors == {}


def test_idle_phones_stay_connected_and_are_counted(tmp_path: Path) -> None:
    result = run(
        tmp_path / "idle.json", IdleResult, "idle-devices", "--devices", "20", "--rounds", "1", "--seconds", "0.3"
    )
    assert [(idle.contestant, idle.devices) for idle in result.measured] == [("prototype", 20), ("service", 20)]


def test_passwords_are_hashed_and_their_neighbours_go_on(tmp_path: Path) -> None:
    result = run(
        tmp_path / "passwords.json", PasswordsResult, "passwords", "--people", "6", "--rounds", "1", "--seconds", "0.3"
    )
    assert [taken.lanes for taken in result.rounds] == list(lanes_measured())
    for taken in result.rounds:
        assert taken.begun_errors == {}
        for measurement in (taken.completed, taken.vouched_alone, taken.vouched_beside_passwords):
            assert measurement.sign_ins > 0
            assert measurement.errors == {}


def test_clients_are_let_in_and_refused_as_meant(tmp_path: Path) -> None:
    arguments = ("client-sign-ins", "--rounds", "1", "--seconds", "0.5")
    result = run(tmp_path / "client-sign-ins.json", ClientSignInsResult, *arguments)
    assert len(result.rounds) == 4
    for taken in result.rounds:
        assert taken.requests > 0
        assert taken.unexpected == {}


def test_more_sign_ins_than_can_be_served_are_asked_for_and_afterwards_everybody_is_served(tmp_path: Path) -> None:
    result = run(tmp_path / "overload.json", OverloadResult, "overload", "--people", "16", "--seconds", "2")
    assert [phase.name for phase in result.phases[:2]] == ["half of capacity", "three times capacity"]
    assert len(result.phases) == 3
    for phase in result.phases:
        assert phase.completed_per_second > 0
        assert phase.errors == {}
    assert result.phases[-1].refused_per_second == 0
