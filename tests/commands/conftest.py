"""Commands run as an administrator runs them: as processes, on a data directory of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

Json = dict[str, object]


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        """The one JSON object on stdout, and nothing but it."""
        found: Json = json.loads(self.out)
        assert len(self.out.splitlines()) == 1
        return found

    @property
    def refusal(self) -> str:
        """The one line of a refused command."""
        assert (self.code, self.out) == (1, ""), self
        (line,) = self.err.splitlines()
        return line.removeprefix("push-service: ")


Push = Callable[..., Outcome]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    around = {name: value for name, value in os.environ.items() if not name.startswith("PUSH_SERVICE_")}
    return around | {"PUSH_SERVICE_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200"}


@pytest.fixture
def push(environment: dict[str, str]) -> Push:
    """Run `push-service` with these arguments; `given` is its standard input."""

    def run(*arguments: str | Path, given: str | bytes = "", **settings: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "push_service", *map(str, arguments)],
            env=environment | settings,
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            timeout=60,
            check=False,
        )
        outcome = Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in outcome.err, outcome.err
        return outcome

    return run
