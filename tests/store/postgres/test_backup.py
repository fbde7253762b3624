"""A PostgreSQL store is backed up by PostgreSQL's own tools while people sign in, and put back into a new database."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from pathlib import Path

import pytest

from mobile_stub.errors import PhoneError
from mobile_stub.phone import Phone
from tests.conftest import MakeOffice, MakeService
from tests.scenarios.cast import soon
from tests.soak.story import WIDE_OPEN
from tests.support.people import PASSWORD, office
from tests.support.postgres import PostgresServer, client
from tests.support.service import Service

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
NEW_PASSWORD = "quite another password"


async def tool(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own."""
    process = await asyncio.create_subprocess_exec(
        client(name), *arguments, stderr=asyncio.subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


def on(service: Service, url: str, folder: Path) -> Service:
    """The same service on another machine and database: with its key, and at its address."""
    folder.mkdir()
    again = Service(folder)
    again.port, again.url = service.port, service.url
    again.environment = service.environment | {
        "PUSH_SERVICE_DATA_DIR": str(folder / "data"),
        "PUSH_SERVICE_DATABASE_URL": url,
    }
    (folder / "data").mkdir(mode=0o700)
    shutil.copy(service.folder / "data" / "secret.key", folder / "data" / "secret.key")
    return again


async def restored(service: Service, backup: Path, server: PostgresServer, folder: Path) -> Service:
    """The service on a fresh database of a role of its own, with the backup put into it as the manual says."""
    name, role = server.create("template0"), f"owner_{secrets.token_hex(4)}"
    server.execute(f"CREATE ROLE {role} LOGIN; ALTER DATABASE {name} OWNER TO {role}")
    there = server.url(name, role)
    options = ("--no-owner", "--exit-on-error", "--single-transaction", f"--dbname={there}")
    assert " ".join(options[:3]) in OPERATIONS.read_text()
    await tool("pg_restore", *options, str(backup))
    return on(service, there, folder)


async def test_a_backup_under_load_is_whole_and_what_is_restored_is_what_was_so_then(
    postgres_server: PostgresServer, make_service: MakeService, make_office: MakeOffice, tmp_path: Path
) -> None:
    url, backup = postgres_server.url(postgres_server.create()), tmp_path / "backup"
    service = await make_service(DATABASE_URL=url, **WIDE_OPEN)
    desk = await make_office(service)
    alice, bob, carol, dave = [await desk.person() for _ in range(4)]
    app = await desk.application()
    for each in (carol, dave):
        await (await desk.phone(each)).aclose()
    stop = asyncio.Event()
    async with await desk.phone(alice) as phone, desk.browser(app) as browser:

        async def sign_in_over_and_over() -> int:
            count = 0
            while not stop.is_set():
                await (await browser.begin(carol.username)).cancel()
                count += 1
            return count

        load = asyncio.create_task(sign_in_over_and_over())
        await tool("pg_dump", "--format=custom", f"--file={backup}", url)
        stop.set()
        assert await soon(load) > 0

        # Nothing of this is in the backup.
        await (await desk.phone(bob)).aclose()
        assert (await service.command("user", "reset-methods", dave.username))[0] == 0
        given = await service.command("user", "password", carol.username, "--password-stdin", stdin=NEW_PASSWORD)
        assert given[0] == 0, given
        await service.stop()

        again = await restored(service, backup, postgres_server, tmp_path / "again")
        await again.start()
        try:
            async with office(again) as there, there.browser(app) as asker:
                sign_in = await soon(asker.begin(alice.username, PASSWORD))
                await soon(phone.verify(await soon(phone.next_challenge()), number=sign_in.number))
                assert (await soon(sign_in.outcome()))["state"] == "approved"
                newcomer = await asker.begin(bob.username, PASSWORD)
                assert newcomer.body["state"] == "registration_required"
                refused = await asker.post_begin(username=carol.username, password=NEW_PASSWORD)
                assert refused.code == "invalid_credentials"
                assert (await asker.begin(carol.username, PASSWORD)).body["state"] == "pending"
                assert (await asker.begin(dave.username)).body["state"] == "pending"
                assert len(await there.core.store.devices(dave.id)) == 1
            code, out, _ = await again.command("doctor", "--json")
            assert "opens what is stored" in out, code
        finally:
            await again.kill()


async def test_an_activation_code_that_was_spent_since_the_backup_counts_as_unused(
    postgres_server: PostgresServer, make_service: MakeService, make_office: MakeOffice, tmp_path: Path
) -> None:
    url, backup = postgres_server.url(postgres_server.create()), tmp_path / "backup"
    service = await make_service(DATABASE_URL=url)
    desk = await make_office(service)
    uri = await desk.activation(await desk.person())
    await tool("pg_dump", "--format=custom", f"--file={backup}", url)
    async with Phone.activate(uri):
        pass
    with pytest.raises(PhoneError):
        async with Phone.activate(uri):
            pass
    await service.stop()
    again = await restored(service, backup, postgres_server, tmp_path / "again")
    await again.start()
    try:
        async with Phone.activate(uri) as thief:
            assert thief.device_id
    finally:
        await again.kill()


async def test_the_command_names_the_tool_that_does_it(
    postgres_server: PostgresServer, make_service: MakeService, tmp_path: Path
) -> None:
    service = await make_service(DATABASE_URL=postgres_server.url(postgres_server.create()))
    code, out, err = await service.command("store", "backup", str(tmp_path / "backup"))
    assert (code, out) == (1, "")
    assert "pg_dump --format=custom" in err
    assert not (tmp_path / "backup").exists()
