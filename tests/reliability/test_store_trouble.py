"""R-24: while the store can't be written nothing is invented, everybody is told when to come again, and it heals.

R-23: and when more is asked than can be done, it is the begins that are turned away, not the answers.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
from collections import Counter
from pathlib import Path

import pytest

from bench.wire import Response
from tests.conftest import MakeOffice, MakeService
from tests.reliability.test_commit_then_tell import write_lock
from tests.soak import checker
from tests.soak.browsers import Caller, address_of, basic, begin
from tests.soak.crowd import LightPhone, enrol
from tests.soak.gauges import eventually
from tests.soak.story import WIDE_OPEN
from tests.support.people import PASSWORD, office
from tests.support.service import Service

PATIENCE_SECONDS = 30.0
FLOOD = 60


async def ready(service: Service) -> Response:
    caller = Caller(address_of(service))
    try:
        return await caller.send("GET", "/readyz", {})
    finally:
        caller.close()


async def refused_politely(service: Service, headers: dict[str, str], username: str) -> None:
    """A begin gets 503 and when to come again; the process is alive, and says why it is not ready."""
    async with service.session() as session, asyncio.timeout(PATIENCE_SECONDS):
        async with session.post("/v1/sign-ins", json={"username": username}, headers=headers) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert (await answer.json(content_type=None))["code"] == "store_unavailable"
        async with session.get("/livez") as alive:
            assert alive.status == 200
        async with session.get("/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json(content_type=None))["failing"]["store"]


async def heals(service: Service) -> bool:
    async def is_ready() -> bool:
        return (await ready(service)).status == 200

    return await eventually(is_ready, PATIENCE_SECONDS)


@pytest.mark.reliability("R-24", "R-20")
async def test_locked_by_another_writer_the_service_refuses_and_heals_without_a_restart(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(**WIDE_OPEN)
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
            with write_lock(service.folder / "data" / "push-service.db"):
                phone.answer(begun)
                assert await phone.told(begun.challenge) == "store_unavailable"
                await refused_politely(service, basic(app), owner.username)
                assert json.loads((await caller.send("GET", begun.path, begun.bearer)).body)["state"] == "pending"
            assert await heals(service)
            del phone.outcomes[begun.challenge]
            phone.answer(begun)
            assert await phone.told(begun.challenge) == "completed"
    finally:
        phone.close()
        caller.close()
    with checker.copied(service.folder / "data" / "push-service.db") as connection:
        assert checker.check_rows(connection) == []


@pytest.mark.reliability("R-24")
async def test_a_full_disk_is_refused_and_healed_from_without_a_restart(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(**WIDE_OPEN | {"LOG_LEVEL": "error"})
    desk = await make_office(service)
    app = await desk.application()
    [owner] = await enrol(desk, address_of(service), 1)
    # As a full disk does: no file of the server may grow beyond what its log has reached already.
    _, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    log = service.folder / "data" / "push-service.db-wal"
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (min(4096, log.stat().st_size), hard))
    await refused_politely(service, basic(app), owner.username)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert await heals(service)
    caller = Caller(address_of(service))
    begun = await begin(caller, app, owner.username)
    caller.close()
    assert begun.state == "pending"
    with checker.copied(service.folder / "data" / "push-service.db") as connection:
        assert checker.check_rows(connection) == []


@pytest.mark.reliability("R-24")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_a_log_that_cannot_be_written_costs_nobody_their_answer(tmp_path: Path) -> None:
    (tmp_path / "server.log").symlink_to("/dev/full")
    service = Service(tmp_path, **WIDE_OPEN | {"LOG_LEVEL": "info"})
    await service.start()
    try:
        async with office(service) as desk:
            app = await desk.application()
            [owner] = await enrol(desk, address_of(service), 1)
        phone = LightPhone(address_of(service), service.url, owner, random.Random(1))  # noqa: S311
        caller = Caller(address_of(service))
        await phone.connect()
        begun = await begin(caller, app, owner.username)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.prompted(begun.challenge)
            phone.answer(begun)
            assert await phone.told(begun.challenge) == "completed"
        phone.close()
        caller.close()
    finally:
        await service.kill()


@pytest.mark.reliability("R-23")
async def test_a_flood_of_passwords_is_shed_while_answers_get_through(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(**WIDE_OPEN | {"PASSWORD_HASH_CONCURRENCY": "1", "PASSWORD_HASH_WAITING": "4"})
    desk = await make_office(service)
    app = await desk.application()
    owners = await enrol(desk, address_of(service), 5)
    stranger = await desk.person()
    phones = [LightPhone(address_of(service), service.url, owner, random.Random(1)) for owner in owners]  # noqa: S311
    callers = [Caller(address_of(service)) for _ in range(FLOOD)]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            begun = []
            for phone in phones:
                await phone.connect()
                begun.append(await begin(callers[0], app, phone.owner.username))
                await phone.prompted(begun[-1].challenge)
            body = {"username": stranger.username, "password": PASSWORD}
            flood = [asyncio.create_task(caller.send("POST", "/v1/sign-ins", basic(app), body)) for caller in callers]
            for phone, each in zip(phones, begun, strict=True):
                phone.answer(each)
            told = [await phone.told(each.challenge) for phone, each in zip(phones, begun, strict=True)]
            statuses = Counter(answer.status for answer in await asyncio.gather(*flood))
            assert await heals(service)
    finally:
        for phone in phones:
            phone.close()
        for caller in callers:
            caller.close()
    assert told == ["completed"] * len(phones)
    assert statuses[503] + statuses[429] >= FLOOD // 2
    assert set(statuses) <= {201, 429, 503}
