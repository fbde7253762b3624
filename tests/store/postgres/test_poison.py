"""One decision of a batch that can't be written: it fails alone, and cleanly."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from push_service.model.decision import Rule
from push_service.model.errors import InvalidRequest
from push_service.ports import Duplicate
from push_service.store.postgres import PostgresStore
from tests.contracts.kinds import PostgresStores
from tests.contracts.making import BY_OPERATOR, beginning, enrol, new_device, writing


async def test_a_text_that_can_not_be_stored_is_refused_and_its_neighbours_pass(
    stores: PostgresStores, store: PostgresStore
) -> None:
    people = [await enrol(store, f"person{n}") for n in range(9)]
    now = await store.now()

    def told(source: str) -> Rule[object]:
        return writing(audit=(msgspec.structs.replace(BY_OPERATOR, source=source),))

    rules: list[Rule[object]] = [beginning(now) for _ in people]
    rules[3], rules[6] = told("a\0b"), told("a\ud800b")
    before = len(stores.audit())
    decided = await asyncio.gather(
        *(store.decide(person.id, rule) for person, rule in zip(people, rules, strict=True)), return_exceptions=True
    )
    assert [n for n, each in enumerate(decided) if isinstance(each, InvalidRequest)] == [3, 6]
    assert not [each for n, each in enumerate(decided) if n not in {3, 6} and isinstance(each, BaseException)]
    assert len(stores.audit()) == before + 7
    with pytest.raises(InvalidRequest):
        await store.user_by_name("a\0b")


async def test_a_key_that_two_give_at_once_is_one_persons_and_the_batch_goes_on(store: PostgresStore) -> None:
    alice, bob, *others = [await enrol(store, f"person{n}") for n in range(8)]
    now = await store.now()
    phone = new_device(alice.id, now)
    twin = msgspec.structs.replace(new_device(bob.id, now), thumbprint=phone.thumbprint)
    rules = [writing(device=phone), writing(device=twin)]
    decided = await asyncio.gather(
        *(store.decide(person.id, rule) for person, rule in zip((alice, bob), rules, strict=True)),
        *(store.decide(person.id, beginning(now)) for person in others),
        return_exceptions=True,
    )
    failed = [each for each in decided if isinstance(each, BaseException)]
    assert [str(each) for each in failed] == ["devices.thumbprint"]
    assert isinstance(failed[0], Duplicate)
    assert (await store.device(phone.id) is None) != (await store.device(twin.id) is None)
