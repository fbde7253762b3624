"""`push-service user`: adding, listing, changing and removing people."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.commands.conftest import Push

PASSWORD = "correct horse\n"


def test_a_person_is_added_listed_and_shown(push: Push) -> None:
    numbers = ("--mobile", "+49 170 1234567", "--office", "+4930123456", "--extension", "12")
    added = push("user", "add", "alice", "--password-stdin", "--admin", *numbers, "--json", given=PASSWORD)
    assert added.code == 0
    assert added.json == {"id": added.json["id"], "username": "alice", "state": "enabled"}
    shown = push("user", "show", "ALICE", "--json").json
    assert shown == {
        "id": added.json["id"],
        "username": "alice",
        "state": "enabled",
        "admin": True,
        "blocked": False,
        "has_password": True,
        "mobile": "+491701234567",
        "office": "+4930123456;ext=12",
        "methods": [],
    }
    assert push("user", "list", "--json").json == {"users": [shown]}
    assert "administrator" in push("user", "show", "alice").out


def test_without_a_terminal_and_a_password_a_person_can_only_be_vouched_for(push: Push) -> None:
    added = push("user", "add", "alice", "--state", "enforced", "--json")
    assert added.json["state"] == "enforced"
    assert "vouch" in added.err
    assert push("user", "show", "alice", "--json").json["has_password"] is False


def _until(stream: IO[bytes], end: bytes) -> None:
    heard = b""
    while not heard.endswith(end):
        heard += (char := stream.read(1))
        assert char, heard


def test_a_terminal_is_asked_twice_and_shows_nothing(environment: dict[str, str], push: Push) -> None:
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "push_service", "user", "add", "alice", "--json"],
            env=environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        ) as asked:
            assert asked.stderr
            assert asked.stdout
            for question in (b"Password: ", b"confirmation: "):
                _until(asked.stderr, question)
                os.write(ours, PASSWORD.encode())
            assert b'"username":"alice"' in asked.stdout.read()
            assert asked.wait(30) == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert push("user", "show", "alice", "--json").json["has_password"] is True


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (("--password-stdin",), "short\n", "8 to 1024 characters"),
        (("--password-stdin",), "\n", "no password on standard input"),
        (("--password-stdin",), b"\xff\xfe passwort\n", "not UTF-8"),
        (("--mobile", "0170 1234567"), "", "begins with +"),
        (("--extension", "12"), "", "needs an office number"),
    ],
)
def test_what_is_refused_adds_nobody(push: Push, arguments: tuple[str, ...], given: str | bytes, said: str) -> None:
    assert said in push("user", "add", "alice", *arguments, given=given).refusal
    assert push("user", "list", "--json").json == {"users": []}


def test_a_name_is_taken_in_any_case(push: Push) -> None:
    assert push("user", "add", "alice").code == 0
    assert "There is a user ALICE already" in push("user", "add", "ALICE").refusal


@pytest.mark.parametrize(
    "command",
    [
        ("show", "nobody"),
        ("state", "nobody", "disabled"),
        ("block", "nobody"),
        ("unblock", "nobody"),
        ("devices", "nobody"),
        ("reset-methods", "nobody"),
        ("remove", "nobody"),
        ("activate-device", "nobody"),
        ("password", "nobody", "--password-stdin"),
    ],
    ids=lambda command: command[0],
)
def test_somebody_unknown_is_named(push: Push, command: tuple[str, ...]) -> None:
    assert "There is no user nobody" in push("user", *command, given=PASSWORD).refusal


def test_a_state_changes_once(push: Push) -> None:
    push("user", "add", "alice", "--state", "disabled")
    assert "alice is enforced (was disabled)" in push("user", "state", "alice", "enforced").out
    again = push("user", "state", "alice", "enforced")
    assert (again.code, again.out) == (0, "alice is enforced already.\n")
    assert push("user", "state", "alice", "disabled", "--json").json["state"] == "disabled"
    assert push("user", "list", "--state", "enforced", "--json").json == {"users": []}


def test_a_block_is_shown_and_lifted(push: Push) -> None:
    push("user", "add", "alice")
    assert push("user", "block", "alice", "--json").code == 0
    assert push("user", "show", "alice", "--json").json["blocked"] is True
    assert push("user", "unblock", "alice").code == 0
    assert push("user", "show", "alice", "--json").json["blocked"] is False


def test_a_password_can_be_given_later(push: Push) -> None:
    push("user", "add", "alice")
    assert push("user", "password", "alice", "--password-stdin", given=PASSWORD).code == 0
    assert push("user", "show", "alice", "--json").json["has_password"] is True
    assert push("user", "password", "alice").code == 2


def test_somebody_removed_is_gone(push: Push) -> None:
    push("user", "add", "alice")
    assert push("user", "reset-methods", "alice", "--json").json["username"] == "alice"
    assert push("user", "devices", "alice", "--json").json == {"devices": []}
    assert push("user", "remove", "alice", "--json").json["username"] == "alice"
    assert "no user" in push("user", "show", "alice").refusal


def test_an_activation_is_a_code_an_address_and_a_picture(push: Push) -> None:
    push("user", "add", "alice")
    issued = push(
        "user", "activate-device", "alice", "--json", PUSH_SERVICE_PUBLIC_URL="https://login.example.org"
    ).json
    assert issued.keys() == {"code", "uri", "expires_at"}
    assert issued["uri"] == f"https://login.example.org/activate#code={issued['code']}"
    drawn = push("user", "activate-device", "alice")
    assert "/activate#code=" in drawn.out
    assert "█" in drawn.out


def test_an_activation_never_names_an_address_that_nobody_knows(push: Push) -> None:
    push("user", "add", "alice")
    assert (
        "PUSH_SERVICE_PUBLIC_URL" in push("user", "activate-device", "alice", PUSH_SERVICE_LISTEN="127.0.0.1:0").refusal
    )


IMPORT = """username,password,state,admin,mobile,office,extension
carol,long enough,enabled,no,+491701234567,,
dave,short,,,,,
erin,,enforced,yes,,+4930123456,7
Carol,long enough,,,,,
frank,long enough,,
"""


def test_an_import_reports_every_line_and_keeps_the_good_ones(push: Push, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("\ufeff" + IMPORT)
    tried = push("user", "import", file, "--dry-run")
    assert tried.code == 1
    assert [line.split(":")[0] for line in tried.out.splitlines()] == [f"line {number}" for number in range(2, 7)]
    assert push("user", "list", "--json").json == {"users": []}
    done = push("user", "import", file, "--json")
    assert done.code == 1
    assert (done.json["added"], done.json["refused"], done.json["dry_run"]) == (2, 3, False)
    assert "2 added, 3 refused" in done.err
    erin = push("user", "show", "erin", "--json").json
    assert (erin["state"], erin["admin"], erin["office"], erin["has_password"]) == (
        "enforced",
        True,
        "+4930123456;ext=7",
        False,
    )


def test_an_import_without_refusals_succeeds(push: Push, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("username\nalice\nbob\n")
    assert push("user", "import", file).code == 0
    assert "alice" in push("user", "list").out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,password\na,b\n", "must name columns"),
        (b"username,username\na,b\n", "must name columns"),
        (b"", "must name columns"),
        (b"username\n\xff\n", "is not UTF-8"),
        (b'username\n"a"b\n', "is not CSV"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(push: Push, tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(content)
    assert said in push("user", "import", file).refusal


@pytest.mark.security("S-43")
def test_nothing_from_a_file_moves_the_cursor(push: Push, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("username\nal\x1b[2Jice\u202e\n")
    refused = push("user", "import", file)
    assert refused.code == 1
    assert "\x1b[2J" not in refused.out
    assert "\u202e" not in refused.out


def test_all_app_passwords_of_a_person_are_deleted_and_of_nobody_else(push: Push) -> None:
    push("user", "add", "alice", "--no-password")
    done = push("user", "delete-app-passwords", "ALICE", "--json")
    assert done.json["username"] == "alice"
    assert "alice had none" in done.err
    assert "There is no user" in push("user", "delete-app-passwords", "bob").refusal
