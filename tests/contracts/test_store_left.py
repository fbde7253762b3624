"""Callers that leave, and a store that closes: what was under way is done whole, or not at all."""

from __future__ import annotations

import asyncio
import random

import pytest

from push_service.model import ids
from push_service.model.ids import SignInId, UserId
from tests.contracts.kinds import Stores
from tests.contracts.making import BY_OPERATOR, Person, beginning, challenge_of, enrol, writing

SOON = 30.0


@pytest.mark.reliability("R-25")
@pytest.mark.parametrize("seed", range(3))
async def test_a_cancelled_caller_leaves_a_whole_decision_or_none(stores: Stores, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a schedule that can be run again
    replies: dict[UserId, SignInId] = {}
    async with asyncio.timeout(SOON), stores.open() as store:
        people = [await enrol(store, f"person{n}") for n in range(60)]
        begun = {person.id: ids.sign_in_id() for person in people}

        async def one(person: Person) -> None:
            rule = beginning(await store.now(), sign_in_id=begun[person.id])
            decision, _ = await store.decide(person.id, rule)
            replies[person.id] = decision.reply.sign_in.id
            user = await store.user(person.id)
            assert user is not None
            assert user.username == person.user.username

        tasks = [asyncio.create_task(one(person)) for person in people]
        victims = dice.sample(range(60), 30)
        for n in victims:
            for _ in range(dice.choice((0, 0, 1, 2, 5))):
                await asyncio.sleep(dice.choice((0, 0, 0.0005)))
            tasks[n].cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await store.check()
    assert {type(each) for each in ended} <= {type(None), asyncio.CancelledError}
    assert all(begun[person] == sign_in for person, sign_in in replies.items())
    records = [each.sign_in_id for each in stores.audit() if each.kind == "sign_in.begun"]
    async with stores.open() as store:
        for n, person in enumerate(people):
            sign_in_id = begun[person.id]
            user, seen = await store.user(person.id), await store.watch(sign_in_id)
            assert user is not None
            there = seen is not None
            assert there or n in victims
            assert user.version == person.user.version + there
            assert records.count(sign_in_id) == there
            if seen is not None:
                assert await store.acknowledge([(challenge_of(seen).id, person.phone.id)]) == [sign_in_id]


async def test_what_is_queued_when_the_store_closes_is_written_first(stores: Stores) -> None:
    async with stores.open() as store:
        people = [await enrol(store, f"person{n}") for n in range(20)]
        before = len(stores.audit())
        writing_ = [
            *(asyncio.create_task(store.record([BY_OPERATOR])) for _ in range(200)),
            *(asyncio.create_task(store.decide(person.id, writing())) for person in people),
        ]
        await asyncio.sleep(0)
    async with asyncio.timeout(SOON):
        told = await asyncio.gather(*writing_, return_exceptions=True)
    assert not [each for each in told if isinstance(each, BaseException)]
    assert len(stores.audit()) - before == 220
