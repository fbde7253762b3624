"""What the command line changes beside a running server is heard there, within a second, by whoever waits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet

from mobile_stub.phone import Phone
from mobile_stub.wire import Outcome
from tests.scenarios.cast import PATIENCE_SECONDS, scene, soon
from tests.support.browser import App, Browser
from tests.support.people import Office


async def key_ids(browser: Browser) -> list[str]:
    """The published keys."""
    return [str(each["kid"]) for each in await keys(browser)]


async def keys(browser: Browser) -> list[dict[str, str | list[str]]]:
    """The published key set."""
    reply = await browser.request("GET", "/.well-known/jwks.json")
    assert reply.status == 200
    found: list[dict[str, str | list[str]]] = reply.body["keys"]
    return found


async def test_blocking_somebody_reaches_the_browser_that_waits_and_the_phone(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        told = asyncio.create_task(sign_in.outcome())
        await desk.service.json_command("user", "block", alice.user.username)
        body = await soon(told)
        assert (body["state"], body["reason"]) == ("failed", "user_blocked")
        assert (await soon(alice.phone.next_withdrawal())).challenge_id == asked.id


async def test_an_application_is_there_when_added_and_gone_when_removed(desk: Office) -> None:
    async with scene(desk) as alice:
        added = await desk.service.json_command("application", "add", "Fabrikam", "--may-vouch")
        async with desk.browser(App(added["client_id"], added["client_secret"])) as browser:
            body: dict[str, Any] = {"username": alice.user.username}
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (begun := await browser.post_begin(**body)).status == 401:
                    assert begun.code == "invalid_client"
                    await asyncio.sleep(0.02)
            assert begun.body["application"] == "Fabrikam"
            await desk.service.json_command("application", "remove", added["client_id"])
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (refused := await browser.post_begin(**body)).status != 401:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
            assert refused.code == "invalid_client"
            # What it began goes on, under the name that it had.
            asked = await soon(alice.phone.next_challenge())
            number = begun.body["challenge"]["prompt"]["number"]
            assert asked.application == "Fabrikam"
            assert await soon(alice.phone.verify(asked, number=number)) is Outcome.COMPLETED


async def test_a_new_signing_key_is_published_and_used_and_what_the_old_one_signed_still_verifies(
    desk: Office,
) -> None:
    async with scene(desk) as alice:
        before = await alice.approved()
        code, out, err = await desk.service.command("keys", "rotate", "--json")
        assert code == 0, err
        made = json.loads(out)["kid"]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while made not in await key_ids(alice.browser):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        # The phone holds the old key set only: it must come to trust a context that the new key signed.
        after = await alice.approved()
        published = KeySet.import_key_set({"keys": await keys(alice.browser)})
        old = jwt.decode(before.body["result"], published, algorithms=["ES256"])
        new = jwt.decode(after.body["result"], published, algorithms=["ES256"])
        assert new.header["kid"] == made
        assert old.header["kid"] != made


async def test_a_phone_activated_by_a_code_from_the_operator_is_asked_at_once(desk: Office) -> None:
    user = await desk.person()
    issued = await desk.service.json_command("user", "activate-device", user.username)
    assert issued["uri"] == f"{desk.service.url}/activate#code={issued['code']}"
    async with Phone.activate(issued["uri"]) as phone, desk.browser() as browser:
        sign_in = await browser.begin(user.username)
        assert (await soon(phone.next_challenge())).id == sign_in.body["challenge"]["id"]


async def test_setting_a_new_password_ends_what_the_old_one_began(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, _ = await alice.asked()
        told = asyncio.create_task(sign_in.outcome())
        new = "another long password"
        await desk.service.json_command("user", "password", alice.user.username, "--password-stdin", stdin=f"{new}\n")
        assert (await soon(told))["state"] == "withdrawn"
        assert (await alice.begin(new)).body["state"] == "pending"


async def test_enabling_a_registered_person_stores_enforced(desk: Office) -> None:
    async with scene(desk) as alice:
        reply = await desk.service.json_command("user", "state", alice.user.username, "enabled")
        assert reply["state"] == "enforced"
