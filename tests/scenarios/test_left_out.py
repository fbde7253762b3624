"""The second step left out: from a trusted network, and in a browser that is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import pytest

from tests.conftest import MakeOffice, MakeService
from tests.scenarios.cast import SETTINGS, Scene, scene
from tests.support.browser import Json
from tests.support.people import PASSWORD, Office

OFFICE = "192.0.2.0/24"
AT_THE_OFFICE = {"ip": "192.0.2.77"}
AWAY = {"ip": "198.51.100.7", "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


@asynccontextmanager
async def somebody(make_service: MakeService, make_office: MakeOffice, **policy: str) -> AsyncIterator[Scene]:
    """A person with a phone, where this policy holds."""
    service = await make_service(**{f"POLICY__{name}": value for name, value in policy.items()})
    desk = await make_office(service)
    async with scene(desk) as alice:
        yield alice


def amr(seen: Json) -> list[str]:
    """What the result says was used; its signature is another test's."""
    found: list[str] = jwt.decode(seen["result"], options={"verify_signature": False})["amr"]
    return found


@pytest.mark.security("S-62")
async def test_from_the_office_the_password_is_enough_but_for_the_settings(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    async with somebody(make_service, make_office, TRUSTED_NETWORKS=OFFICE) as alice:
        inside = await alice.begin(client=AT_THE_OFFICE)
        assert (inside.body["state"], inside.body["challenge"], amr(inside.body)) == ("approved", None, ["pwd"])
        assert "remember_days" not in inside.body
        assert (await inside.remember()).code == "not_rememberable"
        assert (await alice.begin(client=AWAY)).body["state"] == "pending"
        assert (await alice.begin(None, client=AT_THE_OFFICE)).body["state"] == "pending"


@pytest.mark.security("S-60")
async def test_a_remembered_browser_needs_no_second_step_and_its_token_changes_each_time(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    async with somebody(make_service, make_office, REMEMBER_BROWSER_DAYS="30") as alice:
        first = await alice.begin(client=AWAY)
        assert first.body["remember_days"] == 30
        assert (await first.remember()).code == "not_rememberable"
        await first.cancel()
        approved = await alice.approved(client=AWAY)
        assert set(amr(approved.body)) == {"pwd", "swk", "mfa"}
        given = await approved.remember()
        assert given.status == 201
        token = given.body["token"]
        for _ in range(3):
            again = await alice.begin(client=AWAY, remembered=token)
            assert (again.body["state"], amr(again.body)) == ("approved", ["pwd"])
            assert again.body["remembered"]["expires_at"] == given.body["expires_at"]
            assert again.body["remembered"]["token"] != token
            token = again.body["remembered"]["token"]
            assert "remembered" not in await again.look()
        assert (await alice.begin(client=AWAY)).body["state"] == "pending"


async def test_two_tabs_that_begin_at_the_same_moment_are_both_let_through_and_end_with_one_token(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    async with somebody(make_service, make_office, REMEMBER_BROWSER_DAYS="30") as alice:
        token = (await (await alice.approved(client=AWAY)).remember()).body["token"]
        tabs = await asyncio.gather(*(alice.begin(client=AWAY, remembered=token) for _ in range(4)))
        assert {each.body["state"] for each in tabs} == {"approved"}
        assert len({each.body["remembered"]["token"] for each in tabs}) == 1


@pytest.mark.security("S-60")
async def test_person_and_operator_see_what_is_remembered_and_end_it(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    async with somebody(make_service, make_office, REMEMBER_BROWSER_DAYS="30") as alice:
        desk: Office = alice.desk
        async with desk.browser(SETTINGS, origin=desk.service.url) as page:
            token = (await (await alice.approved(client=AWAY)).remember()).body["token"]
            mine = await page.begin(alice.user.username, PASSWORD)
            assert "remember_days" not in mine.body
            await alice.phone.verify(await alice.phone.next_challenge(), number=mine.number)
            await mine.outcome()
            me = await page.request("GET", "/v1/me", headers=mine.bearer)
            (listed,) = me.body["browsers"]
            assert (listed["label"], listed["used_at"]) == ("Firefox on Linux", None)
            assert (await page.request("DELETE", "/v1/me/browsers", headers=mine.bearer)).status == 204
            me = await page.request("GET", "/v1/me", headers=mine.bearer)
            assert me.body["browsers"] == []
            again = await alice.begin(client=AWAY, remembered=token)
            assert again.body["state"] == "pending"
            await again.cancel()

        token = (await (await alice.approved(client=AWAY)).remember()).body["token"]
        told = await desk.service.json_command("user", "forget-browsers", alice.user.username)
        assert told["username"] == alice.user.username
        assert (await alice.begin(client=AWAY, remembered=token)).body["state"] == "pending"


@pytest.mark.security("S-60")
async def test_the_same_begin_sent_twice_gets_the_same_token(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    async with somebody(make_service, make_office, REMEMBER_BROWSER_DAYS="30") as alice:
        token = (await (await alice.approved(client=AWAY)).remember()).body["token"]
        body = {"username": alice.user.username, "password": PASSWORD, "client": AWAY, "remembered": token}
        key = {"Idempotency-Key": "one-begin-and-the-same"}
        first, second = [await alice.browser.post_begin(key, **body) for _ in range(2)]
        assert first.body["state"] == "approved"
        assert first.body["remembered"] == second.body["remembered"]
