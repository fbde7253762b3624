"""What is changed about how a person verifies is told on another way than it was changed by: a text to their phone."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from push_service.model.challenge import MethodKind
from tests.scenarios.cast import PATIENCE_SECONDS, in_settings
from tests.support.people import Office
from tests.support.telephony import Company, give_phone

_numbers = itertools.count(1_632_960_501)


@pytest.mark.security("S-58", "S-61")
async def test_every_change_is_told_on_the_persons_phone(calling: Office, company: Company) -> None:
    number = f"+44{next(_numbers)}"

    async def is_told(sentence: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any(sentence in each for each in await company.texts(number)):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

    async with in_settings(calling) as (alice, door):
        await give_phone(calling, alice.user, MethodKind.TEXT_MOBILE, number)
        tablet = await calling.phone(alice.user, "Tablet")
        await is_told("was added to your account")
        (method,) = [
            each["id"]
            for each in (await door.me())["methods"]
            if (each["target"], each["method"]) == ("Tablet", "app_notification")
        ]
        await tablet.aclose()
        assert (await door.send("DELETE", f"/methods/{method}")).status == 204
        await is_told("was removed from your account")
        assert (await door.send("POST", "/app-passwords", {"name": "Mail"})).status == 201
        await is_told("An app password was made")
        await calling.core.recovery.issue_bypass(alice.user, 10, "lost phone", "the help desk")
        await is_told("An administrator let you sign in once")
