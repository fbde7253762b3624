"""The yardstick works: complete sign-ins against the prototype, through the benchmarks' own command line."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from bench.__main__ import commands
from bench.results import load
from bench.sign_in import Round


class Measured(msgspec.Struct):
    rounds: list[Round]


def test_every_benchmark_is_listed_with_its_line() -> None:
    shown = CliRunner().invoke(commands, ["--help"]).stdout
    for name in ("sign-in", "passwords", "idle-devices", "load"):
        assert name in shown


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("bench") / "sign-in.json"
    arguments = ["sign-in", "--prototype-only", "--rounds", "1", "--seconds", "0.5", "--json", str(target)]
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return target


def test_sign_ins_complete_under_every_load_without_an_error(record: Path) -> None:
    [taken] = msgspec.json.decode(load(record).measured, type=Measured).rounds
    for measurement in (taken.saturated, taken.half, taken.one):
        assert measurement.sign_ins > 0
        assert measurement.errors == {}


def test_the_browser_is_parked_when_the_phone_answers(record: Path) -> None:
    [taken] = msgspec.json.decode(load(record).measured, type=Measured).rounds
    assert taken.one.parked_percent == 100
    assert taken.one.polls == 1


def test_earlier_runs_become_markdown(record: Path) -> None:
    shown = CliRunner().invoke(commands, ["markdown", str(record)]).stdout
    assert "| sign-ins a second |" in shown


def test_a_document_gets_the_tables_between_its_marks_and_keeps_the_rest(record: Path, tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    other = "<!-- bench load -->\nold\n<!-- end -->\n"
    document.write_text(f"# Before\n<!-- bench sign-in -->\nold\n<!-- end -->\nBetween\n{other}After\n")
    for _ in range(2):  # the second time finds its own tables, and replaces them
        done = CliRunner().invoke(commands, ["markdown", str(record), "--into", str(document)])
        assert done.exit_code == 0, done.output
    written = document.read_text()
    before, _, rest = written.partition("<!-- bench sign-in -->\n")
    tables, _, after = rest.partition("<!-- end -->\n")
    assert before == "# Before\n"
    assert tables.count("| sign-ins a second |") == 3
    assert "old" not in tables
    assert after == f"Between\n{other}After\n"


def test_a_document_without_a_place_is_refused_and_left_alone(record: Path, tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("No place here.\n")
    done = CliRunner().invoke(commands, ["markdown", str(record), "--into", str(document)])
    assert done.exit_code == 1
    assert "bench sign-in" in done.output
    assert document.read_text() == "No place here.\n"


def test_idle_phones_are_counted(tmp_path: Path) -> None:
    arguments = [
        "idle-devices",
        "--prototype-only",
        "--rounds",
        "1",
        "--devices",
        "20",
        "--seconds",
        "0.3",
        "--json",
        str(tmp_path / "idle.json"),
    ]
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert load(tmp_path / "idle.json").tables[0].rows[0][:2] == ["prototype", "20"]
