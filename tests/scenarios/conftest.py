"""Every story in this folder is told for every deployment."""

from __future__ import annotations

import pytest

from tests.support.deployments import EVERY


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Those that need a running service, that is."""
    if "deploy" in metafunc.fixturenames:
        metafunc.parametrize("deploy", EVERY, indirect=True, ids=str, scope="session")
