"""What a browser may do to its own sign-in besides waiting: say the same twice, ask again, cancel."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from mobile_stub.wire import Outcome, WithdrawalReason
from tests.scenarios.cast import scene, soon
from tests.support.people import PASSWORD, Office


def key() -> dict[str, str]:
    """A fresh Idempotency-Key."""
    return {"Idempotency-Key": secrets.token_urlsafe(18)}


async def test_a_begin_sent_again_with_its_key_gets_the_same_answer_and_asks_once(desk: Office) -> None:
    async with scene(desk) as alice:
        headers = key()
        first = await alice.browser.post_begin(headers, username=alice.user.username, password=PASSWORD)
        again = await alice.browser.post_begin(headers, username=alice.user.username, password=PASSWORD)
        assert (first.status, again.status) == (201, 201)
        assert first.body == again.body
        asked = await soon(alice.phone.next_challenge())
        assert asked.id == first.body["challenge"]["id"]
        assert [each.id for each in (await alice.phone.poll()).challenges] == [asked.id]


async def test_a_key_with_another_body_is_refused(desk: Office) -> None:
    async with scene(desk) as alice, scene(desk, app=alice.browser.app) as bob:
        headers = key()
        await alice.browser.post_begin(headers, username=alice.user.username)
        refused = await alice.browser.post_begin(headers, username=bob.user.username)
        assert (refused.status, refused.code) == (422, "idempotency_key_reused")
        assert (await bob.phone.poll()).challenges == ()


async def test_twenty_begins_at_once_with_one_key_are_one_sign_in(desk: Office) -> None:
    async with scene(desk) as alice:
        headers = key()
        replies = await asyncio.gather(
            *(alice.browser.post_begin(headers, username=alice.user.username) for _ in range(20))
        )
        assert {each.status for each in replies} == {201}
        assert all(each.body == replies[0].body for each in replies)
        assert len((await alice.phone.poll()).challenges) == 1


async def test_a_key_belongs_to_one_application_only(desk: Office) -> None:
    other = await desk.application("Fabrikam")
    async with scene(desk) as alice, desk.browser(other) as elsewhere:
        headers = key()
        first = await alice.browser.post_begin(headers, username=alice.user.username)
        second = await elsewhere.post_begin(headers, username=alice.user.username)
        assert (first.status, second.status) == (201, 201)
        assert first.body["id"] != second.body["id"]


@pytest.mark.parametrize("bad", ["short", "x" * 129, "with spaces in between"])
async def test_a_key_of_the_wrong_form_is_refused_before_anything_happens(desk: Office, bad: str) -> None:
    async with scene(desk) as alice:
        refused = await alice.browser.post_begin({"Idempotency-Key": bad}, username=alice.user.username)
        assert (refused.status, refused.code) == (400, "invalid_request")
        assert (await alice.phone.poll()).challenges == ()


async def test_a_refusal_is_not_kept_the_same_key_may_succeed_later(desk: Office) -> None:
    async with scene(desk) as alice:
        headers, standing = key(), [await alice.begin(None) for _ in range(3)]
        refused = await alice.browser.post_begin(headers, username=alice.user.username)
        assert refused.code == "too_many_pending"
        await standing[0].cancel()
        assert (await alice.browser.post_begin(headers, username=alice.user.username)).status == 201


async def test_the_same_method_again_means_send_again_with_a_new_challenge(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        former = sign_in.body["challenge"]
        reply = await sign_in.choose(former["method_id"], instead_of=former["id"])
        assert reply.status == 201
        challenge = reply.body["challenge"]
        assert challenge["id"] != former["id"]
        assert challenge["state"] == "pending"
        assert reply.body["version"] > sign_in.body["version"]
        assert reply.body["expires_at"] >= sign_in.body["expires_at"]
        withdrawn = await soon(alice.phone.next_withdrawal())
        assert (withdrawn.challenge_id, withdrawn.reason) == (asked.id, WithdrawalReason.REPLACED)
        again = await soon(alice.phone.next_challenge())
        assert again.id == challenge["id"]
        assert await soon(alice.phone.verify(asked, number=former["prompt"]["number"])) is Outcome.TOO_LATE
        assert await soon(alice.phone.verify(again, number=challenge["prompt"]["number"])) is Outcome.COMPLETED
        assert (await soon(sign_in.outcome()))["state"] == "approved"


async def test_instead_of_a_challenge_that_is_not_pending_any_more_is_refused(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.begin(None)
        former = sign_in.body["challenge"]
        assert (await sign_in.choose(former["method_id"])).status == 201
        for stale in (former["id"], "ch_unknown"):
            refused = await sign_in.choose(former["method_id"], instead_of=stale)
            assert (refused.status, refused.code) == (409, "challenge_changed")


async def test_two_tabs_that_switch_at_once_lead_to_one_pending_challenge(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.begin(None)
        former = sign_in.body["challenge"]
        replies = await asyncio.gather(*(sign_in.choose(former["method_id"], former["id"]) for _ in range(4)))
        assert sorted(each.status for each in replies) == [201, 409, 409, 409]
        assert len((await alice.phone.poll()).challenges) == 1


async def test_sending_again_with_a_key_is_one_challenge(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.begin(None)
        body = {"method_id": sign_in.body["challenge"]["method_id"]}
        headers = sign_in.bearer | key()
        path = f"/v1/sign-ins/{sign_in.id}/challenges"
        first = await alice.browser.request("POST", path, headers=headers, json=body)
        again = await alice.browser.request("POST", path, headers=headers, json=body)
        assert first.status == 201
        assert first.body == again.body


async def test_a_method_that_is_not_the_persons_is_unknown(desk: Office) -> None:
    async with scene(desk) as alice, scene(desk, app=alice.browser.app) as bob:
        hers, his = await alice.begin(None), await bob.begin(None)
        for method in (his.body["challenge"]["method_id"], "mth_unknown"):
            refused = await hers.choose(method)
            assert (refused.status, refused.code) == (404, "unknown_method")
        assert (await hers.look())["challenge"]["state"] == "pending"


async def test_a_code_is_refused_where_none_is_due_and_its_form_before_that(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.begin(None)
        path = f"/v1/sign-ins/{sign_in.id}/code"
        none_due = await alice.browser.request("POST", path, headers=sign_in.bearer, json={"code": "123456"})
        assert (none_due.status, none_due.code) == (409, "no_code_due")
        for bad, pointer in (
            ({"code": 123456}, "/code"),
            ({"code": "123456", "a/b": 1}, "/a~1b"),
        ):
            malformed = await alice.browser.request("POST", path, headers=sign_in.bearer, json=bad)
            assert (malformed.status, malformed.code) == (400, "invalid_request")
            assert pointer in [each["pointer"] for each in malformed.body["errors"]]
        await sign_in.cancel()
        late = await alice.browser.request("POST", path, headers=sign_in.bearer, json={"code": "123456"})
        assert (late.status, late.code, late.body["state"]) == (409, "too_late", "withdrawn")


async def test_cancelling_twice_is_the_same_and_the_phone_is_told_once(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        first, again = await sign_in.cancel(), await sign_in.cancel()
        assert (first.status, again.status) == (200, 200)
        assert first.body == again.body
        assert (first.body["state"], first.body["reason"]) == ("withdrawn", "cancelled")
        withdrawn = await soon(alice.phone.next_withdrawal())
        assert (withdrawn.challenge_id, withdrawn.reason) == (asked.id, WithdrawalReason.CANCELLED)
        assert await soon(alice.phone.verify(asked, number=sign_in.number)) is Outcome.TOO_LATE
        assert len(alice.phone.prompts.withdrawn) == 0


async def test_whatever_is_over_can_neither_be_cancelled_nor_asked_again(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.approved()
        cancelled = await sign_in.cancel()
        assert (cancelled.status, cancelled.code, cancelled.body["state"]) == (409, "too_late", "approved")
        again = await sign_in.choose(sign_in.body["challenge"]["method_id"])
        assert (again.status, again.code, again.body["state"]) == (409, "too_late", "approved")
