"""The promises of `./dev` and of the catalogue table: what a newcomer and CI rely on first."""

import os
import re
import subprocess
from pathlib import Path

import pytest

pytest_plugins = "pytester"

ROOT = Path(__file__).parent.parent
DEV = ROOT / "dev"


def dev(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(DEV), *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command_that_the_script_knows() -> None:
    dispatch = DEV.read_text().partition("case $command in")[2]
    commands = set(re.findall(r"^ {4}([a-z]+)[) ]", dispatch, re.MULTILINE))
    told = set(re.findall(r"^ {2}([a-z]+)\b", dev("help").stdout, re.MULTILINE))
    assert commands == told
    assert {"demo", "test", "soak", "check", "bench", "run"} <= commands


def test_an_unknown_command_is_a_usage_error_that_shows_the_help() -> None:
    outcome = dev("tset")
    assert outcome.returncode == 2
    assert "no command 'tset'" in outcome.stderr
    assert "usage:" in outcome.stderr


def test_a_folder_that_is_no_environment_is_never_cleared(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("work")
    outcome = dev("run", "true", PUSH_SERVICE_VENV=str(tmp_path))
    assert outcome.returncode == 1
    assert "is not an environment" in outcome.stderr
    assert precious.read_text() == "work"


def test_a_python_that_can_make_no_environment_is_answered_with_the_command_that_helps(tmp_path: Path) -> None:
    crippled = tmp_path / "python3"
    crippled.write_text('#!/bin/sh\ncase $* in *"import venv"*) exit 1 ;; esac\n')
    crippled.chmod(0o755)
    for version in ("3.11", "3.12", "3.13", "3.14"):
        (tmp_path / f"python{version}").symlink_to(crippled)
    path = f"{tmp_path}:{os.environ['PATH']}"
    outcome = dev("run", "true", PUSH_SERVICE_VENV=str(tmp_path / "venv"), PATH=path)
    assert outcome.returncode == 1
    assert "apt-get install -y python3-venv" in outcome.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("name", ["run", "dev"])
def test_every_requirement_is_pinned_by_hash_and_names_no_address(name: str) -> None:
    lock = (ROOT / "requirements" / f"{name}.lock").read_text()
    assert "://" not in lock
    requirements = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(requirements) > 20
    for requirement in requirements:
        assert "==" in requirement.splitlines()[0]
        assert "--hash=sha256:" in requirement


def test_the_larger_lock_holds_the_smaller_one() -> None:
    run, everything = (
        set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / "requirements" / f"{name}.lock").read_text(), re.MULTILINE))
        for name in ("run", "dev")
    )
    assert run < everything


STORY = """
import pytest

@pytest.mark.security("S-01", "S-02")
def test_a_replay_changes_nothing(): pass

@pytest.mark.security("S-02")
@pytest.mark.reliability("R-01")
def test_that_fails(): assert False

@pytest.mark.security("S-03")
@pytest.mark.skip(reason="no such method yet")
def test_that_is_skipped(): pass

def test_that_names_nothing(): assert False
"""


@pytest.fixture
def story(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nmarkers =\n  security(*ids): x\n  reliability(*ids): x\n")
    return pytester


def test_the_table_tells_which_tests_show_an_id_and_what_became_of_them(story: pytest.Pytester) -> None:
    story.makepyfile(STORY)
    outcome = story.runpytest_subprocess("-p", "tests.plugins.catalogue", "--security")
    outcome.assert_outcomes(passed=1, failed=1, skipped=1, deselected=1)
    outcome.stdout.fnmatch_lines(
        [
            "R-01    1 test   1 failed * test_that_fails",
            "S-01    1 test   1 passed * test_a_replay_changes_nothing",
            "S-02    2 tests  1 failed, 1 passed * test_a_replay_changes_nothing, test_that_fails",
            "S-03    1 test   1 skipped * test_that_is_skipped",
            "4 ids named; not shown by any passing test: 2",
        ]
    )


def test_without_the_option_everything_runs_and_no_table_is_printed(story: pytest.Pytester) -> None:
    story.makepyfile(STORY)
    outcome = story.runpytest_subprocess("-p", "tests.plugins.catalogue")
    outcome.assert_outcomes(passed=1, failed=2, skipped=1)
    outcome.stdout.no_fnmatch_line("*ids named*")


@pytest.mark.parametrize("marker", ['security("S-1")', 'security("R-01")', "security()", "reliability(1)"])
def test_a_malformed_id_stops_the_run(story: pytest.Pytester, marker: str) -> None:
    story.makepyfile(f"import pytest\n\n@pytest.mark.{marker}\ndef test_it(): pass\n")
    outcome = story.runpytest_subprocess("-p", "tests.plugins.catalogue")
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*test_it: @pytest.mark*"])
