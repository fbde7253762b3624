"""A person's first phone, registered within the sign-in that asked for it; and the settings, for whoever has one."""

from __future__ import annotations

import asyncio

import pytest

from mobile_stub.errors import LineClosedError, RefusedError
from mobile_stub.phone import Phone
from mobile_stub.wire import Outcome
from push_service.model.user import UserState
from tests.scenarios.cast import SETTINGS, Door, in_settings, registration, scene, soon, stored
from tests.support.people import PASSWORD, Office


async def test_who_has_nothing_registered_is_asked_to_register_and_the_same_sign_in_goes_on(desk: Office) -> None:
    bob = await desk.person()
    async with desk.browser() as browser:
        sign_in = await browser.begin(bob.username, PASSWORD)
        assert sign_in.body["state"] == "registration_required"
        assert (sign_in.body["challenge"], sign_in.body["methods"]) == (None, [])
        assert sign_in.body["registration"]["url"].startswith(desk.service.url)
        waiting = asyncio.create_task(sign_in.changed(60))
        door = registration(sign_in)
        me = await door.me()
        assert (me["username"], me["state"], me["methods"]) == (bob.username, "enabled", [])
        reply = await door.send("POST", "/devices")
        assert reply.status == 201
        assert reply.body["uri"] == f"{desk.service.url}/activate#code={reply.body['code']}"
        assert reply.body["qr_svg"].startswith("<svg")
        async with Phone.activate(reply.body["uri"], "Bob's phone") as phone:
            # The challenge is there when the confirming answer arrives: for the phone as for the browser.
            (listed,) = (await phone.poll()).challenges
            told = await soon(waiting)
            assert (told["state"], told["challenge"]["id"]) == ("pending", listed.id)
            assert "registration" not in told
            asked = await soon(phone.next_challenge())
            assert await soon(phone.verify(asked, number=told["challenge"]["prompt"]["number"])) is Outcome.COMPLETED
        body = await soon(sign_in.outcome())
        assert (body["state"], bool(body["result"])) == ("approved", True)
        assert (await stored(desk, bob)).state is UserState.ENFORCED


async def test_the_persons_other_unregistered_sign_ins_end_when_one_has_registered(desk: Office) -> None:
    bob = await desk.person()
    async with desk.browser() as browser:
        first, other = await browser.begin(bob.username, PASSWORD), await browser.begin(bob.username, PASSWORD)
        abandoned = await registration(other).activation()
        async with Phone.activate(await registration(first).activation()):
            body = await soon(other.outcome())
            assert (body["state"], body["reason"]) == ("withdrawn", "registered_elsewhere")
            assert (await first.look())["state"] == "pending"
        with pytest.raises(RefusedError, match="invalid_activation_code"):
            await Phone.activate(abandoned)


async def test_the_registration_token_opens_nothing_else_and_dies_with_its_sign_in(desk: Office) -> None:
    bob = await desk.person()
    async with desk.browser() as browser:
        sign_in = await browser.begin(bob.username, PASSWORD)
        door = registration(sign_in)
        for method, path, body in (
            ("DELETE", "/methods/mth_x", None),
            ("PUT", "/primary-method", {"method_id": "mth_x"}),
        ):
            refused = await door.send(method, path, body)
            assert (refused.status, refused.code) == (403, "fresh_sign_in_required")
        as_browser = await browser.request(
            "GET", f"/v1/sign-ins/{sign_in.id}", headers={"Authorization": f"Bearer {door.token}"}
        )
        assert (as_browser.status, as_browser.code) == (401, "invalid_token")
        uri = await door.activation()
        await sign_in.cancel()
        assert (await door.send("GET", "")).code == "invalid_token"
        assert (await door.send("POST", "/devices")).code == "invalid_token"
        with pytest.raises(RefusedError, match="invalid_activation_code"):
            await Phone.activate(uri)


async def test_the_registration_token_is_over_once_the_phone_is_registered(desk: Office) -> None:
    bob = await desk.person()
    async with desk.browser() as browser:
        sign_in = await browser.begin(bob.username, PASSWORD)
        door = registration(sign_in)
        async with Phone.activate(await door.activation()):
            assert (await door.send("GET", "")).code == "invalid_token"


async def test_a_newer_activation_code_voids_the_one_before_it(desk: Office) -> None:
    bob = await desk.person()
    async with desk.browser() as browser:
        door = registration(await browser.begin(bob.username, PASSWORD))
        former, newer = await door.activation(), await door.activation()
        with pytest.raises(RefusedError, match="invalid_activation_code"):
            await Phone.activate(former)
        async with Phone.activate(newer) as phone:
            assert phone.username == bob.username
        with pytest.raises(RefusedError, match="invalid_activation_code"):
            await Phone.activate(newer)


async def test_an_enforced_person_who_never_had_a_method_registers_too(desk: Office) -> None:
    bob = await desk.person(state=UserState.ENFORCED)
    async with desk.browser() as browser:
        sign_in = await browser.begin(bob.username, PASSWORD)
        assert sign_in.body["state"] == "registration_required"


async def _everything_asked(phone: Phone) -> None:
    while True:
        await phone.next_challenge()


async def test_after_a_reset_by_an_administrator_the_person_registers_anew(desk: Office) -> None:
    async with scene(desk) as alice:
        pending = await alice.begin(None)
        await desk.core.administrator.reset_methods(alice.user.username)
        body = await soon(pending.outcome())
        assert (body["state"], body["reason"]) == ("failed", "no_method")
        with pytest.raises(LineClosedError):
            await soon(_everything_asked(alice.phone))
        again = await alice.begin()
        assert again.body["state"] == "registration_required"


async def test_a_fresh_sign_in_for_the_settings_adds_a_second_phone_that_is_asked_as_well(desk: Office) -> None:
    async with in_settings(desk) as (alice, door):
        assert [each["name"] for each in (await door.me())["devices"]] == ["Pixel"]
        async with Phone.activate(await door.activation(), "Tablet") as tablet:
            assert [each["name"] for each in (await door.me())["devices"]] == ["Pixel", "Tablet"]
            sign_in = await alice.begin()
            asked = await soon(tablet.next_challenge())
            assert await soon(tablet.verify(asked, number=sign_in.number)) is Outcome.COMPLETED


async def test_the_primary_method_is_chosen_and_moves_on_when_its_phone_is_removed(desk: Office) -> None:
    async with in_settings(desk, "Pixel", "Tablet") as (alice, door):
        pixel, tablet = (each for each in (await door.me())["methods"] if each["method"] == "app_notification")
        assert (pixel["primary"], tablet["primary"]) == (True, False)
        changed = await door.send("PUT", "/primary-method", {"method_id": tablet["id"]})
        assert changed.status == 200
        assert [each["id"] for each in changed.body["methods"] if each["primary"]] == [tablet["id"]]
        unknown = await door.send("PUT", "/primary-method", {"method_id": "mth_unknown"})
        assert (unknown.status, unknown.code) == (404, "unknown_method")
        removed = await door.send("DELETE", f"/methods/{tablet['id']}")
        assert (removed.status, removed.body) == (204, {})
        me = await door.me()
        assert [(each["method"], each["target"], each["primary"]) for each in me["methods"]] == [
            ("app_notification", "Pixel", True),
            ("app_code", "Pixel", False),
        ]
        assert [each["name"] for each in me["devices"]] == ["Pixel"]
        with pytest.raises(RefusedError, match="unknown_device"):
            await alice.phones[1].device()
        assert (await door.send("DELETE", f"/methods/{tablet['id']}")).code == "unknown_method"


async def test_removing_the_phone_that_opened_the_settings_does_not_close_them(desk: Office) -> None:
    async with in_settings(desk, "Pixel", "Tablet") as (_, door):
        pixel = next(each for each in (await door.me())["methods"] if each["target"] == "Pixel")
        assert (await door.send("DELETE", f"/methods/{pixel['id']}")).status == 204
        assert [each["name"] for each in (await door.me())["devices"]] == ["Tablet"]


async def test_the_last_method_of_an_enforced_account_stays(desk: Office) -> None:
    async with in_settings(desk) as (alice, door):
        notification, code = (await door.me())["methods"]
        for _ in range(2):  # with its phone the code would go, too; and then it is the last one
            refused = await door.send("DELETE", f"/methods/{notification['id']}")
            assert (refused.status, refused.code) == (409, "last_method")
            await door.send("DELETE", f"/methods/{code['id']}")
        assert [each["id"] for each in (await door.me())["methods"]] == [notification["id"]]
        with pytest.raises(RefusedError, match="last_method") as by_phone:
            await alice.phone.remove()
        assert by_phone.value.status == 409
        assert (await alice.begin()).body["state"] == "pending"


async def test_no_other_sign_in_opens_the_settings(desk: Office) -> None:
    async with scene(desk) as alice, desk.browser(SETTINGS, origin=desk.service.url) as page:
        elsewhere = Door(alice.browser, (await alice.approved()).token)
        pending = await page.begin(alice.user.username, PASSWORD)
        for door in (elsewhere, Door(page, pending.token)):
            for method, path in (("GET", ""), ("POST", "/devices"), ("DELETE", "/methods/mth_x")):
                refused = await door.send(method, path)
                assert (refused.status, refused.code) == (403, "fresh_sign_in_required")
        assert (await Door(page, "bt_unknown.x").send("GET", "")).code == "invalid_token"


async def test_the_settings_know_their_page_by_its_origin_and_nobody_vouches_there(desk: Office) -> None:
    async with scene(desk) as alice, desk.browser(SETTINGS, origin=desk.service.url) as page:
        vouched = await page.post_begin(username=alice.user.username)
        assert (vouched.status, vouched.code) == (400, "invalid_request")
        async with desk.browser(SETTINGS, origin="https://evil.example") as stranger:
            refused = await stranger.post_begin(username=alice.user.username, password=PASSWORD)
            assert refused.status in {401, 403}
        assert (await alice.phone.poll()).challenges == ()


async def test_a_password_alone_does_not_open_the_settings(desk: Office) -> None:
    user = await desk.person(state=UserState.DISABLED)
    async with desk.browser(SETTINGS, origin=desk.service.url) as page:
        sign_in = await page.begin(user.username, PASSWORD)
        assert sign_in.body["state"] == "approved"
        assert (await Door(page, sign_in.token).send("GET", "")).code == "fresh_sign_in_required"


async def test_adding_a_phone_twice_with_one_key_is_one_code(desk: Office) -> None:
    async with in_settings(desk) as (_, door):
        headers = {"Authorization": f"Bearer {door.token}", "Idempotency-Key": "0123456789abcdef"}
        first, again = [await door.browser.request("POST", "/v1/me/devices", headers=headers) for _ in range(2)]
        assert (first.status, again.status) == (201, 201)
        assert first.body == again.body
