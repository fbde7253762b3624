"""R-05, R-20: two servers on one store, with Redis between them, and what becomes of people when Redis is lost.

A browser waits at one server, the phone is connected to the other. The store tells neither what the other commits, as
it would be on two machines: nothing but the bus does, and without it the floor of those who wait.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from mobile_stub.phone import Phone
from tests.soak.mutants import Mutant
from tests.support.browser import App, Browser
from tests.support.people import PASSWORD, Office, office
from tests.support.redis import RedisServer
from tests.support.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_SECONDS = 50.0


@dataclass
class Pair:
    """Two servers, the operator beside the first, and Redis between them."""

    first: Service
    second: Service
    redis: RedisServer
    desk: Office
    app: App

    async def health(self) -> list[dict[str, Any]]:
        """What both say of themselves; both must be ready."""
        said = []
        for each in (self.first, self.second):
            async with each.session() as session, session.get("/readyz") as answer:
                assert answer.status == 200
                said.append(await answer.json())
        return said

    async def degraded(self, *, so: bool) -> None:
        """Wait until both know that their bell is lost, or back."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(("bus" in each["degraded"]) is not so for each in await self.health()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """One for all stories: each leaves it well."""
    tmp_path = tmp_path_factory.mktemp("pair")
    redis_server = RedisServer(tmp_path / "redis")
    redis_server.start()
    async with AsyncExitStack() as stack:
        stack.callback(redis_server.kill)
        made: list[Service] = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            settings = {
                "BUS_URL": redis_server.url,
                "DATA_DIR": str(tmp_path / "data"),
                "POLICY__WRONG_PASSWORDS": "3/15m",
            }
            if made:
                settings["PUBLIC_URL"] = made[0].url
            server = Mutant("deaf-store", tmp_path / name, **settings)
            stack.push_async_callback(server.kill)
            await server.start()
            made.append(server)
        desk = await stack.enter_async_context(office(made[0]))
        yield Pair(made[0], made[1], redis_server, desk, await desk.application())


async def sign_in(pair: Pair, phone: Phone, username: str) -> tuple[float, float]:
    """One sign-in across both servers; how long the phone waited for its prompt, and the browser for the outcome."""
    loop = asyncio.get_running_loop()
    async with pair.second.session() as session, asyncio.timeout(PATIENCE_SECONDS):
        begun = await Browser(session, pair.app).begin(username)
        begin = loop.time()
        waiting = asyncio.create_task(begun.outcome())
        challenge = await phone.next_challenge()
        shown = loop.time()
        await phone.verify(challenge, number=begun.number)
        answered = loop.time()
        assert (await waiting)["state"] == "approved"
        return shown - begin, loop.time() - answered


@pytest.mark.reliability("R-05", "R-06")
async def test_a_sign_in_across_servers_comes_to_its_end_with_the_bus_lost_and_back(pair: Pair) -> None:
    user = await pair.desk.person(password=None)
    before = [each.log for each in (pair.first, pair.second)]
    async with await pair.desk.phone(user) as phone:
        waited = {"well": await sign_in(pair, phone, user.username)}
        assert [each["degraded"] for each in await pair.health()] == [{}, {}]

        pair.redis.kill()
        await pair.degraded(so=True)
        waited["killed"] = await sign_in(pair, phone, user.username)
        pair.redis.start()
        await pair.degraded(so=False)
        waited["back"] = await sign_in(pair, phone, user.username)

        pair.redis.pause()  # and nobody knows yet
        waited["stopped"] = await sign_in(pair, phone, user.username)
        await pair.degraded(so=True)
        pair.redis.resume()
        await pair.degraded(so=False)
        waited["on again"] = await sign_in(pair, phone, user.username)
    for how, (prompt, outcome) in waited.items():
        print(f"{how}: prompt after {prompt:.3f} s, outcome after {outcome:.3f} s")  # noqa: T201
    for each, log in zip((pair.first, pair.second), before, strict=True):
        logged = each.log.removeprefix(log)
        assert logged.count('"bus.lost"') == logged.count('"bus.back"') == 2
        async with each.session() as session, session.get("/metrics") as answer:
            told = await answer.text()
        assert "push_service_bus_connected 1.0" in told
        assert "push_service_bus_reconnects_total 0.0" not in told


@pytest.mark.reliability("R-05")
async def test_who_waits_when_the_bus_is_lost_is_told(pair: Pair) -> None:
    user = await pair.desk.person(password=None)
    async with await pair.desk.phone(user) as phone, pair.second.session() as session:
        begun = await Browser(session, pair.app).begin(user.username)
        waiting = asyncio.create_task(begun.outcome())
        challenge = await phone.next_challenge()
        pair.redis.kill()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await phone.verify(challenge, number=begun.number)
            assert (await waiting)["state"] == "approved"
        pair.redis.start()
        await pair.degraded(so=False)


@pytest.mark.reliability("R-20")
async def test_emptying_redis_changes_no_counter(pair: Pair) -> None:
    user = await pair.desk.person()
    async with pair.first.session() as one, pair.second.session() as two:
        first, second = Browser(one, pair.app), Browser(two, pair.app)
        for browser in (first, second, first):
            assert (await browser.post_begin(username=user.username, password="wrong")).code == "invalid_credentials"
        await pair.redis.command("FLUSHALL")
        for browser in (first, second):
            assert (await browser.post_begin(username=user.username, password=PASSWORD)).code == "too_many_requests"
        assert await pair.redis.command("DBSIZE") == 0, "something is kept in Redis"


async def test_a_server_hears_what_a_command_changed(pair: Pair) -> None:
    issued = await pair.first.json_command("application", "add", "Fabrikam", "--may-vouch")
    user = await pair.desk.person(password=None)
    async with pair.second.session() as session, asyncio.timeout(PATIENCE_SECONDS):
        app = App(issued["client_id"], issued["client_secret"])
        while (await Browser(session, app).post_begin(username=user.username)).status == 401:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_command_succeeds_without_the_bus_and_says_so_beside_its_result(pair: Pair) -> None:
    pair.redis.kill()
    code, out, err = await pair.first.command("application", "add", "Northwind", "--json")
    assert code == 0
    assert "client_id" in json.loads(out)
    assert "bus.lost" in err
    pair.redis.start()
    await pair.degraded(so=False)
