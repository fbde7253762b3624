"""Every story in this folder is told for every deployment, but for those that name theirs.

`@pytest.mark.deployed("sqlite-1")`: the story is about one of them, such as a file, or a single process's own count.
"""

from __future__ import annotations

import pytest

from tests.support.deployments import EVERY


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Those that need a running service, that is."""
    if "deploy" in metafunc.fixturenames:
        named = metafunc.definition.get_closest_marker("deployed")
        chosen = [each for each in EVERY if named is None or str(each) in named.args]
        metafunc.parametrize("deploy", chosen, indirect=True, ids=str, scope="session")
