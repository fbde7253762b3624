"""`push-service serve`, and commands beside it: what they change is heard by the running server."""

import base64
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.commands.conftest import Push

DEADLINE = 10.0  # seconds; a change is heard within one


@pytest.fixture
def server(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server and its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "push_service", "serve"],
        env=environment | {"PUSH_SERVICE_LISTEN": "127.0.0.1:0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout
            ready = process.stdout.readline()
            assert "http://127.0.0.1:" in ready
            yield process, ready.split()[-1]
        finally:
            process.kill()


def begin(address: str, client_id: str, secret: str, username: str) -> int:
    """The status of a sign-in begun by a vouching application."""
    credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the address is the server's own
        f"{address}/v1/sign-ins",
        json.dumps({"username": username}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {credentials}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:  # noqa: S310
            status: int = answer.status
            return status
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def until(status: int, address: str, client_id: str, secret: str, username: str) -> None:
    """Ask until the server answers so."""
    deadline = time.monotonic() + DEADLINE
    while (answered := begin(address, client_id, secret, username)) != status:
        assert time.monotonic() < deadline, f"still {answered}, not {status}"


def test_a_running_server_hears_what_commands_change_and_ends_when_told(
    server: tuple[subprocess.Popen[str], str], push: Push
) -> None:
    process, address = server
    added = push("application", "add", "Mail", "--may-vouch", "--json").json
    client_id, secret = str(added["client_id"]), str(added["client_secret"])
    push("user", "add", "alice", "--state", "disabled")
    until(409, address, client_id, secret, "alice")
    rotated = str(push("application", "rotate-secret", client_id, "--json").json["client_secret"])
    until(401, address, client_id, secret, "alice")
    until(409, address, client_id, rotated, "alice")
    push("application", "remove", client_id)
    until(401, address, client_id, rotated, "alice")
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0


def test_an_address_that_is_taken_is_told_in_one_line(server: tuple[subprocess.Popen[str], str], push: Push) -> None:
    taken = server[1].removeprefix("http://")
    assert taken in push("serve", PUSH_SERVICE_LISTEN=taken).refusal
