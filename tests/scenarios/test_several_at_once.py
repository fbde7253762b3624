"""Several phones and several sign-ins of one person at once: who is asked, who decides, and how many there may be."""

from __future__ import annotations

import asyncio

import pytest

from mobile_stub.errors import RefusedError
from mobile_stub.proofs import Decision
from mobile_stub.wire import Outcome, WithdrawalReason
from push_service.model.policy import Policy
from tests.scenarios.cast import scene, soon
from tests.support.people import PASSWORD, Office

LIMIT = Policy().pending_per_person


async def test_all_phones_are_asked_the_first_answer_wins_and_only_the_others_are_told(desk: Office) -> None:
    async with scene(desk, "Pixel", "Tablet", "Old phone") as alice:
        sign_in, (first, second, third) = await alice.asked()
        assert first.id == second.id == third.id
        assert first.context == second.context == third.context
        pixel, tablet, old = alice.phones
        assert await soon(tablet.verify(second, number=sign_in.number)) is Outcome.COMPLETED
        for phone in (pixel, old):
            withdrawn = await soon(phone.next_withdrawal())
            assert (withdrawn.challenge_id, withdrawn.reason) == (first.id, WithdrawalReason.ANSWERED_ELSEWHERE)
        assert await soon(old.deny(third)) is Outcome.TOO_LATE
        assert (await soon(sign_in.outcome()))["state"] == "approved"
        # The tablet's socket is in order: what comes next on it is the next prompt, not a withdrawal of its own.
        _, (_, following, _) = await alice.asked()
        assert following.id != first.id
        assert len(tablet.prompts.withdrawn) == 0


async def test_an_answer_that_is_not_valid_leaves_the_decision_to_another_phone(desk: Office) -> None:
    async with scene(desk, "Pixel", "Tablet") as alice:
        sign_in, (first, second) = await alice.asked()
        forged = alice.phones[1].sign(first, Decision.VERIFY, number=sign_in.number)
        with pytest.raises(RefusedError, match="invalid_answer"):
            await soon(alice.phone.send(first.id, forged))
        assert await soon(alice.phones[1].verify(second, number=sign_in.number)) is Outcome.COMPLETED


async def test_each_pending_sign_in_has_a_number_of_its_own_and_is_answered_by_it(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_ins = [await alice.begin(None) for _ in range(LIMIT)]
        assert len({each.number for each in sign_ins}) == LIMIT
        assert len({each.id for each in sign_ins}) == LIMIT
        asked = [await soon(alice.phone.next_challenge()) for _ in sign_ins]
        by_challenge = {each.body["challenge"]["id"]: each for each in sign_ins}
        for challenge in reversed(asked):
            number = by_challenge[challenge.id].number
            assert await soon(alice.phone.verify(challenge, number=number)) is Outcome.COMPLETED
        assert [(await soon(each.outcome()))["state"] for each in sign_ins] == ["approved"] * LIMIT


async def test_one_more_than_allowed_is_refused_with_a_time_and_there_is_room_again_after_an_end(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_ins = [await alice.begin(None) for _ in range(LIMIT)]
        refused = await alice.browser.post_begin(username=alice.user.username, password=PASSWORD)
        assert (refused.status, refused.code) == (429, "too_many_pending")
        assert int(refused.headers["Retry-After"]) > 0
        assert [(await each.look())["state"] for each in sign_ins] == ["pending"] * LIMIT
        assert (await sign_ins[0].cancel()).status == 200
        await alice.begin(None)


async def test_of_many_begins_at_once_exactly_as_many_as_allowed_get_in(desk: Office) -> None:
    async with scene(desk) as alice:
        replies = await asyncio.gather(*(alice.browser.post_begin(username=alice.user.username) for _ in range(12)))
        assert sorted(each.status for each in replies) == [201] * LIMIT + [429] * (12 - LIMIT)
        assert {each.code for each in replies if each.status == 429} == {"too_many_pending"}


async def test_a_browser_that_begins_again_replaces_its_own_former_sign_in_and_its_prompt(desk: Office) -> None:
    async with scene(desk) as alice:
        former, (asked,) = await alice.asked()
        other, _ = await alice.asked()
        newer, (again,) = await alice.asked(replaces=former.token)
        withdrawn = await soon(alice.phone.next_withdrawal())
        assert (withdrawn.challenge_id, withdrawn.reason) == (asked.id, WithdrawalReason.REPLACED)
        body = await former.look()
        assert (body["state"], body["reason"]) == ("withdrawn", "replaced")
        assert (body["challenge"]["state"], body["challenge"]["reason"]) == ("withdrawn", "replaced")
        assert (await other.look())["state"] == "pending"
        assert await soon(alice.phone.verify(again, number=newer.number)) is Outcome.COMPLETED


async def test_replacing_makes_room_under_the_limit(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_ins = [await alice.begin(None) for _ in range(LIMIT)]
        newer = await alice.begin(None, replaces=sign_ins[0].token)
        assert (await sign_ins[0].look())["reason"] == "replaced"
        assert (await newer.look())["state"] == "pending"


async def test_a_browser_may_replace_its_sign_in_by_one_of_another_person(desk: Office) -> None:
    async with scene(desk) as alice, scene(desk, app=alice.browser.app) as bob:
        former, (asked,) = await alice.asked()
        newer = await bob.begin(None, replaces=former.token)
        withdrawn = await soon(alice.phone.next_withdrawal())
        assert (withdrawn.challenge_id, withdrawn.reason) == (asked.id, WithdrawalReason.REPLACED)
        body = await former.look()
        assert (body["state"], body["reason"]) == ("withdrawn", "replaced")
        assert (await newer.look())["state"] == "pending"


async def test_an_unknown_token_or_one_of_something_over_replaces_nothing_and_does_not_disturb(desk: Office) -> None:
    async with scene(desk) as alice:
        standing = await alice.begin(None)
        over = await alice.begin(None)
        assert (await over.cancel()).status == 200
        guessed = standing.token[:-4] + "AAAA"
        for token in (over.token, guessed, "x"):
            newer = await alice.begin(None, replaces=token)
            assert (await newer.cancel()).status == 200
        assert (await standing.look())["state"] == "pending"
        assert (await over.look())["reason"] == "cancelled"
