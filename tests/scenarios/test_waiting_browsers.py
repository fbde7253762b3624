"""Browsers that wait: by long-poll, by server-sent events, twice, too often, and across a restart of the service."""

from __future__ import annotations

import asyncio
import json

import pytest

from mobile_stub.wire import Outcome
from push_service.model.policy import MAX_WAITS
from tests.conftest import MakeOffice, MakeService
from tests.scenarios.cast import PATIENCE_SECONDS, closed_with, scene, soon
from tests.support.browser import Json
from tests.support.people import PASSWORD, Office


def truth(body: Json) -> Json:
    """What must not differ from one reading of an outcome to the next: signatures may, and a receipt may come late."""
    challenge = {name: value for name, value in body["challenge"].items() if name != "delivery"}
    return {**body, "challenge": challenge, "result": bool(body["result"])}


async def test_a_look_without_after_with_another_version_or_at_the_end_is_answered_at_once(desk: Office) -> None:
    async with scene(desk) as alice, asyncio.timeout(20):
        sign_in, (asked,) = await alice.asked()
        assert (await sign_in.look(wait=60))["state"] == "pending"
        assert (await sign_in.look(wait=60, after=sign_in.body["version"] + 1000))["state"] == "pending"
        await alice.phone.deny(asked)
        over = await soon(sign_in.outcome())
        assert (await sign_in.look(wait=60, after=over["version"]))["state"] == "denied"
        assert (await sign_in.look(after=over["version"]))["state"] == "denied"


async def test_a_wait_is_over_when_nothing_happens_and_tells_what_is_still_so(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, _ = await alice.asked()
        while (seen := await soon(sign_in.changed(1)))["challenge"]["delivery"] != "delivered":
            pass
        again = await soon(sign_in.changed(1))
        assert (again["version"], again["state"]) == (seen["version"], "pending")


async def test_delivery_is_a_change_that_the_browser_is_told(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, _ = await alice.asked()
        first = sign_in.body["version"]
        assert sign_in.body["challenge"]["delivery"] == "queued"
        while sign_in.body["challenge"]["delivery"] != "delivered":
            await soon(sign_in.changed())
        assert sign_in.body["version"] > first


@pytest.mark.parametrize(
    "query", ["wait=61", "wait=-1", "wait=x", "after=-1", "after=x", "wait=1.5", "wait=1&wait=2", "wait="]
)
async def test_a_wait_that_makes_no_sense_is_refused(desk: Office, query: str) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.begin(None)
        refused = await alice.browser.request("GET", f"/v1/sign-ins/{sign_in.id}?{query}", headers=sign_in.bearer)
        assert (refused.status, refused.code) == (400, "invalid_request")


async def test_unknown_query_parameters_are_ignored(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.begin(None)
        reply = await alice.browser.request("GET", f"/v1/sign-ins/{sign_in.id}?colour=blue", headers=sign_in.bearer)
        assert reply.status == 200


@pytest.mark.deployed("sqlite-1", "postgres-1")
async def test_of_nine_that_wait_one_is_refused_and_the_other_eight_are_told_at_once(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        while sign_in.body["challenge"]["delivery"] != "delivered":
            await soon(sign_in.changed())
        path = f"/v1/sign-ins/{sign_in.id}?wait=60&after={sign_in.body['version']}"
        async with asyncio.TaskGroup() as beside:
            waiting = {
                beside.create_task(alice.browser.request("GET", path, headers=sign_in.bearer))
                for _ in range(MAX_WAITS + 1)
            }
            refused, held = await soon(asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED))
            assert [(each.result().status, each.result().code) for each in refused] == [(429, "too_many_waits")]
            assert int(refused.pop().result().headers["Retry-After"]) >= 1
            assert (await sign_in.look())["state"] == "pending"
            assert await soon(alice.phone.verify(asked, number=sign_in.number)) is Outcome.COMPLETED
            replies = await soon(asyncio.gather(*held))
        assert [each.body["state"] for each in replies] == ["approved"] * MAX_WAITS


@pytest.mark.deployed("sqlite-1", "postgres-1")
async def test_browsers_that_went_away_free_their_places(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, _ = await alice.asked()
        while sign_in.body["challenge"]["delivery"] != "delivered":
            await soon(sign_in.changed())
        path, version = f"/v1/sign-ins/{sign_in.id}", sign_in.body["version"]
        waiting = {
            asyncio.create_task(alice.browser.request("GET", f"{path}?wait=60&after={version}", headers=sign_in.bearer))
            for _ in range(MAX_WAITS + 1)
        }
        refused, held = await soon(asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED))
        assert [each.result().status for each in refused] == [429]
        for each in held:
            each.cancel()
        await asyncio.wait(held)
        async with asyncio.timeout(PATIENCE_SECONDS):
            reply = refused.pop().result()
            while reply.status == 429:
                reply = await alice.browser.request("GET", f"{path}?wait=1&after={version}", headers=sign_in.bearer)
        assert reply.body["version"] == version


async def test_events_tell_every_version_from_the_present_one_to_the_final_one_and_end(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        seen: list[tuple[int, str]] = []

        async def follow() -> None:
            async for number, data in sign_in.events():
                body = json.loads(data)
                assert body["version"] == number
                assert "browser_token" not in body
                seen.append((number, body["state"]))
                if len(seen) == 1:
                    await alice.phone.verify(asked, number=sign_in.number)

        await soon(follow())
        numbers = [number for number, _ in seen]
        assert numbers == sorted(set(numbers))
        assert [state for _, state in seen] == ["pending"] * (len(seen) - 1) + ["approved"]


async def test_events_look_as_the_standard_says(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        await soon(alice.phone.deny(asked))
        path = f"/v1/sign-ins/{sign_in.id}/events"
        async with alice.browser.session.get(path, headers=sign_in.bearer) as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Request-Id"]
            lines = (await soon(response.text())).splitlines()
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        assert fields["event"] == "sign-in"
        assert json.loads(fields["data"])["version"] == int(fields["id"])


async def test_a_stream_taken_up_again_begins_after_the_event_that_was_seen_last(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        while sign_in.body["challenge"]["delivery"] != "delivered":
            await soon(sign_in.changed())
        stream = sign_in.events(last=sign_in.body["version"])
        following = asyncio.ensure_future(anext(stream))
        await soon(alice.phone.deny(asked))
        number, data = await soon(following)
        assert (json.loads(data)["state"], number > sign_in.body["version"]) == ("denied", True)
        assert [event async for event in stream] == []


async def test_a_final_event_that_was_seen_is_not_told_again_but_the_stream_ends(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        await soon(alice.phone.deny(asked))
        body = await soon(sign_in.outcome())

        async def rest() -> list[tuple[int, str]]:
            return [event async for event in sign_in.events(last=body["version"])]

        assert await soon(rest()) == []


async def test_a_browser_that_comes_back_twice_hears_the_same_truth(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.approved()
        first, second = await sign_in.look(), await sign_in.look(wait=30, after=0)
        assert truth(first) == truth(second)


async def test_one_wrong_answer_for_unknown_sign_ins_and_wrong_tokens(desk: Office) -> None:
    async with scene(desk) as alice, scene(desk, app=alice.browser.app) as bob:
        hers, his = await alice.begin(None), await bob.begin(None)
        for sign_in_id, token in (
            (hers.id, his.token),
            (hers.id, hers.token[:-1]),
            ("si_unknown", hers.token),
            ("si_" + "0" * 24, "bt_x"),
        ):
            for method, path in (
                ("GET", f"/v1/sign-ins/{sign_in_id}"),
                ("GET", f"/v1/sign-ins/{sign_in_id}/events"),
                ("DELETE", f"/v1/sign-ins/{sign_in_id}"),
            ):
                refused = await alice.browser.request(method, path, headers={"Authorization": f"Bearer {token}"})
                assert (refused.status, refused.code) == (401, "invalid_token")
        assert (await hers.look())["state"] == "pending"


async def test_a_killed_service_tells_after_its_restart_what_it_had_acknowledged(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service()
    desk = await make_office(service)
    async with scene(desk) as alice:
        done = await alice.approved()
        before = await done.look()
        open_one, (asked,) = await alice.asked(PASSWORD)
        await service.kill()
        await service.start()
        async with service.session() as session:
            done.browser.session, open_one.browser.session = session, session
            after = await done.look()
            assert truth(after) == truth(before)
            body = await open_one.look()
            assert (body["state"], body["challenge"]["id"]) == ("pending", asked.id)
            assert body["challenge"]["prompt"]["number"] == open_one.number
            assert await soon(alice.phone.verify(asked, number=open_one.number)) is Outcome.COMPLETED
            assert (await soon(open_one.outcome()))["result"]


async def test_a_service_asked_to_end_answers_who_waits_sends_sockets_away_and_ends_well(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service()
    desk = await make_office(service)
    async with scene(desk, "Pixel", "Tablet") as alice:
        sign_in, (asked, _) = await alice.asked(PASSWORD)
        while sign_in.body["challenge"]["delivery"] != "delivered":
            await soon(sign_in.changed())
        version = sign_in.body["version"]
        await alice.phones[1].disconnect()
        browser = asyncio.create_task(sign_in.look(wait=60, after=version))
        listed = await alice.phone.poll()
        phone = asyncio.create_task(alice.phone.poll(wait=60, after=listed.version))
        reason = asyncio.create_task(closed_with(alice.phones[1]))
        await soon(sign_in.changed(1))  # one round trip later the two others wait as well
        assert await service.stop() == 0
        held = await soon(browser)
        assert (held["state"], held["version"]) == ("pending", version)
        assert [each.id for each in (await soon(phone)).challenges] == [asked.id]
        assert await soon(reason) == 1012
        await service.start()
        await soon(alice.phone.prompts.connected.wait())
        async with service.session() as session:
            sign_in.browser.session = session
            assert await soon(alice.phone.verify(asked, number=sign_in.number)) is Outcome.COMPLETED
            assert (await soon(sign_in.outcome()))["state"] == "approved"
