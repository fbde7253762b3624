"""The main job: a person signs in, the phone asks, they type the number, the browser is told."""

from __future__ import annotations

import asyncio

from push_service.model.user import UserState
from tests.support.people import PASSWORD, Office


async def test_a_person_types_the_number_on_the_phone_and_the_waiting_browser_is_signed_in(desk: Office) -> None:
    alice = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(alice) as phone, desk.browser() as browser:
        sign_in = await browser.begin(alice.username, PASSWORD)
        async with asyncio.timeout(20):
            challenge = await phone.next_challenge()
            told = asyncio.create_task(sign_in.outcome())
            await phone.verify(challenge, number=sign_in.number)
            body = await told
    assert (body["state"], body["reason"]) == ("approved", None)
    assert body["result"]
