"""One sign-in is followed through the logs of all processes by its id, from begin to told."""

from __future__ import annotations

import asyncio
import json

from tests.conftest import MakeOffice, MakeService
from tests.scenarios.cast import soon
from tests.support.browser import Browser, SignIn
from tests.support.people import PASSWORD
from tests.support.service import Service

WHOLE = {"sign_in.begun", "prompt.sent", "prompt.received", "sign_in.outcome", "answer.taken", "browser.told"}


def said_of(sign_in: SignIn, process: Service) -> set[str]:
    """The events in this process's log that name the sign-in."""
    lines = [json.loads(line) for line in process.log.splitlines()]
    return {line["event"] for line in lines if line.get("sign_in_id") == sign_in.id}


async def test_a_sign_in_is_followed_by_its_id_through_the_processes_that_it_passed(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(LOG_LEVEL="debug")
    desk = await make_office(service)
    alice = await desk.person("Alice Liddell")
    application = await desk.application()
    first, last = service.each()[0], service.each()[-1]
    async with await desk.phone(alice) as phone, first.session() as begins, last.session() as waits:
        sign_in = await soon(Browser(begins, application).begin(alice.username, PASSWORD))
        elsewhere = SignIn(Browser(waits, application), sign_in.body)
        challenge = await soon(phone.next_challenge())
        waiting = asyncio.create_task(elsewhere.outcome())
        await soon(phone.verify(challenge, number=sign_in.number))
        assert (await soon(waiting))["state"] == "approved"
    await service.stop()  # whatever was to be said is said then
    told = [said_of(sign_in, each) for each in service.each()]
    assert set().union(*told) == WHOLE
    assert "sign_in.begun" in told[0]
    assert "browser.told" in told[-1]
    assert sum("sign_in.outcome" in each for each in told) == 1
    assert not any(secret in service.log for secret in (PASSWORD, sign_in.token, "Liddell"))
