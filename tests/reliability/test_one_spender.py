"""R-21: of any number who use one thing at once, one succeeds. R-20: what is counted is exact, and survives a kill."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bench.wire import Response
from push_service.model.user import UserState
from tests.conftest import MakeOffice, MakeService
from tests.soak import checker
from tests.soak.browsers import Begun, Caller, address_of, basic, begin
from tests.soak.crowd import LightPhone, activation, enrol, proof
from tests.soak.story import WIDE_OPEN
from tests.support.at_once import at_once
from tests.support.people import Office
from tests.support.service import Service

MANY = 100
PATIENCE_SECONDS = 60.0


@pytest.mark.reliability("R-21")
async def test_of_a_hundred_phones_with_one_activation_code_one_is_bound(desk: Office) -> None:
    user = await desk.person(password=None)
    code = (await desk.core.registrar.issue_activation(user.id)).code
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(MANY)]
    calls = [("POST", "/v1/devices", dict[str, str](), activation(code, key, desk.service.url)) for key in keys]
    answers = await at_once(desk.service, calls)
    assert Counter(answer.status for answer in answers) == {201: 1, 400: MANY - 1}
    assert len(await desk.core.registrar.devices(user)) == 1


@pytest.mark.reliability("R-21")
async def test_a_hundred_begins_with_one_idempotency_key_are_one_sign_in(desk: Office) -> None:
    [owner] = await enrol(desk, address_of(desk.service), 1)
    headers = basic(await desk.application()) | {"Idempotency-Key": "one-key-for-a-hundred"}
    body = {"username": owner.username}
    answers = await at_once(desk.service, [("POST", "/v1/sign-ins", headers, body)] * MANY)
    assert Counter(answer.status for answer in answers) == {201: MANY}
    assert len({answer.body for answer in answers}) == 1


@pytest.mark.reliability("R-21")
async def test_a_proof_opens_one_of_a_hundred_requests(desk: Office) -> None:
    [owner] = await enrol(desk, address_of(desk.service), 1)
    shown = proof(owner.key, owner.device_id, f"{desk.service.url}/v1/device")
    calls = [("GET", "/v1/device", {"Authorization": f"Proof {shown}"}, None)] * MANY
    answers = await at_once(desk.service, calls)
    assert Counter(answer.status for answer in answers) == {200: 1, 401: MANY - 1}


@pytest.fixture
async def asked(
    make_service: MakeService, make_office: MakeOffice
) -> AsyncIterator[tuple[Service, list[LightPhone], list[Begun]]]:
    """Eight people, each asked by one sign-in, with their phones connected."""
    service = await make_service(**WIDE_OPEN)
    desk = await make_office(service)
    app = await desk.application()
    caller = Caller(address_of(service))
    phones, begun = [], []
    async with AsyncExitStack() as stack:
        stack.callback(caller.close)
        for owner in await enrol(desk, address_of(service), 8):
            phone = LightPhone(address_of(service), service.url, owner, random.Random(1))  # noqa: S311
            stack.callback(phone.close)
            await phone.connect()
            phones.append(phone)
            begun.append(await begin(caller, app, owner.username))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(one.prompted(each.challenge) for one, each in zip(phones, begun, strict=True)))
        yield service, phones, begun


@pytest.mark.reliability("R-20", "R-22")
async def test_wrong_numbers_told_before_a_kill_are_counted_after_it(
    asked: tuple[Service, list[LightPhone], list[Begun]],
) -> None:
    service, phones, begun = asked
    for phone, each in zip(phones, begun, strict=True):
        wrong = "00" if each.number != "00" else "01"
        phone.answer(each, number=wrong)
    async with asyncio.timeout(PATIENCE_SECONDS):
        told = [await phones[0].told(begun[0].challenge)]
    await service.kill()
    told += [
        phone.outcomes[each.challenge] for phone, each in zip(phones[1:], begun[1:], strict=True) if phone.outcomes
    ]
    assert set(told) == {"wrong_number"}
    with checker.copied(service.folder / "data" / "push-service.db") as connection:
        assert checker.check_rows(connection) == []
        failed = connection.execute("SELECT count(*) FROM sign_ins WHERE reason = 'wrong_number'").fetchone()[0]
        guards = [json.loads(row[0]) for row in connection.execute("SELECT guard FROM users")]
    counted = sum(failures["in_a_row"] for guard in guards for failures in guard.get("failures", {}).values())
    assert counted == failed >= len(told)


@pytest.mark.reliability("R-20")
async def test_however_many_are_begun_at_once_no_more_are_pending_than_allowed(desk: Office) -> None:
    [owner] = await enrol(desk, address_of(desk.service), 1)
    headers, body = basic(await desk.application()), {"username": owner.username}
    answers = await at_once(desk.service, [("POST", "/v1/sign-ins", headers, body)] * 20)
    assert Counter(answer.status for answer in answers) == {201: 3, 429: 17}


@pytest.mark.reliability("R-20")
async def test_however_many_ask_at_once_a_person_sees_no_more_prompts_than_allowed(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(POLICY__PENDING_PER_PERSON="20", POLICY__PROMPTS_UNANSWERED="5/5m")
    desk = await make_office(service)
    user = await desk.person(password=None, state=UserState.ENFORCED)
    headers, body = basic(await desk.application()), {"username": user.username}
    async with await desk.phone(user) as phone:
        answers = await at_once(service, [("POST", "/v1/sign-ins", headers, body)] * 19)
        assert Counter(map(_asks, answers)) == {True: 5, False: 14}
        await service.kill()
        await service.start()
        again = await at_once(service, [("POST", "/v1/sign-ins", headers, body)])
        assert not _asks(again[0])
        listed = (await phone.poll()).challenges
    assert len(listed) == 5


def _asks(answer: Response) -> bool:
    """Whether a sign-in was begun that asks the phone; else the person is to choose another way."""
    assert answer.status == 201, answer
    body = json.loads(answer.body)
    assert (body["challenge"] is None) == (body["notice"] == "prompt_limit")
    return body["challenge"] is not None
