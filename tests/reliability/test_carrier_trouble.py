"""R-09, R-10, R-12, S-19: whatever a telephony provider does wrong, the sign-in stays open for another method.

Each trouble has its own test over the wire: what the provider refuses, how it is silent, what it loses, and how it
misleads. The last test says that none of the stub's faults was forgotten.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mobile_stub.carrier_faults import OF_CALLS, OF_NEWS, OF_REQUESTS, OF_TEXTS, Fault, FaultKind
from push_service.delivery.breaker import FAILURES
from push_service.model.challenge import MethodKind
from tests.support.browser import Browser
from tests.support.calling import PATIENCE_SECONDS, Asked, Line, line
from tests.support.people import PASSWORD
from tests.support.ports import free_port
from tests.support.waking import until_delivery

pytestmark = [pytest.mark.asyncio(loop_scope="module")]
TEXT, CALL = MethodKind.TEXT_MOBILE, MethodKind.CALL_MOBILE
SOURCE = Path(__file__).read_text(encoding="utf-8")
SETTINGS = {
    "TELEPHONY__TIMEOUT_SECONDS": "1",
    "TELEPHONY__MACHINE_DETECTION": "true",
    "POLICY__SEND_AGAIN_SECONDS": "0",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    async with line(tmp_path_factory.mktemp("carrier"), 1, **SETTINGS) as opened:
        yield opened


async def metrics(calls: Line) -> str:
    async with calls.processes[0].session() as session, session.get("/metrics") as answer:
        return await answer.text()


async def degraded(calls: Line) -> str:
    """What an operator is told of texts and calls."""
    async with calls.processes[0].session() as session, session.get("/readyz") as answer:
        told: dict[str, dict[str, str]] = await answer.json()
        return told.get("degraded", {}).get("telephony", "")


async def types(asked: Asked) -> None:
    """Type the code that came, and be signed in."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        body = (await asked.handset.next_text()).body
    (code,) = re.findall(r"\b\d{6}\b", body)
    path = f"/v1/sign-ins/{asked.sign_in.id}/code"
    reply = await asked.sign_in.browser.request("POST", path, headers=asked.sign_in.bearer, json={"code": code})
    assert (reply.status, reply.body["state"]) == (200, "approved")


async def failed(asked: Asked, code: str) -> None:
    """The message has failed, with this result, and the page offers the other phone."""
    assert await asked.ends() == ("failed", "delivery_failed")
    assert (asked.challenge["delivery"], asked.challenge["code"]) == ("failed", code)
    assert [each["method"] for each in asked.sign_in.body["methods"]].count("call_mobile") == 1


async def again(asked: Asked) -> None:
    """Have it sent again."""
    reply = await asked.sign_in.choose(asked.challenge["method_id"], asked.challenge["id"])
    assert reply.status == 201, reply
    asked.sign_in.body = {**asked.sign_in.body, **reply.body}


# --- what the provider says to a request --------------------------------------------------------------------------


@pytest.mark.reliability("R-09")
@pytest.mark.parametrize(
    ("code", "result"),
    [
        (21211, "dead_number"),
        (21610, "dead_number"),
        (20003, "refused"),
        (21408, "refused"),
        (20429, "quota"),
        (63038, "quota"),
    ],
)
async def test_a_refused_text_has_failed_with_its_result_and_the_person_goes_on_by_a_call(
    calls: Line, code: int, result: str
) -> None:
    asked = await calls.ask(TEXT, fault=Fault(kind=FaultKind.REFUSED, code=code, times=1))
    await failed(asked, result)
    assert calls.company.carrier.heard[asked.handset.number] == 1
    assert f'code="{code}",outcome="{result}",via="text"' in await metrics(calls)
    await calls.finishes_by_a_call(asked)


@pytest.mark.reliability("R-09", "R-10")
@pytest.mark.parametrize("kind", [FaultKind.SILENT, FaultKind.BAD_GATEWAY, FaultKind.SENT_IN_SILENCE])
async def test_a_text_without_a_readable_answer_is_unknown_and_is_not_sent_again(calls: Line, kind: FaultKind) -> None:
    asked = await calls.ask(TEXT, fault=Fault(kind=kind, times=1), silent=True)
    await until_delivery(asked.sign_in, "unknown")
    assert (asked.sign_in.body["state"], asked.challenge["state"]) == ("pending", "pending")
    assert calls.company.carrier.heard[asked.handset.number] == 1
    if kind is FaultKind.SENT_IN_SILENCE:
        await types(asked)
    else:
        await calls.finishes_by_a_call(asked)
    assert calls.company.carrier.heard[asked.handset.number] == 1


async def test_a_late_answer_in_time_is_as_good_as_another(calls: Line) -> None:
    asked = await calls.ask(TEXT, fault=Fault(kind=FaultKind.LATE, late=0.3, times=1))
    await until_delivery(asked.sign_in, "delivered")
    await types(asked)


@pytest.mark.reliability("R-09")
async def test_a_provider_that_nobody_reaches_has_surely_sent_nothing(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with line(tmp_path, TELEPHONY__BASE_URL=nowhere) as calls:
        for code in (*("connection",) * FAILURES, "circuit_open"):
            await failed(await calls.ask(TEXT), "temporary")
            assert re.search(rf'code="{code}",outcome="temporary",via="text"\}} [1-9]', await metrics(calls))
        assert "push_service_telephony_circuit_open 1" in await metrics(calls)
        assert "push_service_telephony_alarm 1" in await metrics(calls)
        assert "does not answer" in await degraded(calls)


@pytest.mark.reliability("R-09")
async def test_a_provider_in_trouble_is_left_alone(tmp_path: Path) -> None:
    async with line(tmp_path) as calls:
        carrier = calls.company.carrier
        for _ in range(FAILURES):
            asked = await calls.ask(TEXT, fault=Fault(kind=FaultKind.BAD_GATEWAY, times=1))
            await until_delivery(asked.sign_in, "unknown")
        assert carrier.requests == FAILURES
        left = await calls.ask(TEXT)
        await failed(left, "temporary")
        assert carrier.requests == FAILURES
        assert "push_service_telephony_circuit_open 1" in await metrics(calls)


# --- what becomes of texts and calls on their way -----------------------------------------------------------------


@pytest.mark.reliability("R-09")
async def test_a_text_that_is_lost_stays_sent_and_is_sent_again_when_asked_for(calls: Line) -> None:
    asked = await calls.ask(TEXT, fault=Fault(kind=FaultKind.LOST, times=1))
    await until_delivery(asked.sign_in, "sent")
    await again(asked)
    await types(asked)
    assert calls.company.carrier.heard[asked.handset.number] == 2


@pytest.mark.parametrize(
    ("method", "kind", "reason"),
    [
        (TEXT, FaultKind.UNDELIVERED, "delivery_failed"),
        (MethodKind.CALL_OFFICE, FaultKind.BUSY, "busy"),
        (MethodKind.CALL_OFFICE, FaultKind.NO_ANSWER, "no_answer"),
        (MethodKind.CALL_OFFICE, FaultKind.FAILED, "delivery_failed"),
        (MethodKind.CALL_OFFICE, FaultKind.MACHINE, "no_answer"),
    ],
)
@pytest.mark.reliability("R-09")
async def test_what_does_not_reach_the_person_leaves_them_the_other_phone(
    calls: Line, method: MethodKind, kind: FaultKind, reason: str
) -> None:
    asked = await calls.ask(method, fault=Fault(kind=kind, code=30003, times=1))
    assert await asked.ends() == ("failed", reason)
    await calls.finishes_by_a_call(asked)


# --- how the provider misleads ------------------------------------------------------------------------------------


@pytest.mark.reliability("R-12")
@pytest.mark.security("S-45")
@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (FaultKind.NEWS_LATE, "delivered"),
        (FaultKind.NEWS_LOST, "sent"),
        (FaultKind.NEWS_TWICE, "delivered"),
        (FaultKind.NEWS_FORGED, "sent"),
    ],
)
async def test_a_text_is_typed_whatever_becomes_of_its_news(calls: Line, kind: FaultKind, shown: str) -> None:
    asked = await calls.ask(TEXT, fault=Fault(kind=kind, late=0.2))
    await until_delivery(asked.sign_in, shown)
    assert asked.sign_in.body["state"] == "pending"
    await types(asked)


@pytest.mark.reliability("R-12")
@pytest.mark.security("S-45", "S-46")
@pytest.mark.parametrize("kind", [FaultKind.NEWS_LATE, FaultKind.NEWS_TWICE])
async def test_a_call_is_answered_though_its_news_are_late_or_come_twice(calls: Line, kind: FaultKind) -> None:
    asked = await calls.ask(CALL, fault=Fault(kind=kind, late=0.2))
    call = await asked.rings()
    call.answer()
    await call.asks()
    call.press("#")
    assert await asked.outcome() == ("approved", None)
    await call.over()
    assert (await asked.sign_in.look())["challenge"]["delivery"] == "delivered"


@pytest.mark.reliability("R-12")
@pytest.mark.security("S-45", "S-46")
@pytest.mark.parametrize("kind", [FaultKind.NEWS_LOST, FaultKind.NEWS_FORGED])
async def test_a_call_whose_news_are_lost_or_forged_asks_nothing_and_the_sign_in_stays_open(
    calls: Line, kind: FaultKind
) -> None:
    asked = await calls.ask(MethodKind.CALL_OFFICE, fault=Fault(kind=kind))
    call = await asked.rings()
    call.answer()
    await call.over()
    assert not any("press" in each for each in call.said)
    await until_delivery(asked.sign_in, "sent")
    assert (asked.sign_in.body["state"], asked.challenge["state"]) == ("pending", "pending")
    await calls.finishes_by_a_call(asked)


# --- who would earn by it ------------------------------------------------------------------------------------------


@pytest.mark.security("S-19")
async def test_nobody_is_sent_a_text_before_a_right_password(calls: Line) -> None:
    before = calls.company.carrier.requests
    person = await calls.desk.person(password=PASSWORD)
    app = await calls.desk.application(may_vouch=False)
    stranger = Browser(calls.browser.session, app)
    for password in ("wrong", None):
        reply = await stranger.post_begin(None, username=person.username, password=password)
        assert reply.status in {400, 401, 403}
    assert calls.company.carrier.requests == before


@pytest.mark.security("S-19")
async def test_over_a_limit_nothing_is_sent_and_the_person_goes_on_otherwise(tmp_path: Path) -> None:
    limits = {
        f"TELEPHONY__LIMIT_{name}": f"{n}/1h" for n, name in enumerate(("NUMBER", "PREFIX", "COUNTRY", "TOTAL"), 1)
    }
    async with line(tmp_path, 1, POLICY__SEND_AGAIN_SECONDS="0", **limits) as calls:
        for sent, number, limit in (
            (1, "+447911000001", "number"),
            (2, "+447911000002", "prefix"),
            (3, "+447912000001", "country"),
            (4, "+491701234589", "total"),
        ):
            asked = await calls.ask(TEXT, number=number)
            await until_delivery(asked.sign_in, "delivered")
            if limit == "number":
                await again(asked)
            else:
                asked = await calls.ask(TEXT, number=f"{number[:-1]}9" if limit == "prefix" else _beside(number))
            await failed(asked, "quota")
            assert calls.company.carrier.requests == sent
            assert f'code="{limit}_limit",outcome="quota",via="text"' in await metrics(calls)
            assert bool(await degraded(calls)) is (limit != "number")  # one impatient person is no alarm


def _beside(number: str) -> str:
    """A number of the same country that does not begin alike."""
    return f"{number[:5]}7{number[6:]}"


async def test_no_fault_of_the_stub_is_forgotten_here() -> None:
    told = {FaultKind[name] for name in re.findall(r"FaultKind\.([A-Z_]+)", SOURCE)}
    assert told == set(FaultKind) == OF_REQUESTS | OF_TEXTS | OF_CALLS | OF_NEWS
