"""How every command behaves: exit codes, one line for a refusal, settings from a file, and being documented."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from push_service.commands import app
from tests.commands.conftest import Push

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
GROUPS = ("config", "user", "application", "keys", "store")


def test_settings_are_checked_and_shown(push: Push) -> None:
    assert push("config", "check").code == 0
    assert push("config", "check", "--json").json == {"valid": True, "unread": []}
    shown = push("config", "show", "--json", PUSH_SERVICE_LISTEN="127.0.0.1:0").json["settings"]
    assert isinstance(shown, dict)
    assert shown["PUSH_SERVICE_LISTEN"] == "127.0.0.1:0"
    assert "PUSH_SERVICE_POLICY__CONFIRM=number\n" in push("config", "show").out


@pytest.mark.parametrize(
    "command", [("config", "check"), ("config", "show"), ("user", "list"), ("serve",)], ids=" ".join
)
def test_wrong_settings_are_told_line_by_line_by_any_command(push: Push, command: tuple[str, ...]) -> None:
    refused = push(*command, PUSH_SERVICE_LISTEN="x", PUSH_SERVICE_WORKERS="2")
    assert (refused.code, refused.out) == (1, "")
    begun = [line.split(": ")[:2] for line in refused.err.splitlines()]
    assert begun == [["push-service", "PUSH_SERVICE_LISTEN"], ["push-service", "PUSH_SERVICE_WORKERS"]]


def test_a_slip_of_the_pen_is_pointed_out(push: Push) -> None:
    checked = push("config", "check", PUSH_SERVICE_TRUSTED_PROXY="::1")
    assert checked.code == 0
    assert "PUSH_SERVICE_TRUSTED_PROXY is set but is no setting" in checked.err


def test_a_file_may_be_named_before_any_command_and_after_those_that_read_it_alone(push: Push, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("password_hash_waiting = 7\n")
    for arguments in (["--config", str(file), "config", "show"], ["config", "show", "--config", str(file)]):
        assert "PUSH_SERVICE_PASSWORD_HASH_WAITING=7\n" in push(*arguments).out
    file.write_text("nonsense = 7\n")
    for arguments in (["--config", str(file), "user", "list"], ["serve", "--config", str(file)]):
        assert f"nonsense in {file}: there is no such setting" in push(*arguments).refusal


def test_the_first_command_makes_the_data_directory_for_its_owner_alone(push: Push, tmp_path: Path) -> None:
    assert push("user", "list").code == 0
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert all(not stat.S_IMODE(file.stat().st_mode) & 0o007 for file in [tmp_path / "data" / "secret.key"])


@pytest.mark.security("S-68")
def test_loose_modes_are_refused_in_one_line(push: Push, tmp_path: Path) -> None:
    push("user", "list")
    (tmp_path / "data" / "secret.key").chmod(0o644)
    assert "secret.key can be read by others" in push("user", "list").refusal
    (tmp_path / "data" / "secret.key").chmod(0o600)
    (tmp_path / "data").chmod(0o755)
    assert "PUSH_SERVICE_DATA_DIR" in push("user", "list").refusal


def test_a_store_that_is_none_is_told_in_one_line(push: Push, tmp_path: Path) -> None:
    push("user", "list")
    for file in (tmp_path / "data").glob("push-service.db*"):
        file.unlink()
    (tmp_path / "data" / "push-service.db").write_bytes(b"this is no database" * 100)
    assert push("user", "list").refusal


@pytest.mark.parametrize(
    "arguments",
    [("frobnicate",), ("user", "add"), ("user", "state", "alice", "perhaps"), ("user", "list", "--frob")],
    ids=" ".join,
)
def test_wrong_usage_is_another_exit_code(push: Push, arguments: tuple[str, ...]) -> None:
    used = push(*arguments)
    assert (used.code, used.out) == (2, "")


def test_what_only_some_commands_need_is_not_imported_by_all() -> None:
    heavy = "{'aiohttp', 'uvloop', 'pydantic', 'cryptography', 'segno', 'jinja2', 'sqlite3'}"
    program = f"import sys, push_service.commands; sys.exit(', '.join({heavy} & sys.modules.keys()))"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert imported.stderr.strip() == ""


def _told(help_text: str) -> list[str]:
    return re.findall(r"^  ([a-z][a-z-]*)", help_text.partition("Commands:")[2], re.MULTILINE)


def _help(*path: str) -> str:
    return CliRunner().invoke(app, [*path, "--help"], catch_exceptions=False).stdout


def test_every_command_and_option_is_documented() -> None:
    paths = [path for path in _told(_help()) if path not in GROUPS]
    paths += [f"{group} {name}" for group in GROUPS for name in _told(_help(group))]
    assert {"serve", "config check", "user activate-device", "application rotate-secret", "keys list"} <= set(paths)
    assert [path for path in paths if f"push-service {path}" not in DOCUMENTED] == []
    options = {option for path in paths for option in re.findall(r"--[a-z-]+", _help(*path.split()))}
    assert [option for option in sorted(options - {"--help"}) if option not in DOCUMENTED] == []
