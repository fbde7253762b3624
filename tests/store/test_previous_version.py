"""Migrations only add: the previous program goes on working beside the new one, on the data that the new one migrated.

The program is taken from this repository's own history, and run as it was.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mobile_stub.backoff import Backoff
from mobile_stub.phone import Phone
from mobile_stub.surroundings import Setup
from mobile_stub.wire import Outcome
from mobile_stub.world import world
from push_service.model.ids import DeviceId
from tests.support.browser import Browser
from tests.support.people import PASSWORD, office
from tests.support.service import Service
from tests.support.waking import firebase_settings

PREVIOUS = "dc8c8df9ee667c5deed59f69ff8df068bc4a4cb5"
"""The last commit whose program knows migration 0001 only."""
ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0


@pytest.fixture(scope="module")
def previous_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous program's files."""
    archived = subprocess.run(
        ["git", "-C", ROOT, "archive", PREVIOUS, "push_service"], capture_output=True, check=False
    )
    if archived.returncode:
        pytest.skip(f"The previous program is commit {PREVIOUS}, which this clone's history doesn't have.")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def previous(program: Path, beside: Service) -> Service:
    """A server of the previous program on the same data, for the same public address."""
    server = Service(beside.folder, PUBLIC_URL=beside.url)
    start = (
        "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('push_service', run_name='__main__')"
    )
    server.program = (sys.executable, "-c", start, str(program), "serve")
    return server


@asynccontextmanager
async def at(server: Service, browser: Browser) -> AsyncIterator[Browser]:
    """The same application's browser at another process."""
    async with server.session() as session:
        yield Browser(session, browser.app)


async def signs_in(browser: Browser, username: str, phone: Phone) -> None:
    sign_in = await browser.begin(username, PASSWORD)
    async with asyncio.timeout(PATIENCE_SECONDS):
        challenge = await phone.next_challenge()
        assert await phone.verify(challenge, sign_in.number) is Outcome.COMPLETED
        while (await sign_in.look(wait=20, after=sign_in.body["version"]))["state"] == "pending":
            pass
    assert sign_in.body["state"] == "approved"


@pytest.mark.reliability("R-14")
async def test_old_and_new_side_by_side_on_the_new_schema_sign_the_same_people_in(
    previous_program: Path, tmp_path: Path
) -> None:
    async with world() as google:
        new = Service(tmp_path, **firebase_settings(google))
        old = previous(previous_program, new)
        await new.start()  # migrates
        await old.start()
        try:
            async with office(new) as desk, desk.browser() as here, at(old, here) as there:
                user = await desk.person()
                quick = Setup(address=old.url, firebase=google.firebase, backoff=lambda: Backoff(base=0.05, cap=0.2))
                async with await desk.phone(user, setup=quick) as phone:
                    assert phone.identity.address == old.url  # activated by the old one, with its token
                    await signs_in(there, user.username, phone)
                    await signs_in(here, user.username, phone)
                    token = await phone.refresh_push_token()
                    stored = await desk.core.store.device(DeviceId(phone.device_id))
                    assert stored is not None
                    assert (stored.push_token, stored.push_token_at) == (token, None)
                    await phone.disconnect()
                    await there.begin(user.username, PASSWORD)  # the old one wakes nobody: the new one takes over
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await phone.wakes.get()
                    # What the new one writes of a device, the old one reads and writes again.
                    other = Setup(address=new.url, firebase=google.firebase, backoff=quick.backoff)
                    async with await desk.phone(user, name="second", setup=other) as second:
                        second.api._address = old.url
                        await second.rename("renamed by the old one")
                        await second.remove()
        finally:
            await old.kill()
            await new.kill()
