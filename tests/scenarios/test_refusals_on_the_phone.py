"""What the phone says other than yes: no, a wrong number, "This wasn't me"; and what that does to what comes after."""

from __future__ import annotations

import asyncio

import pytest

from mobile_stub.proofs import Decision
from mobile_stub.wire import Outcome, WithdrawalReason
from tests.scenarios.cast import scene, soon
from tests.support.people import PASSWORD, Office


def wrong(number: str) -> str:
    """Another number of the same length."""
    return f"{(int(number) + 1) % 10 ** len(number):0{len(number)}d}"


async def test_deny_ends_the_sign_in_and_all_other_phones_stop_asking(desk: Office) -> None:
    async with scene(desk, "Pixel", "Tablet") as alice:
        sign_in, (asked, _) = await alice.asked()
        assert await soon(alice.phone.deny(asked)) is Outcome.DENIED
        body = await soon(sign_in.outcome())
        assert (body["state"], body["reason"]) == ("denied", "denied_on_phone")
        assert (body["challenge"]["state"], body["challenge"]["reason"]) == ("denied", "denied_on_phone")
        assert "result" not in body
        withdrawn = await soon(alice.phones[1].next_withdrawal())
        assert (withdrawn.challenge_id, withdrawn.reason) == (asked.id, WithdrawalReason.ANSWERED_ELSEWHERE)


async def test_nothing_is_sent_again_after_a_denial(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        await soon(alice.phone.deny(asked))
        body = await soon(sign_in.outcome())
        listed = await alice.phone.poll()
        assert listed.challenges == ()
        refused = await sign_in.choose(body["challenge"]["method_id"])
        assert (refused.status, refused.code, refused.body["state"]) == (409, "too_late", "denied")
        # The very next prompt on the line is the next sign-in's: nothing came in between.
        following, (next_asked,) = await alice.asked()
        assert next_asked.id == following.body["challenge"]["id"]
        assert (await alice.phone.poll(after=listed.version, wait=0)).challenges[0].id == next_asked.id


async def test_a_wrong_number_spoils_the_sign_in_and_a_right_one_afterwards_is_too_late(desk: Office) -> None:
    async with scene(desk, "Pixel", "Tablet") as alice:
        sign_in, (asked, same) = await alice.asked()
        assert await soon(alice.phone.verify(asked, number=wrong(sign_in.number))) is Outcome.WRONG_NUMBER
        body = await soon(sign_in.outcome())
        assert (body["state"], body["reason"]) == ("failed", "wrong_number")
        assert (body["challenge"]["state"], body["challenge"]["reason"]) == ("failed", "wrong_number")
        tablet = alice.phones[1]
        reply = await soon(tablet.send(same.id, tablet.sign(same, Decision.VERIFY, sign_in.number)))
        assert (reply.outcome, reply.state) == (Outcome.TOO_LATE, "failed")


async def test_the_same_wrong_answer_again_gets_the_same_reply_and_counts_once(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        number = wrong(sign_in.number)
        assert await soon(alice.phone.answer_by_http(asked, Decision.VERIFY, number)) is Outcome.WRONG_NUMBER
        version = (await sign_in.look())["version"]
        assert await soon(alice.phone.answer_by_http(asked, Decision.VERIFY, number)) is Outcome.WRONG_NUMBER
        assert await soon(alice.phone.answer(asked, Decision.VERIFY, number)) is Outcome.WRONG_NUMBER
        assert (await sign_in.look())["version"] == version


async def test_this_was_not_me_ends_everything_pending_and_mutes_the_phones(desk: Office) -> None:
    async with scene(desk, "Pixel", "Tablet") as alice:
        sign_in, (asked, _) = await alice.asked()
        other, (other_asked, _) = await alice.asked()
        assert await soon(alice.phone.report_fraud(asked)) is Outcome.FRAUD_REPORTED
        body, other_body = await soon(sign_in.outcome()), await soon(other.outcome())
        assert (body["state"], body["reason"]) == ("denied", "fraud_reported")
        assert (other_body["state"], other_body["reason"]) == ("withdrawn", "fraud_reported")
        told = {(await soon(alice.phones[1].next_withdrawal())).challenge_id for _ in range(2)}
        assert told == {asked.id, other_asked.id}
        # The phone that reported is told of the other sign-in only: its own answer needs no withdrawal.
        assert (await soon(alice.phone.next_withdrawal())).challenge_id == other_asked.id
        assert await alice.browser.muted_for(alice.user.username, PASSWORD) > 0
        assert (await alice.phone.poll()).challenges == ()


async def test_a_report_after_the_outcome_is_heard_and_the_result_is_no_longer_handed_out(desk: Office) -> None:
    async with scene(desk, "Pixel", "Tablet") as alice:
        sign_in, (asked, same) = await alice.asked(PASSWORD)
        assert await soon(alice.phone.verify(asked, number=sign_in.number)) is Outcome.COMPLETED
        assert (await soon(sign_in.outcome()))["result"]
        tablet = alice.phones[1]
        reply = await soon(tablet.send(same.id, tablet.sign(same, Decision.REPORT_FRAUD)))
        assert (reply.outcome, reply.state, reply.reported) == (Outcome.TOO_LATE, "approved", True)
        body = await sign_in.look()
        assert (body["state"], body["result"]) == ("approved", None)
        assert await alice.browser.muted_for(alice.user.username, PASSWORD) > 0


async def test_a_late_report_over_http_is_a_problem_document_that_says_so(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in, (asked,) = await alice.asked()
        assert (await sign_in.cancel()).status == 200
        reply = await soon(alice.phone.send_by_http(asked.id, alice.phone.sign(asked, Decision.REPORT_FRAUD)))
        assert (reply.outcome, reply.state, reply.reported) == (Outcome.TOO_LATE, "withdrawn", True)


async def test_five_prompts_without_success_are_all_that_five_minutes_allow(desk: Office) -> None:
    async with scene(desk) as alice:
        for _ in range(5):
            assert (await (await alice.begin(None)).cancel()).status == 200
        assert 1 <= await alice.browser.muted_for(alice.user.username, PASSWORD) <= 300


async def test_a_success_forgets_the_prompts_before_it(desk: Office) -> None:
    async with scene(desk) as alice:
        for _ in range(4):
            sign_in, _ = await alice.asked()
            assert (await sign_in.cancel()).status == 200
        await alice.approved()
        for _ in range(5):
            assert (await (await alice.begin(None)).cancel()).status == 200


async def test_asking_again_counts_as_a_prompt_too(desk: Office) -> None:
    async with scene(desk) as alice:
        sign_in = await alice.begin(None)
        method = sign_in.body["challenge"]["method_id"]
        for _ in range(4):
            assert (await sign_in.choose(method)).status == 201
        refused = await sign_in.choose(method)
        assert (refused.status, refused.code) == (429, "too_many_prompts")
        assert int(refused.headers["Retry-After"]) > 0
        assert (await sign_in.look())["state"] == "pending"


@pytest.mark.parametrize("decision", list(Decision))
async def test_whatever_is_said_first_holds_against_everything_said_at_the_same_moment(
    desk: Office, decision: Decision
) -> None:
    async with scene(desk, "Pixel", "Tablet") as alice:
        sign_in, (asked, same) = await alice.asked()
        others = (each for each in Decision if each is not decision)
        number = sign_in.number
        outcomes = await soon(
            asyncio.gather(
                alice.phone.answer(asked, decision, number if decision is Decision.VERIFY else None),
                *(alice.phones[1].answer(same, each, number if each is Decision.VERIFY else None) for each in others),
            )
        )
        assert len([each for each in outcomes if each is not Outcome.TOO_LATE]) == 1
        state = (await soon(sign_in.outcome()))["state"]
        assert state == ("approved" if Outcome.COMPLETED in outcomes else "denied")
