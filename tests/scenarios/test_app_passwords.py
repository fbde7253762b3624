"""A person's app passwords: made, listed, used and revoked in the settings, and what revokes them besides."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable

import pytest

from push_service.model.user import UserState
from tests.scenarios.cast import Door, Scene, in_settings, scene
from tests.security.support import audit, whole_file
from tests.support.browser import Json
from tests.support.clients import HERE, app_password, sign_in
from tests.support.people import PASSWORD, Office

SOON = 30.0


async def made(door: Door, name: str = "Mail on my laptop") -> Json:
    """A new app password."""
    reply = await door.send("POST", "/app-passwords", {"name": name})
    assert reply.status == 201, reply
    return reply.body


async def listed(door: Door) -> list[Json]:
    """All of them."""
    reply = await door.send("GET", "/app-passwords")
    assert reply.status == 200, reply
    found: list[Json] = reply.body["app_passwords"]
    return found


async def client_status(desk: Office, alice: Scene, password: str) -> int:
    """What a mail program gets by it."""
    async with desk.browser() as browser:
        return (await sign_in(browser, alice.user.username, password)).status


@pytest.mark.security("S-52")
async def test_one_is_made_shown_once_listed_used_and_revoked_at_once(desk: Office) -> None:
    async with in_settings(desk) as (alice, door), desk.browser() as application:
        mail = await made(door, "  Mail on   my laptop ")
        assert re.fullmatch(r"[a-z]{4}( [a-z]{4}){3}", mail["password"])
        assert (mail["id"][:4], mail["name"]) == ("apw_", "Mail on my laptop")
        chat = await made(door, "Chat")
        assert mail["password"] != chat["password"]
        unused = [
            {"id": each["id"], "name": each["name"], "created_at": each["created_at"]}
            | {"last_used_at": None, "last_used_from": None}
            for each in (mail, chat)
        ]
        assert await listed(door) == unused
        for typed in (mail["password"], mail["password"].replace(" ", ""), mail["password"].upper().replace(" ", "-")):
            allowed = await sign_in(application, alice.user.username, typed)
            assert allowed.status == 200, allowed
            assert (allowed.body["credential"], allowed.body["name"]) == ("app_password", "Mail on my laptop")
        async with asyncio.timeout(SOON):
            while (await listed(door))[0]["last_used_from"] != HERE:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        found = await listed(door)
        assert found[0]["last_used_at"] >= found[0]["created_at"]
        assert found[1] == unused[1]
        assert (await door.send("DELETE", f"/app-passwords/{mail['id']}")).status == 204
        assert await listed(door) == [unused[1]]
        refused = await sign_in(application, alice.user.username, mail["password"])
        assert (refused.status, refused.code) == (403, "app_password_required")
        assert (await sign_in(application, alice.user.username, chat["password"])).status == 200
        again = await door.send("DELETE", f"/app-passwords/{mail['id']}")
        assert (again.status, again.code) == (404, "unknown_app_password")


@pytest.mark.security("S-52")
@pytest.mark.deployed("sqlite-1")
async def test_what_happens_to_them_is_recorded_and_none_is_stored_in_the_clear(desk: Office) -> None:
    async with in_settings(desk) as (alice, door):
        mail = await made(door)
        await door.send("DELETE", f"/app-passwords/{mail['id']}")
        assert await client_status(desk, alice, mail["password"]) == 403
        records = [each for each in audit(desk, alice.user) if each.kind.startswith(("app_password.", "client."))]
        assert [(each.kind, each.actor, each.code) for each in records] == [
            ("app_password.added", "browser", None),
            ("app_password.removed", "browser", None),
            ("client.refused", "application", "app_password_required"),
        ]
        assert [each.data.get("app_password") for each in records] == [mail["id"], mail["id"], None]
        assert records[-1].source == HERE
        kept = await made(door)
        everything = "\n".join(whole_file(desk, table) for table in ("users", "app_passwords", "audit", "throttles"))
        for password in (mail["password"], kept["password"]):
            assert password not in everything
            assert password.replace(" ", "") not in everything


async def test_the_same_request_again_gets_the_same_app_password(desk: Office) -> None:
    async with in_settings(desk) as (_, door):
        headers = {"Authorization": f"Bearer {door.token}", "Idempotency-Key": secrets.token_hex(16)}

        async def post(name: str) -> tuple[int, Json]:
            reply = await door.browser.request("POST", "/v1/me/app-passwords", headers=headers, json={"name": name})
            return reply.status, reply.body

        first = await post("Mail")
        assert first[0] == 201
        assert await post("Mail") == first
        assert (await post("Chat"))[0] == 422
        assert len(await listed(door)) == 1


@pytest.mark.security("S-52")
async def test_nobody_chooses_their_own_and_a_name_has_to_be_seen(desk: Office) -> None:
    async with in_settings(desk) as (_, door):
        bodies: tuple[Json, ...] = (
            {"name": "Mail", "password": "a" * 16},
            {},
            {"name": ""},
            {"name": "\u200b"},
            {"name": "x" * 65},
        )
        for body in bodies:
            refused = await door.send("POST", "/app-passwords", body)
            assert (refused.status, refused.code) == (400, "invalid_request")
        assert await listed(door) == []


@pytest.mark.security("S-52")
async def test_the_forty_first_is_refused(desk: Office) -> None:
    async with in_settings(desk) as (alice, door):
        for number in range(39):
            await app_password(desk, alice.user, f"number {number}")
        last = await made(door)
        refused = await door.send("POST", "/app-passwords", {"name": "one too many"})
        assert (refused.status, refused.code) == (409, "too_many_app_passwords")
        assert len(await listed(door)) == 40
        assert (await door.send("DELETE", f"/app-passwords/{last['id']}")).status == 204
        await made(door)


@pytest.mark.security("S-50", "S-58")
async def test_only_a_fresh_two_step_sign_in_to_the_settings_makes_or_sees_any(desk: Office) -> None:
    unregistered, disabled = await desk.person(), await desk.person(state=UserState.DISABLED)
    async with scene(desk) as alice, in_settings(desk) as (_, door), desk.browser() as application:
        mine = await made(door)
        registering = await application.begin(unregistered.username, PASSWORD)
        tokens = [
            (await alice.approved()).token,
            (await alice.begin()).token,
            registering.token,
            registering.body["registration"]["token"],
            (await application.begin(disabled.username, PASSWORD)).token,
        ]
        for token in tokens:
            stranger = Door(application, token)
            for method, path, body in (
                ("GET", "", None),
                ("POST", "", {"name": "Mail"}),
                ("DELETE", f"/{mine['id']}", None),
            ):
                refused = await stranger.send(method, f"/app-passwords{path}", body)
                assert (refused.status, refused.code) == (403, "fresh_sign_in_required")
        nothing = await Door(application, "bt_x.y").send("GET", "/app-passwords")
        assert (nothing.status, nothing.code) == (401, "invalid_token")
        assert [each["id"] for each in await listed(door)] == [mine["id"]]


@pytest.mark.security("S-33")
async def test_nobody_revokes_another_persons(desk: Office) -> None:
    async with in_settings(desk) as (_, door), in_settings(desk) as (_, other):
        mail = await made(door)
        refused = await other.send("DELETE", f"/app-passwords/{mail['id']}")
        assert (refused.status, refused.code) == (404, "unknown_app_password")
        assert len(await listed(door)) == 1


Event = Callable[[Office, str], Awaitable[object]]


async def _blocked_for_a_while(desk: Office, name: str) -> None:
    await desk.core.administrator.block(name)
    await desk.core.administrator.unblock(name)


EVENTS: dict[str, Event] = {
    "password": lambda desk, name: desk.core.administrator.set_password(name, PASSWORD),
    "reset": lambda desk, name: desk.core.administrator.reset_methods(name),
    "block": _blocked_for_a_while,
    "delete all": lambda desk, name: desk.core.administrator.delete_app_passwords(name),
}


@pytest.mark.security("S-52")
@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
async def test_what_takes_trust_away_revokes_them_all_at_once_wherever_they_were_used_before(
    desk: Office, event: Event
) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    passwords = [await app_password(desk, user, name) for name in ("Mail", "Chat")]
    async with desk.browser() as browser:
        for password in passwords:
            assert (await sign_in(browser, user.username, password)).status == 200
        await event(desk, user.username)
        for password in passwords:
            refused = await sign_in(browser, user.username, password)
            assert (refused.status, refused.code) == (403, "app_password_required")
    assert await desk.core.store.app_passwords(user.id) == []


@pytest.mark.security("S-52")
async def test_registering_another_phone_and_removing_one_leaves_them_alone(desk: Office) -> None:
    async with in_settings(desk, "Pixel", "Tablet") as (alice, door):
        mail = await made(door)
        phone = await desk.phone(alice.user, "Third")
        await phone.aclose()
        assert await client_status(desk, alice, mail["password"]) == 200
        me = await door.me()
        removed = next(each for each in me["methods"] if each["target"] == "Tablet")
        assert (await door.send("DELETE", f"/methods/{removed['id']}")).status == 204
        assert await client_status(desk, alice, mail["password"]) == 200
