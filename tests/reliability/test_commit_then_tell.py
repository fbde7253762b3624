"""R-03: nobody hears of an outcome that a crash can undo. R-07: and hearing it uses nothing up."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.wire import request
from tests.conftest import MakeOffice, MakeService
from tests.soak import checker
from tests.soak.browsers import Caller, address_of, begin
from tests.soak.crowd import LightPhone, enrol
from tests.soak.story import WIDE_OPEN
from tests.support.people import Office

PATIENCE_SECONDS = 30.0
HELD_SECONDS = 1.0


@contextmanager
def write_lock(database: Path) -> Iterator[None]:
    """Hold the database's write lock, as any other writer may."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=10)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@pytest.mark.reliability("R-03")
async def test_while_the_commit_is_held_up_nobody_hears_of_the_outcome(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(**WIDE_OPEN)
    desk = await make_office(service)
    database = service.folder / "data" / "push-service.db"
    app = await desk.application()
    [owner] = await enrol(desk, address_of(service), 1)
    phone = LightPhone(address_of(service), service.url, owner, random.Random(1))  # noqa: S311
    caller, other = Caller(address_of(service)), Caller(address_of(service))
    try:
        await phone.connect()
        begun = await begin(caller, app, owner.username)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.prompted(begun.challenge)
            version = begun.version
            while version == begun.version:  # until the receipt has been written down, too
                answer = await caller.send("GET", f"{begun.path}?wait=5&after={version}", begun.bearer)
                version = json.loads(answer.body)["version"]
        waiting = asyncio.create_task(caller.send("GET", f"{begun.path}?wait=50&after={version}", begun.bearer))
        with write_lock(database):
            phone.answer(begun)
            with pytest.raises(TimeoutError):  # this is the time for which nothing may happen
                async with asyncio.timeout(HELD_SECONDS):
                    await asyncio.wait(
                        {waiting, asyncio.ensure_future(phone.told(begun.challenge))}, return_when="FIRST_COMPLETED"
                    )
            seen = json.loads((await other.send("GET", begun.path, begun.bearer)).body)
            assert seen["state"] == "pending"
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await phone.told(begun.challenge) == "completed"
            assert json.loads((await waiting).body)["state"] == "approved"
    finally:
        phone.close()
        caller.close()
        other.close()


@pytest.mark.reliability("R-03", "R-04")
async def test_killed_while_the_commit_is_held_up_it_is_pending_and_can_be_answered_again(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(**WIDE_OPEN)
    desk = await make_office(service)
    database = service.folder / "data" / "push-service.db"
    app = await desk.application()
    [owner] = await enrol(desk, address_of(service), 1)
    phone = LightPhone(address_of(service), service.url, owner, random.Random(1))  # noqa: S311
    caller = Caller(address_of(service))
    try:
        await phone.connect()
        begun = await begin(caller, app, owner.username)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.prompted(begun.challenge)
            with write_lock(database):
                phone.answer(begun)
                # A later request on the same loop was answered, so the answer was read before the kill.
                await Caller(address_of(service)).send("GET", "/livez", {})
                await service.kill()
            with checker.copied(database) as connection:
                states = connection.execute("SELECT state FROM sign_ins").fetchall()
                assert [row[0] for row in states] == ["pending"]
            await service.start()
            caller.close()
            await phone.connect()
            phone.answer(begun)
            assert await phone.told(begun.challenge) == "completed"
            assert json.loads((await caller.send("GET", begun.path, begun.bearer)).body)["state"] == "approved"
    finally:
        phone.close()
        caller.close()


@pytest.mark.reliability("R-07")
async def test_a_browser_that_lost_the_answer_gets_it_again_and_so_does_another_tab(desk: Office) -> None:
    app = await desk.application()
    [owner] = await enrol(desk, address_of(desk.service), 1)
    address = address_of(desk.service)
    phone = LightPhone(address, desk.service.url, owner, random.Random(1))  # noqa: S311
    callers = [Caller(address) for _ in range(4)]
    try:
        await phone.connect()
        begun = await begin(callers[0], app, owner.username)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.prompted(begun.challenge)
            # This one is cut off with its answer on the way.
            _, lost = await asyncio.open_connection(*address)
            lost.write(request("GET", f"{begun.path}?wait=50&after={begun.version}", address, begun.bearer))
            await lost.drain()
            phone.answer(begun)
            lost.transport.abort()
            assert await phone.told(begun.challenge) == "completed"
            answers = await asyncio.gather(*(caller.send("GET", begun.path, begun.bearer) for caller in callers))
            later = await callers[0].send("GET", begun.path, begun.bearer)
    finally:
        phone.close()
        for caller in callers:
            caller.close()
    assert {json.loads(answer.body)["state"] for answer in (*answers, later)} == {"approved"}
    results = {json.loads(answer.body)["result"].rpartition(".")[0] for answer in (*answers, later)}
    assert len(results) == 1  # the same claims, whoever fetches them


@pytest.mark.reliability("R-07")
async def test_approved_in_its_last_moment_a_sign_in_is_still_approved_when_its_time_is_over(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(**WIDE_OPEN, POLICY__SIGN_IN_SECONDS="2")
    desk = await make_office(service)
    app = await desk.application()
    [owner] = await enrol(desk, address_of(service), 1)
    phone = LightPhone(address_of(service), service.url, owner, random.Random(1))  # noqa: S311
    caller = Caller(address_of(service))
    try:
        await phone.connect()
        begun = await begin(caller, app, owner.username)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.prompted(begun.challenge)
            phone.answer(begun)
            assert await phone.told(begun.challenge) == "completed"
            await asyncio.sleep(2.1)  # its deadline passes: there is nothing else to wait for
            document = json.loads((await caller.send("GET", begun.path, begun.bearer)).body)
    finally:
        phone.close()
        caller.close()
    assert document["state"] == "approved"
    assert document["result"]
