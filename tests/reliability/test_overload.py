"""R-23: with too much to do, it is begins that are turned away; what was begun before goes on to its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import aiohttp
import pytest
from aiohttp.test_utils import TestServer, unused_port

from mobile_stub.phone import Phone
from push_service.app import Server
from push_service.config import load
from push_service.core import open_core
from push_service.model.admission import LONGEST_QUEUE
from push_service.model.new_application import NewApplication
from push_service.model.new_user import NewUser
from push_service.model.user import User
from tests.support.browser import App, Browser

PATIENCE = 60.0


@dataclass(frozen=True)
class Crowded:
    """A server in this very process, so that a test can say how much it has to do; with somebody on it."""

    server: Server
    browser: Browser
    alice: User
    phone: Phone

    def overload(self) -> None:
        """As if the store's queue were long."""
        self.server.gate.measured(0.0, LONGEST_QUEUE)

    def relieve(self) -> None:
        """As if it had become short."""
        self.server.gate.measured(0.0, 0)


@pytest.fixture
async def crowded(tmp_path: Path) -> AsyncIterator[Crowded]:
    port = unused_port()
    url = f"http://localhost:{port}"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PUSH_SERVICE_")}
    given = {"PUSH_SERVICE_DATA_DIR": str(tmp_path / "data"), "PUSH_SERVICE_PUBLIC_URL": url}
    with mock.patch.dict(os.environ, ours | given, clear=True):
        settings = load()
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, logged=True))
        server = Server(core)
        await stack.enter_async_context(TestServer(server.app, host="localhost", port=port))
        alice = await core.administrator.add_user(NewUser(username="alice"))
        issued = await core.administrator.add_application(
            NewApplication(name="Contoso", public=False, redirect_uris=(), origins=(), may_vouch=True)
        )
        core.applications.changed()
        session = await stack.enter_async_context(aiohttp.ClientSession(url))
        browser = Browser(session, App(issued.application.id, issued.client_secret))
        uri = (await core.registrar.issue_activation(alice.id)).uri
        phone = await stack.enter_async_context(await Phone.activate(uri, name="Pixel", platform="stub"))
        yield Crowded(server, browser, alice, phone)


@pytest.mark.reliability("R-23")
async def test_in_an_overload_begins_are_turned_away_while_answers_waits_and_withdrawals_pass(crowded: Crowded) -> None:
    browser, phone, name = crowded.browser, crowded.phone, crowded.alice.username
    async with asyncio.timeout(PATIENCE):
        first, second = await browser.begin(name), await browser.begin(name)
        prompts = {each.id: each for each in (await phone.next_challenge(), await phone.next_challenge())}
        waiting = asyncio.create_task(first.outcome())
        crowded.overload()

        refused = await browser.post_begin(username=name)
        assert (refused.status, refused.code) == (503, "busy")
        assert int(refused.headers["Retry-After"]) >= 1

        await phone.verify(prompts[first.body["challenge"]["id"]], number=first.number)
        assert (await waiting)["state"] == "approved"
        assert (await second.look(wait=1, after=second.body["version"]))["state"] == "pending"
        assert (await second.cancel()).body["state"] == "withdrawn"

        assert (await browser.post_begin(username=name)).code == "busy"
        crowded.relieve()
        assert (await browser.post_begin(username=name)).status == 201


@pytest.mark.reliability("R-23")
async def test_a_begin_that_is_turned_away_leaves_nothing_behind_and_can_be_repeated(crowded: Crowded) -> None:
    browser, name = crowded.browser, crowded.alice.username
    again = {"Idempotency-Key": "the-same-begin-once-more"}
    crowded.overload()
    assert (await browser.post_begin(again, username=name)).status == 503
    crowded.relieve()
    one = await browser.post_begin(again, username=name)
    other = await browser.post_begin(again, username=name)
    assert one.status == other.status == 201
    assert one.body == other.body


@pytest.mark.reliability("R-23")
async def test_whoever_sends_a_begin_slowly_holds_nobody_s_place(crowded: Crowded) -> None:
    browser, server = crowded.browser, crowded.server
    url = browser.session._base_url
    assert url is not None
    head = f"POST /v1/sign-ins HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Type: application/json\r\n"
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        assert (await browser.post_begin(username=crowded.alice.username)).status == 201
        assert server.gate.under_way == 0
        writer.write(b"}" * 99)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()
