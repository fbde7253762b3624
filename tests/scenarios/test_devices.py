"""A phone that asks by HTTP instead of keeping a socket, looks after itself, or comes twice."""

from __future__ import annotations

import asyncio

import pytest

from mobile_stub.errors import LineClosedError, RefusedError
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import Reach, Setup
from mobile_stub.wire import Outcome
from tests.scenarios.cast import closed_with, scene, soon
from tests.support.people import Office

POLLING = Setup(reach=Reach.POLL)


async def test_a_phone_that_polls_hears_of_a_sign_in_at_once_and_answers_by_http(desk: Office) -> None:
    user = await desk.person()
    async with await desk.phone(user, setup=POLLING) as phone, desk.browser() as browser:
        before = await phone.poll()
        assert before.challenges == ()
        waiting = asyncio.create_task(phone.poll(wait=60, after=before.version))
        sign_in = await browser.begin(user.username)
        listed = await soon(waiting)
        (asked,) = listed.challenges
        assert listed.version != before.version
        assert await soon(phone.answer_by_http(asked, Decision.VERIFY, sign_in.number)) is Outcome.COMPLETED
        assert await soon(phone.answer_by_http(asked, Decision.VERIFY, sign_in.number)) is Outcome.COMPLETED
        assert await soon(phone.answer_by_http(asked, Decision.DENY)) is Outcome.TOO_LATE
        assert (await soon(sign_in.outcome()))["state"] == "approved"
        assert (await soon(phone.poll(wait=60, after=listed.version))).challenges == ()


async def test_a_poll_without_after_or_with_another_version_is_answered_at_once(desk: Office) -> None:
    async with scene(desk) as alice, asyncio.timeout(20):
        _, (asked,) = await alice.asked()
        listed = await alice.phone.poll(wait=60)
        assert [each.id for each in listed.challenges] == [asked.id]
        assert [each.id for each in (await alice.phone.poll(wait=60, after=listed.version + 1)).challenges] == [
            asked.id
        ]
        assert (await alice.phone.poll(wait=1, after=listed.version)).version == listed.version


async def test_a_poll_that_would_wait_too_long_is_refused(desk: Office) -> None:
    async with scene(desk) as alice:
        with pytest.raises(RefusedError, match="invalid_request") as refused:
            await alice.phone.poll(wait=61)
        assert refused.value.status == 400


async def test_the_list_and_the_socket_show_the_same(desk: Office) -> None:
    async with scene(desk) as alice:
        _, (asked,) = await alice.asked(client={"ip": "203.0.113.7"})
        assert (await alice.phone.poll()).challenges == (asked,)


async def test_another_persons_challenge_is_as_unknown_as_one_that_never_was(desk: Office) -> None:
    async with scene(desk) as alice, scene(desk, app=alice.browser.app) as mallory:
        sign_in, (asked,) = await alice.asked()
        for challenge_id in (asked.id, "ch_unknown"):
            with pytest.raises(RefusedError, match="unknown_challenge") as refused:
                await mallory.phone.send_by_http(challenge_id, mallory.phone.sign(asked, Decision.DENY))
            assert refused.value.status == 404
        assert (await sign_in.look())["state"] == "pending"


async def test_a_phone_is_renamed_for_everyone_who_sees_its_name(desk: Office) -> None:
    async with scene(desk) as alice:
        assert (await alice.phone.rename("  My   new phone ")).name == "My new phone"
        assert (await alice.phone.device()).name == "My new phone"
        assert (await alice.begin(None)).body["challenge"]["target"] == "My new phone"
        for bad in ("", " ", "x" * 65, "\u200b"):
            with pytest.raises(RefusedError, match="invalid_request"):
                await alice.phone.rename(bad)


async def test_a_phone_that_removes_itself_is_asked_no_more_and_its_proofs_are_worthless(desk: Office) -> None:
    async with scene(desk, "Pixel", "Tablet") as alice:
        tablet = alice.phones[1]
        await tablet.remove()
        with pytest.raises(RefusedError, match="unknown_device") as refused:
            await tablet.device()
        assert refused.value.status == 401
        sign_in = await alice.begin(None)
        assert sign_in.body["challenge"]["target"] == "Pixel"
        assert await soon(closed_with(tablet)) == 4401


async def test_a_phone_removed_elsewhere_loses_its_socket(desk: Office) -> None:
    async with scene(desk, "Pixel", "Tablet") as alice:
        tablet = alice.phones[1]
        await tablet.disconnect()
        opened = asyncio.Event()
        closed = asyncio.create_task(closed_with(tablet, opened))
        await soon(opened.wait())
        await tablet.api.remove()
        assert await soon(closed) == 4401


async def test_a_newer_socket_of_the_same_phone_replaces_the_older_and_goes_on_with_what_is_asked(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        await alice.phone.disconnect()
        opened = asyncio.Event()
        older = asyncio.create_task(closed_with(alice.phone, opened))
        await soon(opened.wait())
        async with await Phone(alice.phone.identity).open() as newer:
            assert await soon(older) == 4409
            again = await soon(newer.next_challenge())
            assert again == asked
            assert await soon(newer.verify(again, number=sign_in.number)) is Outcome.COMPLETED


async def test_a_stub_phone_that_was_replaced_does_not_fight_for_its_socket(desk: Office) -> None:
    async with scene(desk) as alice, await Phone(alice.phone.identity).open() as newer:
        with pytest.raises(LineClosedError):
            await soon(alice.phone.next_challenge())
        sign_in = await alice.begin(None)
        assert (await soon(newer.next_challenge())).id == sign_in.body["challenge"]["id"]


async def test_a_phone_that_comes_back_is_shown_what_is_still_asked(desk: Office) -> None:
    async with scene(desk) as alice:
        await alice.phone.disconnect()
        sign_in = await alice.begin(None)
        await alice.phone.connect()
        asked = await soon(alice.phone.next_challenge())
        assert asked.id == sign_in.body["challenge"]["id"]


async def test_an_answer_whose_socket_broke_is_sent_again_and_gets_the_first_reply(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        number = sign_in.number  # the browser that is told the outcome shows none any more
        answer = asyncio.create_task(alice.phone.verify(asked, number=number))
        told = asyncio.create_task(sign_in.outcome())
        await asyncio.wait({answer, told}, return_when=asyncio.FIRST_COMPLETED)
        alice.phone.drop()
        assert await soon(answer) is Outcome.COMPLETED
        assert await soon(alice.phone.verify(asked, number=number)) is Outcome.COMPLETED
        assert (await soon(told))["state"] == "approved"


async def test_a_phone_with_a_wrong_clock_finds_its_way(desk: Office) -> None:
    user = await desk.person()
    async with await desk.phone(user, clock_skew=-3600.0) as phone, desk.browser() as browser:
        sign_in = await browser.begin(user.username)
        asked = await soon(phone.next_challenge())
        assert await soon(phone.verify(asked, number=sign_in.number)) is Outcome.COMPLETED
