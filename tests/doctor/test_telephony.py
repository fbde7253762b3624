"""The doctor looks at the provider's account at the stub's telephone company: right, and broken in each way."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from mobile_stub.world import World, world
from push_service.doctor.check import Finding, Verdict
from tests.doctor.conftest import Examine
from tests.support.telephony import telephony_settings

pytestmark = pytest.mark.usefixtures("data")


@pytest.fixture
async def company() -> AsyncIterator[World]:
    async with world(pace=None) as running:
        yield running


async def looked(examine: Examine, company: World, **more: str) -> dict[str, Finding]:
    found = await examine(**telephony_settings(company) | more)
    return {name: each for name, each in found.items() if name.startswith("telephony.")}


async def test_where_all_is_well_nothing_is_sent(examine: Examine, company: World) -> None:
    found = await looked(examine, company)
    assert {name: each.sentence for name, each in found.items() if each.verdict is not Verdict.OK} == {}
    assert set(found) == {"telephony.account", "telephony.news"}
    assert "which is not Twilio's" in found["telephony.account"].sentence
    assert company.carrier.requests == 0


async def test_without_a_provider_there_is_nothing_to_ask(examine: Examine) -> None:
    found = await examine()
    assert {name for name in found if name.startswith("telephony.")} == {"telephony.account"}


async def test_an_account_that_the_provider_does_not_know(examine: Examine, company: World) -> None:
    account = (await looked(examine, company, TELEPHONY__AUTH_TOKEN="other"))["telephony.account"]
    assert (account.verdict, "401" in account.sentence) == (Verdict.FAULT, True)


async def test_an_address_that_nobody_answers(examine: Examine, company: World) -> None:
    away = await looked(examine, company, TELEPHONY__BASE_URL=f"http://127.0.0.1:{unused_port()}")
    assert (away["telephony.account"].verdict, away["telephony.news"].verdict) == (Verdict.FAULT, Verdict.OK)


@pytest.mark.parametrize(
    ("status", "body", "verdict", "told"),
    [
        (503, "", Verdict.WARNING, "in trouble"),
        (200, "<html>", Verdict.FAULT, "interface"),
        (200, '{"status":"suspended"}', Verdict.FAULT, "suspended"),
    ],
)
async def test_what_the_provider_answers_is_told(
    examine: Examine, company: World, status: int, body: str, verdict: Verdict, told: str
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        found = (await looked(examine, company, TELEPHONY__BASE_URL=url))["telephony.account"]
        gateway = (await looked(examine, company, TELEPHONY__BASE_URL=f"{url}/send", TELEPHONY__PROVIDER="webhook"))[
            "telephony.account"
        ]
    assert (found.verdict, told in found.sentence) == (verdict, True)
    assert gateway.verdict is (Verdict.WARNING if status == 503 else Verdict.OK)


async def test_a_public_address_that_the_provider_can_not_reach(examine: Examine, company: World) -> None:
    """The real provider's address is never asked: this machine's own name is none."""
    found = await looked(examine, company, TELEPHONY__BASE_URL="https://telephony.invalid")
    assert (found["telephony.news"].verdict, found["telephony.account"].verdict) == (Verdict.FAULT, Verdict.FAULT)
