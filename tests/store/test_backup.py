"""A backup is taken while people sign in, and what is restored from it is what was so then."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.conftest import MakeOffice, MakeService
from tests.soak.story import WIDE_OPEN
from tests.support.people import PASSWORD, office
from tests.support.service import Service

PATIENCE = 60.0


def restored(service: Service, backup: Path, folder: Path, *, with_key: bool = True) -> Service:
    """The same service on another machine: the backup, the key, the same address."""
    folder.mkdir()
    again = Service(folder)
    again.port, again.url = service.port, service.url
    again.environment = service.environment | {"PUSH_SERVICE_DATA_DIR": str(folder / "data")}
    data = folder / "data"
    data.mkdir(mode=0o700)
    shutil.copy(backup, data / "push-service.db")
    if with_key:
        shutil.copy(service.folder / "data" / "secret.key", data / "secret.key")
    return again


@pytest.mark.deployed("sqlite-1")
async def test_a_backup_under_load_is_whole_and_a_restored_service_knows_its_people_and_phones(
    make_service: MakeService, make_office: MakeOffice, tmp_path: Path
) -> None:
    service = await make_service(**WIDE_OPEN)
    desk = await make_office(service)
    alice, bob, carol = await desk.person(), await desk.person(), await desk.person()
    await (await desk.phone(carol)).aclose()
    app = await desk.application()
    backup = tmp_path / "backup.db"
    stop = asyncio.Event()
    async with asyncio.timeout(PATIENCE), await desk.phone(alice) as phone, desk.browser(app) as browser:

        async def sign_in_over_and_over() -> int:
            count = 0
            while not stop.is_set():
                await (await browser.begin(carol.username)).cancel()
                count += 1
            return count

        load = asyncio.create_task(sign_in_over_and_over())
        made = await service.json_command("store", "backup", str(backup))
        stop.set()
        assert await load > 0
        assert (int(made["users"]), int(made["devices"])) == (3, 2)
        assert stat.S_IMODE(os.stat(backup).st_mode) == 0o600  # noqa: PTH116 - of a coroutine's own file

        since = await desk.phone(bob)  # activated since
        await since.aclose()
        await service.stop()
        again = restored(service, backup, tmp_path / "again")
        await again.start()
        try:
            async with office(again) as there, there.browser(app) as asker:
                sign_in = await asker.begin(alice.username, PASSWORD)
                assert sign_in.body["state"] == "pending"
                await phone.verify(await phone.next_challenge(), number=sign_in.number)
                assert (await sign_in.outcome())["state"] == "approved"
                newcomer = await asker.begin(bob.username, PASSWORD)
                assert newcomer.body["state"] == "registration_required"
        finally:
            await again.kill()


@pytest.mark.deployed("sqlite-1")
async def test_a_backup_never_takes_another_file_s_place(make_service: MakeService, tmp_path: Path) -> None:
    service = await make_service()
    taken = tmp_path / "taken.db"
    taken.write_text("somebody's")
    code, _, err = await service.command("store", "backup", str(taken))
    assert (code, taken.read_text()) == (1, "somebody's")
    assert "exists already" in err
    assert not list(tmp_path.glob(".taken*"))  # noqa: ASYNC240


@pytest.mark.deployed("sqlite-1")
async def test_a_backup_without_its_key_opens_nothing(make_service: MakeService, tmp_path: Path) -> None:
    service = await make_service()
    backup = tmp_path / "backup.db"
    code, out, err = await service.command("store", "backup", str(backup))
    assert code == 0
    assert "0 people" in out
    assert "secret.key" in err
    await service.stop()
    keyless = restored(service, backup, tmp_path / "keyless", with_key=False)
    code, _, err = await keyless.command("serve")
    assert code == 1
    assert "SealBroken" in err
