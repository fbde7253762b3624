"""Too much at once: floods of passwords, of odd passwords, and of browsers that hang up in the middle."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from typing import Any

import pytest

from mobile_stub.surroundings import Reach, Setup
from push_service.model.new_user import NewUser
from push_service.model.user import UserState
from tests.conftest import MakeOffice, MakeService
from tests.security.raw import request, wire
from tests.support.browser import Browser, Reply, SignIn
from tests.support.people import PASSWORD, Office
from tests.support.service import Service

POLLING = Setup(reach=Reach.POLL)
SOON = 30.0
_addresses = (f"198.51.{third}.{fourth}" for third, fourth in itertools.product(range(256), range(1, 255)))


def elsewhere() -> dict[str, Any]:
    """A browser at an address that nobody has asked from yet."""
    return {"client": {"ip": next(_addresses)}}


@pytest.mark.security("S-18")
async def test_a_flood_of_wrong_passwords_is_turned_away_and_an_answer_still_counts(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(PASSWORD_HASH_CONCURRENCY="1", PASSWORD_HASH_WAITING="8")
    office = await make_office(service)
    user = await office.person(state=UserState.ENFORCED)
    others = [await office.person(state=UserState.DISABLED) for _ in range(10)]
    async with await office.phone(user) as phone, office.browser() as browser:
        sign_in = await browser.begin(user.username)
        async with asyncio.timeout(SOON):
            challenge = await phone.next_challenge()
            async with asyncio.TaskGroup() as group:
                wrong = [
                    group.create_task(browser.post_begin(username=user.username, password=f"wrong {n}", **elsewhere()))
                    for n in range(100)
                ]
                right = [group.create_task(_begun_in_the_end(browser, each.username)) for each in others]
                await phone.verify(challenge, number=sign_in.number)
                answered = await sign_in.outcome()
                assert not all(task.done() for task in (*wrong, *right)), "the flood was over before the answer"
    assert answered["state"] == "approved"
    replies = [task.result() for task in wrong]
    assert {reply.status for reply in replies} == {401, 503}
    for reply in replies:
        if reply.status == 503:
            assert reply.code == "busy"
            assert int(reply.headers["Retry-After"]) >= 1
    assert all(task.result() == "approved" for task in right)


async def _begun_in_the_end(browser: Browser, username: str) -> str:
    """A right password, tried again as `Retry-After` says until it is looked at."""
    while True:
        reply = await browser.post_begin(username=username, password=PASSWORD, **elsewhere())
        if reply.status == 201:
            return str(reply.body["state"])
        assert (reply.status, reply.code) == (503, "busy")
        await asyncio.sleep(int(reply.headers["Retry-After"]) / 10)


@pytest.mark.security("S-18")
async def test_what_was_turned_away_unhashed_costs_the_person_no_guess(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(
        PASSWORD_HASH_CONCURRENCY="1", PASSWORD_HASH_WAITING="0", POLICY__WRONG_PASSWORDS="40/1h"
    )
    office = await make_office(service)
    user, here = await office.person(state=UserState.DISABLED), elsewhere()
    looked_at, turned_away = 0, 0
    async with office.browser() as browser, asyncio.timeout(SOON):
        while turned_away <= 40:  # as many as would close the door, if they counted
            posts = (browser.post_begin(username=user.username, password="wrong password", **here) for _ in range(8))
            statuses = [reply.status for reply in await asyncio.gather(*posts)]
            assert set(statuses) <= {401, 503}
            looked_at, turned_away = looked_at + statuses.count(401), turned_away + statuses.count(503)
            assert looked_at < 30, "the line for hashing never filled up"
        assert (await browser.begin(user.username, PASSWORD, **here)).body["state"] == "approved"


@pytest.mark.security("S-18")
async def test_begins_from_one_address_are_bounded_whoever_they_are_for(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    office = await make_office(await make_service(POLICY__BEGINS_PER_ADDRESS="20/1h"))
    user, here = await office.person(state=UserState.ENFORCED), elsewhere()
    async with await office.phone(user, setup=POLLING), office.browser() as browser:
        replies = [
            await browser.post_begin(username=f"nobody{number}", password="wrong password", **here)
            for number in range(25)
        ]
        assert [reply.status for reply in replies] == [401] * 20 + [429] * 5
        assert all(int(reply.headers["Retry-After"]) >= 1 for reply in replies[20:])
        assert (await browser.post_begin(username=user.username, **here)).status == 429, "vouched begins count too"
        assert (await browser.post_begin(username=user.username, **elsewhere())).status == 201


ODD_PASSWORDS: dict[str, bytes] = {
    "64 KiB": b'"' + b"p" * (64 * 1024 - 200) + b'"',
    "1,025 characters": b'"' + b"p" * 1025 + b'"',
    "a NUL": b'"pass\\u0000word"',
    "a raw NUL": b'"pass\0word"',
    "invalid UTF-8": b'"pass\xffword"',
    "half a pair": b'"pass\\ud800word"',
    "a number": b"12345678",
    "a list": b'["password"]',
}


@pytest.mark.security("S-18")
@pytest.mark.parametrize("password", ODD_PASSWORDS.values(), ids=ODD_PASSWORDS.keys())
async def test_what_is_no_password_is_ill_formed_and_never_hashed(desk: Office, password: bytes) -> None:
    async with desk.browser() as browser:
        headers = browser.identification | {"Content-Type": "application/json"}
        body = b'{"username":"nobody","password":%b}' % password
        reply = await browser.request("POST", "/v1/sign-ins", headers=headers, data=body)
    assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.security("S-18")
async def test_every_character_of_a_password_counts_up_to_a_thousand(desk: Office) -> None:
    for length in (64, 73, 128, 1024):
        password = "".join(secrets.choice("abcdefghij") for _ in range(length))
        user = await desk.person(state=UserState.DISABLED, password=password)
        async with desk.browser() as browser:
            for wrong in (password[:-1], password[:-1] + "X", password + "X", "X" + password[1:]):
                reply = await browser.post_begin(username=user.username, password=wrong, **elsewhere())
                assert reply.status in {400, 401}
                assert (reply.status == 400) == (len(wrong) > 1024)
            assert (await browser.begin(user.username, password)).body["state"] == "approved"


@pytest.mark.security("S-18")
async def test_composed_and_decomposed_letters_are_the_same_password(desk: Office) -> None:
    for stored, typed in (("pässwörter-ñ", "pässwo\u0308rter-n\u0303"), ("pa\u0308sswo\u0308rter", "pässwörter")):
        user = await desk.person(state=UserState.DISABLED, password=stored)
        async with desk.browser() as browser:
            assert (await browser.begin(user.username, typed)).body["state"] == "approved"
            for wrong in (stored.upper(), stored + " ", " " + stored, stored.replace("s", "ß")):
                assert (await browser.post_begin(username=user.username, password=wrong, **elsewhere())).status == 401


@pytest.mark.security("S-18")
async def test_begins_of_one_person_are_bounded_after_the_right_password(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    office = await make_office(
        await make_service(POLICY__BEGINS_PER_PERSON="5/1h", POLICY__PROMPTS_UNANSWERED="1000/1m")
    )
    user = await office.person(state=UserState.ENFORCED)
    async with await office.phone(user, setup=POLLING), office.browser() as browser:
        replies = []
        for _ in range(7):
            replies.append(await browser.post_begin(username=user.username, **elsewhere()))
            if replies[-1].status == 201:
                await SignIn(browser, replies[-1].body).cancel()
        assert [reply.status for reply in replies] == [201] * 5 + [429] * 2
        assert all(int(reply.headers["Retry-After"]) >= 1 for reply in replies[5:])


@pytest.mark.security("S-18")
async def test_of_many_begins_at_once_no_more_are_pending_than_allowed(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user, setup=POLLING) as phone, desk.browser() as browser:
        posts = (browser.post_begin(username=user.username, **elsewhere()) for _ in range(20))
        replies = await asyncio.gather(*posts)
        assert sorted(reply.status for reply in replies) == [201] * 3 + [429] * 17
        assert {reply.code for reply in replies if reply.status == 429} == {"too_many_pending"}
        numbers = {reply.body["challenge"]["prompt"]["number"] for reply in replies if reply.status == 201}
        assert len(numbers) == 3
        assert len((await phone.poll()).challenges) == 3


# --- S-70: browsers that hang up ------------------------------------------------------------------------------------

ROUNDS = 1000
SEED = 7


@pytest.mark.security("S-70")
async def test_nobody_is_handed_another_persons_reply_when_browsers_hang_up(desk: Office, service: Service) -> None:
    dice = random.Random(SEED)  # noqa: S311 - which request is dropped when, not a secret
    people = [
        await desk.core.administrator.add_user(
            NewUser(username=f"hangs-up-{secrets.token_hex(6)}", state=UserState.ENFORCED)
        )
        for _ in range(6)
    ]
    phones = [await desk.phone(user, setup=POLLING) for user in people]
    async with desk.browser() as browser:
        sign_ins = [await browser.begin(user.username, **elsewhere()) for user in people for _ in range(3)]

        async def ask(number: int) -> bool:
            """Ask for one sign-in, or cause a write, and perhaps leave before the answer; whether it was right."""
            mine = sign_ins[number % len(sign_ins)]
            asking = asyncio.create_task(_look(browser, mine) if number % 3 else _refused(mine))
            if dice.random() < 0.5:
                await asyncio.sleep(dice.random() * 0.004)
                asking.cancel()
            await asyncio.wait([asking])
            return asking.cancelled() or asking.result()

        for start in range(0, ROUNDS, 50):
            assert all(await asyncio.gather(*(ask(number) for number in range(start, start + 50))))
        await asyncio.gather(*(_pipelined(service, sign_ins, dice) for _ in range(50)))
        for sign_in in sign_ins:
            assert (await sign_in.look())["state"] == "pending"
    for phone in phones:
        await phone.aclose()
    assert "Traceback" not in service.log
    assert "request.failed" not in service.log


async def _look(browser: Browser, sign_in: SignIn) -> bool:
    reply: Reply = await browser.request("GET", f"/v1/sign-ins/{sign_in.id}", headers=sign_in.bearer)
    return reply.status == 200 and reply.body["id"] == sign_in.id


async def _refused(sign_in: SignIn) -> bool:
    """A request that is decided, and recorded, by the writer."""
    reply = await sign_in.choose("mth_of-nobody")
    return (reply.status, reply.code) == (404, "unknown_method")


async def _pipelined(service: Service, sign_ins: list[SignIn], dice: random.Random) -> None:
    """Several questions in one breath; the answers come in their order, until the browser has heard enough."""
    asked = dice.sample(sign_ins, 6)
    async with wire(service.port) as line:
        await line.send(
            *(
                request("GET", f"/v1/sign-ins/{each.id}", b"", f"Authorization: {each.bearer['Authorization']}")
                for each in asked
            )
        )
        for each in asked[: dice.randrange(7)]:
            answer = await line.answer()
            assert answer is not None
            assert answer.json()["id"] == each.id
        line.hang_up()
