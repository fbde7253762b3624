"""Every story in this folder is told for every deployment, but for those that name theirs.

`@pytest.mark.deployed("sqlite-1")`: the story is about one of them, such as a file, or a single process's own count.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.conftest import MakeOffice
from tests.support.deployments import EVERY, Deploy
from tests.support.people import Office
from tests.support.service import Service
from tests.support.telephony import Company


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Those that need a running service, that is."""
    if "deploy" in metafunc.fixturenames:
        named = metafunc.definition.get_closest_marker("deployed")
        chosen = [each for each in EVERY if named is None or str(each) in named.args]
        metafunc.parametrize("deploy", chosen, indirect=True, ids=str, scope="session")


@pytest.fixture(scope="session")
def company() -> Iterator[Company]:
    """A telephone company that is a process of its own: it answers whatever loop is running."""
    command = (sys.executable, "-m", "mobile_stub", "world", "--listen", "127.0.0.1:0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        settings: dict[str, str] = {}
        assert process.stdout
        while "TELEPHONY__BASE_URL" not in settings:
            line = process.stdout.readline()
            assert line, "the stub world did not start"
            name, _, value = line.strip().partition("=")
            settings |= {name.removeprefix("PUSH_SERVICE_"): value} if "TELEPHONY__" in name else {}
        yield Company(settings)
        process.terminate()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def calling_service(
    tmp_path_factory: pytest.TempPathFactory, deploy: Deploy, company: Company
) -> AsyncIterator[Service]:
    """A service that sends texts and places calls, for all stories that bring their own people."""
    folder = tmp_path_factory.mktemp("service")
    policy = {
        "POLICY__BEGINS_PER_ADDRESS": "100000/1m",
        "POLICY__SEND_AGAIN_SECONDS": "0",
        "TELEPHONY__LIMIT_NUMBER": "100000/1h",
        "TELEPHONY__LIMIT_PREFIX": "100000/1h",
    }
    service = deploy(folder, **policy, **company.settings)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def calling(calling_service: Service, make_office: MakeOffice) -> Office:
    """The operator beside it."""
    return await make_office(calling_service)
