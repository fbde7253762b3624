"""The shipped proxy files at work: sign-ins through the real proxies, in front of two machines, without stickiness."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
import pytest_asyncio

from mobile_stub.phone import Phone
from push_service.model.user import User, UserState
from tests.deployment import proxies
from tests.deployment.cluster import Cluster, cluster
from tests.deployment.proxies import Proxy
from tests.support.browser import Browser, Json, SignIn
from tests.support.people import PASSWORD

pytestmark = [
    pytest.mark.skipif(bool(proxies.missing()), reason=proxies.missing()),
    pytest.mark.asyncio(loop_scope="module"),
]

NAMES = tuple(proxies.PROXIES)
PATIENCE_SECONDS = 30.0
LONG_SECONDS = 25
FORGED = "203.0.113.66"
AGAIN_SECONDS = 0.1
AWAY = frozenset({502, 503, 504})
"""What is asked again, as docs/protocol.md says: a proxy without an answer, and a machine with too much to do."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def others(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Machines that may be restarted while the first ones hold their polls."""
    async with cluster(tmp_path_factory.mktemp("others")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parked(running: Cluster) -> AsyncIterator[dict[str, asyncio.Task[tuple[int, int]]]]:
    """A poll of 25 seconds through each proxy, held while the other stories go on: its status and change of version."""

    async def poll(proxy: Proxy) -> tuple[int, int]:
        async with running.browser(proxy) as browser:
            sign_in = await browser.begin((await _person(running)).username)
            query = {"wait": LONG_SECONDS, "after": sign_in.body["version"]}
            reply = await browser.request("GET", f"/v1/sign-ins/{sign_in.id}", headers=sign_in.bearer, params=query)
            return reply.status, reply.body["version"] - sign_in.body["version"]

    tasks = {proxy.name: asyncio.create_task(poll(proxy)) for proxy in running.proxies}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _person(running: Cluster) -> User:
    """Somebody with a phone that is switched off: nobody answers, and nothing changes."""
    user = await running.desk.person(state=UserState.ENFORCED)
    async with await running.desk.phone(user, setup=running.setup(running.proxies[0])):
        return user


def _named(running: Cluster, name: str) -> Proxy:
    return next(proxy for proxy in running.proxies if proxy.name == name)


@pytest.mark.usefixtures("parked")
@pytest.mark.parametrize("name", NAMES)
async def test_a_sign_in_goes_through_by_socket_and_poll_and_the_event_stream_is_not_held_back(
    running: Cluster, name: str
) -> None:
    proxy = _named(running, name)
    alice = await running.desk.person()
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        await running.desk.phone(alice, setup=running.setup(proxy)) as phone,
        running.browser(proxy) as browser,
    ):
        sign_in = await browser.begin(alice.username, PASSWORD)
        events = sign_in.events()
        _, first = await anext(events)
        assert json.loads(first)["state"] == "pending", "the first event comes before anything has happened"
        polling = asyncio.create_task(sign_in.outcome())
        await phone.verify(await phone.next_challenge(), number=sign_in.number)
        assert (await polling)["state"] == "approved"
        states = [json.loads(data)["state"] async for _, data in events]
        assert states[-1] == "approved"


@pytest.mark.usefixtures("parked")
@pytest.mark.security("S-62")
@pytest.mark.parametrize("name", NAMES)
async def test_the_prompt_names_the_browser_s_address_and_none_that_it_claims(running: Cluster, name: str) -> None:
    proxy = _named(running, name)
    alice = await running.desk.person()
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        await running.desk.phone(alice, setup=running.setup(proxy)) as phone,
        running.browser(proxy, running.page, address="127.0.0.2") as browser,
    ):
        forged = [
            ("X-Forwarded-For", FORGED),
            ("X-Forwarded-For", f"{FORGED}, 127.0.0.1"),
            ("Forwarded", f"for={FORGED}"),
        ]
        body = {"application": running.page.client_id, "username": alice.username, "password": PASSWORD}
        headers = [*browser.identification.items(), *forged, ("X-Real-IP", FORGED)]
        async with browser.session.post("/v1/sign-ins", json=body, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
        assert (await phone.next_challenge()).ip == "127.0.0.2"


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_not_for_strangers_stays_inside_and_plain_http_is_sent_to_https(
    running: Cluster, name: str
) -> None:
    proxy = _named(running, name)
    async with running.browser(proxy) as browser:
        assert (await browser.request("GET", "/metrics")).status == 403
        ready = await browser.request("GET", "/readyz")
        assert ready.status == 200
        assert ready.headers["Strict-Transport-Security"].startswith("max-age=")
        plain = browser.session.get(f"http://localhost:{proxy.plain_port}/sign-in?a=b", allow_redirects=False)
        async with plain as answer:
            assert answer.status == 308
            assert answer.headers["Location"].startswith("https://localhost")
            assert answer.headers["Location"].endswith("/sign-in?a=b")


# --- one machine after the other is restarted -------------------------------------------------------------------------


class Persistent:
    """Somebody who signs in again and again, and asks again where the documents say so."""

    def __init__(self, browser: Browser, user: User, phone: Phone) -> None:
        self._browser, self._user, self._phone = browser, user, phone
        self.stopping = asyncio.Event()
        self.seen: Counter[str] = Counter()

    async def run(self) -> None:
        while not self.stopping.is_set():
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._sign_in()
            self.seen["approved"] += 1

    async def _sign_in(self) -> None:
        key = {"Idempotency-Key": secrets.token_urlsafe(16)}
        begun = await self._again(
            "POST",
            "/v1/sign-ins",
            201,
            headers=self._browser.identification | key,
            json={"username": self._user.username},
        )
        sign_in = SignIn(self._browser, begun)
        challenge = await self._phone.next_challenge()
        while challenge.id != begun["challenge"]["id"]:
            challenge = await self._phone.next_challenge()
        verifying = asyncio.create_task(self._phone.verify(challenge, number=sign_in.number))
        body = begun
        while body["state"] == "pending":
            query = {"wait": 25, "after": body["version"]}
            path = f"/v1/sign-ins/{sign_in.id}"
            body = await self._again("GET", path, 200, headers=sign_in.bearer, params=query)
        assert body["state"] == "approved", body
        await verifying

    async def _again(self, method: str, path: str, wanted: int, **more: object) -> Json:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                reply = await self._browser.request(method, path, **more)
                if reply.status == wanted:
                    return reply.body
                assert reply.status in AWAY, reply
                self.seen[str(reply.status)] += 1
            self.seen["asked again"] += 1
            await asyncio.sleep(AGAIN_SECONDS)


@pytest.mark.reliability("R-14", "R-15")
async def test_machines_restarted_in_turn_under_load_fail_nobody_who_asks_again(others: Cluster) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        everyone = []
        for proxy in others.proxies:
            for _ in range(2):
                user = await others.desk.person(state=UserState.ENFORCED)
                phone = await stack.enter_async_context(await others.desk.phone(user, setup=others.setup(proxy)))
                browser = await stack.enter_async_context(others.browser(proxy))
                someone = Persistent(browser, user, phone)
                everyone.append(someone)
                group.create_task(someone.run())
        for machine in others.machines:
            before = [someone.seen["approved"] for someone in everyone]
            assert await machine.stop() == 0
            await machine.start()
            async with asyncio.timeout(PATIENCE_SECONDS):
                # Whether somebody got on is in the counts alone.
                while any(now.seen["approved"] < then + 3 for now, then in zip(everyone, before, strict=True)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        for someone in everyone:
            someone.stopping.set()


# --- and in the end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
async def test_a_poll_is_held_for_as_long_as_it_asked_for(
    parked: dict[str, asyncio.Task[tuple[int, int]]], name: str
) -> None:
    async with asyncio.timeout(LONG_SECONDS + PATIENCE_SECONDS):
        assert await parked[name] == (200, 0), "nothing changed, and nobody between cut it off"
