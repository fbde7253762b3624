"""Two servers on one PostgreSQL database, each with a bus of its own: what one decides the other's browser is told."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from push_service.model.user import UserState
from tests.conftest import MakeOffice, MakeService
from tests.scenarios.cast import soon
from tests.support.people import PASSWORD, Office
from tests.support.postgres import PostgresServer
from tests.support.service import Service


class Two:
    """Servers on the same database, with the same key and the same address for phones."""

    def __init__(self, phones: Service, browsers: Service, operator: Office, application: Office) -> None:
        self.phones, self.browsers, self.operator, self.application = phones, browsers, operator, application


@pytest.fixture
async def two(postgres_server: PostgresServer, make_service: MakeService, make_office: MakeOffice) -> Two:
    database = postgres_server.create()
    shared = {"DATABASE_URL": postgres_server.url(database), "ENCRYPTION_KEY": secrets.token_urlsafe(32)}
    phones = await make_service(**shared)
    browsers = await make_service(**shared, PUBLIC_URL=phones.url)
    return Two(phones, browsers, await make_office(phones), await make_office(browsers))


@pytest.mark.reliability("R-05")
async def test_the_phone_answers_one_process_and_the_browser_waits_at_the_other(two: Two) -> None:
    alice = await two.operator.person(state=UserState.ENFORCED)
    async with await two.operator.phone(alice) as phone, two.application.browser() as browser:
        for _ in range(3):
            sign_in = await soon(browser.begin(alice.username, PASSWORD))
            challenge = await soon(phone.next_challenge())
            told = asyncio.create_task(sign_in.outcome())
            await soon(phone.verify(challenge, number=sign_in.number))
            body = await soon(told)
            assert (body["state"], body["reason"]) == ("approved", None)
            assert body["result"]


@pytest.mark.reliability("R-02", "R-24")
async def test_after_the_database_crashed_the_sign_in_under_way_is_answered(
    two: Two, postgres_server: PostgresServer
) -> None:
    alice = await two.operator.person(state=UserState.ENFORCED)
    async with await two.operator.phone(alice) as phone, two.application.browser() as browser:
        sign_in = await soon(browser.begin(alice.username, PASSWORD))
        challenge = await soon(phone.next_challenge())
        await asyncio.to_thread(postgres_server.restart)
        await soon(phone.verify(challenge, number=sign_in.number))
        body = await soon(sign_in.outcome())
        assert body["state"] == "approved"
        assert body["result"]
