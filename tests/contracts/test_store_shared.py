"""Several processes on the same data: what one changes, the others hear, and all of them write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from push_service.model.application import Application
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.ids import ApplicationId
from push_service.ports import APPLICATIONS, SIGNING_KEYS, StoredKey, Topic
from tests.contracts.kinds import Stores
from tests.contracts.making import answer, begin, enrol, look

HEARD_SECONDS = 20.0


class Ear:
    """Collects the topics that another process's changes ring."""

    def __init__(self) -> None:
        self.heard: set[Topic] = set()
        self._something = asyncio.Event()

    def __call__(self, topics: Sequence[Topic]) -> None:
        self.heard.update(topics)
        self._something.set()

    async def hears(self, *topics: Topic) -> None:
        async with asyncio.timeout(HEARD_SECONDS):
            while not self.heard.issuperset(topics):
                self._something.clear()
                await self._something.wait()


@pytest.mark.reliability("R-05")
async def test_what_another_process_decides_is_heard(stores: Stores) -> None:
    ear = Ear()
    async with stores.open() as beside, stores.open(foreign=ear) as _:
        alice = await enrol(beside)
        seen = await begin(beside, alice)
        await answer(beside, alice, seen)
        await ear.hears(Topic.user(alice.id), Topic.sign_in(seen.sign_in.id))


async def test_applications_and_keys_that_another_process_changes_are_heard(stores: Stores) -> None:
    ear = Ear()
    async with stores.open() as beside, stores.open(foreign=ear) as _:
        added = Audit(kind=AuditKind.APPLICATION_ADDED, actor=Actor.OPERATOR)
        await beside.put_application(Application(id=ApplicationId("app_1"), name="Mail"), added)
        await ear.hears(APPLICATIONS)
        assert SIGNING_KEYS not in ear.heard
        key = StoredKey(kid="key_1", pem="pem", created_at=await beside.now())
        await beside.put_signing_keys([key], Audit(kind=AuditKind.KEY_ROTATED, actor=Actor.OPERATOR))
        await ear.hears(SIGNING_KEYS)


async def test_ones_own_changes_are_not_heard_as_anothers(stores: Stores) -> None:
    own, beside = Ear(), Ear()
    async with stores.open(foreign=own) as store, stores.open(foreign=beside) as other:
        alice = await enrol(store, "alice")
        seen = await begin(store, alice)
        await beside.hears(Topic.sign_in(seen.sign_in.id))
        bob = await enrol(other, "bob")
        await begin(other, bob)
        await own.hears(Topic.user(bob.id))
        assert Topic.user(alice.id) not in own.heard
        assert Topic.user(bob.id) not in beside.heard


async def test_both_write_at_once_and_each_hears_all_that_the_other_did(stores: Stores) -> None:
    """Each process finds the other's lock held again and again, and waits for it."""
    ears = (Ear(), Ear())
    async with stores.open(foreign=ears[0]) as one, stores.open(foreign=ears[1]) as other:
        both = (one, other)
        people = [await enrol(both[n % 2], f"person{n}") for n in range(20)]

        async def sign_in(n: int) -> Topic:
            mine = both[n % 2]
            person = people[n % 20]
            seen = await begin(mine, person)
            await answer(mine, person, seen)
            return Topic.sign_in(seen.sign_in.id)

        begun = [await asyncio.gather(*(sign_in(start + n) for n in range(20))) for start in range(0, 100, 20)]
        topics = [topic for each in begun for topic in each]
        for n, ear in enumerate(ears):
            await ear.hears(*(topic for m, topic in enumerate(topics) if m % 2 != n))
        outcomes = [each for each in stores.audit() if each.kind == "sign_in.outcome"]
        assert len(outcomes) == 100
        for each in outcomes:
            assert each.sign_in_id is not None
            assert (await look(one, each.sign_in_id)).version == 2  # type: ignore[arg-type]
