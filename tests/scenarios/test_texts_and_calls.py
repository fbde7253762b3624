"""A person's phone gets a text, or rings; whatever they do with it, the waiting browser hears of it."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from mobile_stub.carrier_calls import CallState, StubCall
from mobile_stub.carrier_faults import Fault, FaultKind
from mobile_stub.world import World, world
from push_service.model.challenge import MethodKind
from push_service.model.user import UserState
from tests.support.browser import SignIn
from tests.support.people import PASSWORD, Office, office
from tests.support.service import Service
from tests.support.telephony import give_phone, telephony_settings
from tests.support.waking import until_delivery

PATIENCE_SECONDS = 60.0
_numbers = itertools.count(1632960001)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.deployed("sqlite-1")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def company() -> AsyncIterator[World]:
    async with world(pace=None) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(company: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """The operator beside a server that sends texts and places calls."""
    service = Service(
        tmp_path_factory.mktemp("telephony"), TELEPHONY__MACHINE_DETECTION="true", **telephony_settings(company)
    )
    await service.start()
    async with office(service) as opened:
        yield opened
    assert await service.stop() == 0


class Story:
    """A person, their number, and the browser that they sign in with."""

    def __init__(self, company: World, number: str, sign_in: SignIn) -> None:
        self.handset, self.number, self.sign_in = company.carrier.handset(number), number, sign_in

    async def rings(self) -> StubCall:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.handset.next_call()

    async def challenge_ends(self) -> tuple[str, str | None]:
        """State and reason of the challenge, once it has ended while the sign-in goes on."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (challenge := self.sign_in.body["challenge"])["state"] == "pending":
                await self.sign_in.changed()
        return challenge["state"], challenge["reason"]

    async def outcome(self) -> tuple[str, str | None]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            body = await self.sign_in.outcome()
        return body["state"], body["reason"]


class Asker(Protocol):
    """Begins a sign-in of a new person with such a phone."""

    async def __call__(self, kind: MethodKind, extension: str = "", fault: Fault | None = None) -> Story: ...


@pytest_asyncio.fixture(loop_scope="module")
async def asked(company: World, desk: Office) -> AsyncIterator[Asker]:
    """Begins a sign-in of a new person with such a phone."""
    async with desk.browser() as browser:

        async def ask(kind: MethodKind, extension: str = "", fault: Fault | None = None) -> Story:
            number = f"+44{next(_numbers)}"
            if fault is not None:
                fault.to = number
                company.carrier.faults.add(fault)
            person = await desk.person(state=UserState.ENFORCED)
            await give_phone(desk, person, kind, number + (f";ext={extension}" if extension else ""))
            return Story(company, number, await browser.begin(person.username, PASSWORD))

        yield ask
    company.carrier.faults.clear()


async def test_a_text_brings_one_code_and_the_page_says_that_it_was_delivered(asked: Asker) -> None:
    story = await asked(MethodKind.TEXT_MOBILE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        text = await story.handset.next_text()
    assert len(re.findall(r"\d+", text.body)) == 1
    await until_delivery(story.sign_in, "delivered")
    assert story.sign_in.body["state"] == "pending"


async def test_a_person_answers_presses_hash_and_is_signed_in(asked: Asker) -> None:
    story = await asked(MethodKind.CALL_MOBILE)
    call = await story.rings()
    call.answer()
    assert "press the pound key" in await call.asks()
    call.press("#")
    assert await story.outcome() == ("approved", None)
    assert await call.over() is CallState.COMPLETED
    assert "You are verified" in call.said[-1]


async def test_an_office_phone_is_reached_by_its_extension(asked: Asker) -> None:
    story = await asked(MethodKind.CALL_OFFICE, extension="123")
    call = await story.rings()
    assert call.wanted.dialled == "123"
    call.answer()
    await call.asks()
    call.press("#")
    assert await story.outcome() == ("approved", None)


async def test_a_phone_that_nobody_waits_for_any_more_stops_ringing(asked: Asker) -> None:
    story = await asked(MethodKind.CALL_MOBILE)
    call = await story.rings()
    await until_delivery(story.sign_in, "sent")
    assert (await story.sign_in.cancel()).status == 200
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await call.over() is CallState.CANCELED


@pytest.mark.security("S-16", "S-46")
@pytest.mark.parametrize("presses", [("0#",), ("0", "#")], ids=["at once", "slowly"])
async def test_zero_and_hash_report_fraud_however_slowly(asked: Asker, presses: tuple[str, ...]) -> None:
    story = await asked(MethodKind.CALL_MOBILE)
    call = await story.rings()
    call.answer()
    for number, keys in enumerate(presses):
        await call.asks(after=number)
        call.press(keys)
    assert await story.outcome() == ("denied", "fraud_reported")
    await call.over()
    assert "your report was taken down" in call.said[-1]


@pytest.mark.security("S-46")
@pytest.mark.parametrize("keys", ["9#", "##", "1", "*", ""], ids=str)
async def test_whatever_is_not_a_lone_hash_is_asked_again_and_then_given_up(asked: Asker, keys: str) -> None:
    story = await asked(MethodKind.CALL_MOBILE)
    call = await story.rings()
    call.answer()
    for number in range(2):
        await call.asks(after=number)
        call.press(keys)
    assert await story.challenge_ends() == ("failed", "no_answer")
    assert story.sign_in.body["state"] == "pending"
    assert "Nothing was verified" in call.said[-1]


@pytest.mark.security("S-46")
async def test_a_hash_before_the_question_counts_for_nothing(asked: Asker) -> None:
    story = await asked(MethodKind.CALL_MOBILE)
    call = await story.rings()
    call.answer()
    call.press("#")
    for number in range(2):
        await call.asks(after=number)
        call.silence()
    assert await story.challenge_ends() == ("failed", "no_answer")


@pytest.mark.security("S-46")
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (FaultKind.BUSY, "busy"),
        (FaultKind.NO_ANSWER, "no_answer"),
        (FaultKind.MACHINE, "no_answer"),
        (FaultKind.FAILED, "delivery_failed"),
        (FaultKind.REFUSED, "delivery_failed"),
    ],
)
async def test_what_does_not_reach_the_person_ends_the_challenge_alone(
    asked: Asker, kind: FaultKind, reason: str
) -> None:
    story = await asked(MethodKind.CALL_MOBILE, fault=Fault(kind=kind, code=21217))
    assert await story.challenge_ends() == ("failed", reason)
    assert story.sign_in.body["state"] == "pending"


@pytest.mark.parametrize("kind", [FaultKind.UNDELIVERED, FaultKind.REFUSED])
async def test_a_text_that_can_not_be_delivered_ends_the_challenge_alone(asked: Asker, kind: FaultKind) -> None:
    story = await asked(MethodKind.TEXT_MOBILE, fault=Fault(kind=kind, code=21614))
    assert await story.challenge_ends() == ("failed", "delivery_failed")


async def test_what_may_have_been_sent_is_unknown_and_its_call_can_still_be_answered(asked: Asker) -> None:
    story = await asked(MethodKind.CALL_MOBILE, fault=Fault(kind=FaultKind.SENT_IN_SILENCE))
    call = await story.rings()
    await until_delivery(story.sign_in, "unknown")
    call.answer()
    await call.asks()
    call.press("#")
    assert await story.outcome() == ("approved", None)


@pytest.mark.security("S-45")
@pytest.mark.reliability("R-12")
async def test_news_that_come_twice_or_minutes_late_change_nothing_any_more(company: World, asked: Asker) -> None:
    story = await asked(MethodKind.CALL_MOBILE)
    call = await story.rings()
    call.answer()
    await call.asks()
    call.press("#")
    assert await story.outcome() == ("approved", None)
    await call.over()
    before = (await story.sign_in.look())["version"]
    ours = [each for each in company.carrier.webhooks.told if each.fields.get("CallSid") == call.wanted.sid]
    assert len(ours) == 3
    for order in itertools.permutations(ours):
        for news in order:
            assert (await company.carrier.webhooks.send(news))[0] in {200, 204}
    await asyncio.gather(*(company.carrier.webhooks.send(news) for news in ours * 5))
    after = await story.sign_in.look()
    assert (after["state"], after["challenge"]["delivery"], after["version"]) == ("approved", "delivered", before)


@pytest.mark.security("S-45")
async def test_an_old_hash_approves_no_other_sign_in(company: World, asked: Asker) -> None:
    first, second = await asked(MethodKind.CALL_MOBILE), await asked(MethodKind.CALL_MOBILE)
    calls = [await first.rings(), await second.rings()]
    for call in calls:
        call.answer()
        await call.asks()
    calls[0].press("#")
    assert await first.outcome() == ("approved", None)
    (old,) = [each for each in company.carrier.webhooks.told if each.fields.get("Digits") == "#"][-1:]
    await company.carrier.webhooks.send(old)
    assert (await second.sign_in.look())["state"] == "pending"
    calls[1].press("#")
    assert await second.outcome() == ("approved", None)


async def test_every_hand_over_is_measured_and_logged_without_a_number(desk: Office, asked: Asker) -> None:
    story = await asked(MethodKind.TEXT_MOBILE)
    await until_delivery(story.sign_in, "delivered")
    async with desk.service.session() as session, session.get("/metrics") as answer:
        measured = await answer.text()
    assert re.search(r'push_service_messages_sent_total\{code="sent",outcome="sent",via="text"\} [1-9]', measured)
    assert "push_service_telephony_circuit_open 0" in measured
    assert "telephony.handed_over" in desk.service.log
    assert story.number not in desk.service.log


async def test_over_the_limit_nothing_is_sent_and_the_operator_is_told(company: World, tmp_path: Path) -> None:
    service = Service(tmp_path, TELEPHONY__LIMIT_TOTAL="1/1h", **telephony_settings(company))
    await service.start()
    try:
        async with office(service) as desk, desk.browser() as browser:
            for expected in ("delivered", "failed"):
                person = await desk.person(state=UserState.ENFORCED)
                await give_phone(desk, person, MethodKind.TEXT_MOBILE, f"+44{next(_numbers)}")
                await until_delivery(await browser.begin(person.username, PASSWORD), expected)
            async with service.session() as session, session.get("/readyz") as answer:
                told = await answer.json()
            assert (answer.status, "total_limit" in told["degraded"]["telephony"]) == (200, True)
    finally:
        assert await service.stop() == 0
