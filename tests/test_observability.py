"""What the log tells of a defect: where it was, and nothing that was in memory there."""

from __future__ import annotations

import subprocess
import sys

import pytest

DEFECT = """
import sys
import structlog
from push_service.observability import set_up_logs

def check(password):
    nothing = {"browser_token": "bt_local"}
    raise KeyError("defect")

set_up_logs("info", json=sys.argv[1] == "json")
try:
    check("correct horse")
except KeyError:
    structlog.get_logger().exception("request.failed", route="/v1/sign-ins")
"""


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.security("S-49")
def test_a_defect_is_logged_with_its_place_and_without_the_variables_around_it(form: str) -> None:
    done = subprocess.run([sys.executable, "-c", DEFECT, form], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    assert "request.failed" in done.stderr
    assert "KeyError" in done.stderr
    assert "check" in done.stderr
    assert "correct horse" not in done.stderr
    assert "bt_local" not in done.stderr
