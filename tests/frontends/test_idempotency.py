"""The same request again gets the same answer, to the byte; another's key, another body or another route does not."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from push_service.bus.local import LocalBus
from push_service.decisions import Decisions
from push_service.frontends.idempotency import Idempotency, Remember
from push_service.model.errors import IdempotencyKeyReused, InvalidRequest, TooManyPending
from push_service.model.ids import secret_token
from push_service.model.view import Seen
from push_service.ports import Store
from tests.contracts.kinds import SqliteStores
from tests.contracts.making import POLICY, Person, begin, beginning, enrol

KEY, BODY = "a-key-of-sixteen", b'{"username":"alice","password":"correct horse"}'
Begun = tuple[Seen, str]


class Caller:
    """Begins sign-ins as a front-end does, and counts how often the work was really done."""

    def __init__(self, store: Store, stores: SqliteStores, person: Person) -> None:
        self.store, self.person, self.worked = store, person, 0
        self._idempotency = Idempotency(store, stores.sealer)
        self._decisions = Decisions(store, LocalBus())
        self.at_work: Callable[[], None] = lambda: None

    async def send(
        self, key: str | None = KEY, body: bytes = BODY, caller: str = "app_1", path: str = "/v1/sign-ins"
    ) -> bytes:
        headers = {} if key is None else {"Idempotency-Key": key}
        request = make_mocked_request("POST", path, headers=headers)
        response = await self._idempotency.answer(request, caller, body, self._work, self._wire)
        assert response.status == 201
        assert isinstance(response.body, bytes)
        return response.body

    async def _work(self, remember: Remember[Begun] | None) -> Begun:
        self.worked += 1
        await asyncio.sleep(0)  # the password is being hashed
        token = secret_token("bt")
        seen = await self._decisions.decide(
            self.person.id,
            beginning(await self.store.now()),
            remember=(lambda seen: remember((seen, token))) if remember else None,
        )
        return seen, token

    @staticmethod
    def _wire(begun: Begun) -> object:
        return {"id": begun[0].sign_in.id, "browser_token": begun[1]}


@pytest.fixture
def stores(tmp_path: Path) -> SqliteStores:
    return SqliteStores(tmp_path)


@pytest.fixture
async def caller(stores: SqliteStores) -> AsyncIterator[Caller]:
    async with stores.open() as store:
        yield Caller(store, stores, await enrol(store))


async def pending(caller: Caller) -> int:
    asked = await caller.store.asked(caller.person.id)
    assert asked is not None
    return len(asked.live)


@pytest.mark.reliability("R-04")
async def test_the_same_request_again_is_answered_the_same_without_the_work(caller: Caller) -> None:
    first = await caller.send()
    for _ in range(3):
        assert await caller.send() == first
    assert caller.worked == 1
    assert await pending(caller) == 1


@pytest.mark.reliability("R-04", "R-21")
async def test_of_many_at_once_one_begins_and_all_get_its_answer(caller: Caller) -> None:
    answers = await asyncio.gather(*(caller.send() for _ in range(20)))
    assert len(set(answers)) == 1
    assert await pending(caller) == 1


@pytest.mark.reliability("R-04")
async def test_the_last_place_taken_by_the_same_request_is_no_reason_to_refuse_it(caller: Caller) -> None:
    for _ in range(POLICY.pending_per_person - 1):
        await begin(caller.store, caller.person)
    answers = await asyncio.gather(*(caller.send() for _ in range(5)))
    assert len(set(answers)) == 1
    with pytest.raises(TooManyPending):
        await caller.send(key="another-key-of-sixteen")


async def test_a_request_without_a_key_is_a_new_one_each_time(caller: Caller) -> None:
    assert await caller.send(key=None) != await caller.send(key=None)


@pytest.mark.security("S-20")
async def test_nobody_gets_anothers_answer(caller: Caller) -> None:
    first = json.loads(await caller.send())
    other = json.loads(await caller.send(caller="app_2"))
    elsewhere = json.loads(await caller.send(path="/v1/sign-ins/si_1/challenges"))
    assert len({each["browser_token"] for each in (first, other, elsewhere)}) == 3


async def test_the_same_key_for_another_body_is_refused(caller: Caller) -> None:
    first = await caller.send()
    for body in (BODY + b" ", b"{}", b""):
        with pytest.raises(IdempotencyKeyReused):
            await caller.send(body=body)
    assert await caller.send() == first


async def test_after_ten_minutes_the_key_is_free_again(caller: Caller, stores: SqliteStores) -> None:
    first = await caller.send()
    stores.clock.advance(599)
    assert await caller.send() == first
    stores.clock.advance(2)
    assert await caller.send() != first


async def test_what_was_refused_may_be_sent_again(caller: Caller, stores: SqliteStores) -> None:
    for _ in range(POLICY.pending_per_person):
        await begin(caller.store, caller.person)
    with pytest.raises(TooManyPending):
        await caller.send()
    stores.clock.advance(1000)
    assert await caller.send() == await caller.send()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "x" * 15,
        "x" * 129,
        "sixteen with space",
        "sixteen\twith-tab-",
        "sechzehn-für-ää-",
        "x" * 15 + "\x7f",
    ],
)
async def test_a_key_is_16_to_128_visible_characters(caller: Caller, key: str) -> None:
    with pytest.raises(InvalidRequest):
        await caller.send(key=key)
    assert caller.worked == 0


@pytest.mark.security("S-68")
async def test_neither_password_nor_token_nor_key_can_be_read_in_the_store(
    caller: Caller, stores: SqliteStores
) -> None:
    answer = json.loads(await caller.send())
    with closing(sqlite3.connect(stores.path)) as connection:
        (row,) = connection.execute("SELECT * FROM remembered").fetchall()
    kept = b"\0".join(each if isinstance(each, bytes) else str(each).encode() for each in row)
    for secret in (b"correct horse", answer["browser_token"].encode(), KEY.encode()):
        assert secret not in kept
