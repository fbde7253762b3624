"""A fraud report before, at the same time as, and after the approval: S-16."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from mobile_stub.proofs import Decision
from mobile_stub.wire import Outcome
from tests.support.people import Office

from .support import (
    POLLING,
    scene,
)


@pytest.mark.security("S-16")
async def test_a_fraud_report_ends_everything_of_the_person_and_mutes_prompts(desk: Office) -> None:
    async with scene(desk) as stage:
        (one, first), (two, _) = await stage.ask(), await stage.ask()
        assert await stage.phone.answer_by_http(first, Decision.REPORT_FRAUD) is Outcome.FRAUD_REPORTED
        assert [(each["state"], each["reason"]) for each in (await one.look(), await two.look())] == [
            ("denied", "fraud_reported"),
            ("withdrawn", "fraud_reported"),
        ]
        assert 0 < await stage.browser.muted_for(stage.user.username) <= 1200
        assert [each.sign_in_id for each in stage.audit() if each.kind == "fraud.reported"] == [one.id]
        # An administrator can lift the mute.
        await desk.core.administrator.unblock(stage.user.username)
        assert (await stage.browser.begin(stage.user.username)).body["state"] == "pending"


@pytest.mark.security("S-16")
async def test_a_fraud_report_after_the_approval_takes_the_result_back(desk: Office) -> None:
    async with scene(desk) as stage, await desk.phone(stage.user, "Second", setup=POLLING) as second:
        sign_in, challenge = await stage.ask()
        assert await second.answer_by_http(challenge, Decision.VERIFY, sign_in.number) is Outcome.COMPLETED
        assert (await sign_in.outcome())["result"]
        late = await stage.post(challenge.id, stage.phone.sign(challenge, Decision.REPORT_FRAUD))
        assert (late.status, late.code) == (409, "too_late")
        assert (late.body["state"], late.body["reported"]) == ("approved", True)
        now = await sign_in.look()
        assert (now["state"], now["result"]) == ("approved", None)
        assert await stage.browser.muted_for(stage.user.username) > 0
        assert [each.source for each in stage.audit() if each.kind == "fraud.reported"] == [stage.phone.device_id]


@pytest.mark.security("S-16")
async def test_a_fraud_report_at_the_same_time_as_an_approval_leaves_one_outcome_and_no_usable_result(
    desk: Office,
) -> None:
    states = set()
    for turn in range(6):
        async with scene(desk) as stage, await desk.phone(stage.user, "Second", setup=POLLING) as second:
            sign_in, challenge = await stage.ask()
            approve: Awaitable[object] = stage.phone.send_by_http(
                challenge.id, stage.phone.sign(challenge, Decision.VERIFY, sign_in.number)
            )
            report: Awaitable[object] = second.send_by_http(challenge.id, second.sign(challenge, Decision.REPORT_FRAUD))
            await asyncio.gather(*((approve, report) if turn % 2 else (report, approve)))
            final = await sign_in.outcome()
            states.add(final["state"])
            assert final["state"] in {"approved", "denied"}
            assert final.get("result") is None
            outcomes = [each for each in stage.audit() if each.kind == "sign_in.outcome"]
            assert [each.code for each in outcomes] == [final["state"]]
            assert len([each for each in stage.audit() if each.kind == "fraud.reported"]) == 1
            assert await stage.browser.muted_for(stage.user.username) > 0
    assert states
