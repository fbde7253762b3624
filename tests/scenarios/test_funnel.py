"""One sign-in leaves its mark at every hop of the funnel."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import MakeOffice, MakeService
from tests.support.people import PASSWORD
from tests.support.service import Service

PATIENCE = 60.0


async def figures(service: Service) -> dict[str, float]:
    """Every sample, summed over the processes, with the values of its labels, if they tell something here."""
    found: dict[str, float] = defaultdict(float)
    for process in service.each():
        async with process.session() as session, session.get("/metrics") as answer:
            text = await answer.text()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = [value for name, value in sample.labels.items() if name != "le" and value]
                found[" ".join([sample.name.removeprefix("push_service_"), *labels])] += sample.value
    return found


@pytest.mark.deployed("sqlite-1", "postgres-1")
async def test_every_hop_is_counted_and_timed(make_service: MakeService, make_office: MakeOffice) -> None:
    service = await make_service()
    desk = await make_office(service)
    alice = await desk.person()
    async with asyncio.timeout(PATIENCE), await desk.phone(alice) as phone, desk.browser() as browser:
        wrong = await browser.post_begin(username=alice.username, password="not hers at all")
        assert wrong.code == "invalid_credentials"
        sign_in = await browser.begin(alice.username, PASSWORD)
        challenge = await phone.next_challenge()
        while (await sign_in.changed())["challenge"]["delivery"] != "delivered":
            pass
        waiting = asyncio.create_task(sign_in.outcome())
        await phone.verify(challenge, number=sign_in.number)
        assert (await waiting)["state"] == "approved"
        found = await figures(service)
    for name in (
        "passwords_checked_total wrong",
        "passwords_checked_total right",
        "sign_ins_begun_total pending",
        "challenges_put_total app_notification",
        "prompts_sent_total",
        "prompt_sent_seconds_count",
        "prompts_received_total",
        "answers_total completed",
        "prompt_answered_seconds_count",
        "sign_in_outcomes_total approved",
        "browsers_told_total approved",
    ):
        assert found[name] == 1, name
    assert found["password_seconds_count"] == 2
    assert found["errors_answered_total invalid_credentials"] >= 1
    assert found["commit_seconds_count"] == found["commit_size_count"] == found["commit_wait_seconds_count"] > 0
    assert found["commit_size_sum"] >= found["decision_seconds_count"] > 0
    assert found["store_failures_total"] == found["begins_shed_total"] == 0
    assert found["begins_bound"] > found["begins_under_way"] == 0
