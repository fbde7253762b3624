"""A row that somebody holds, as a long transaction or a stalled commit does: it delays its own person, nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from push_service.bus.local import LocalBus
from push_service.decisions import Decisions
from push_service.model.decision import Audit, Decision
from push_service.model.errors import StoreUnavailable
from push_service.model.instant import Instant
from push_service.model.rules.answer import AnswerOutcome
from push_service.model.sign_in import SignInState
from push_service.model.user import Snapshot
from push_service.ports import Topic
from push_service.store.postgres import PostgresStore
from tests.contracts.kinds import PostgresStores
from tests.contracts.making import answer, answering, begin, challenge_of, enrol, look
from tests.store.postgres.eventually import SOON, eventually


@asynccontextmanager
async def held(stores: PostgresStores, row: str, *values: object) -> AsyncIterator[None]:
    """Another session that has locked a row and takes its time."""
    connection = await asyncpg.connect(stores.url)
    try:
        async with connection.transaction():
            assert await connection.fetch(f"SELECT 1 FROM {row} FOR UPDATE", *values)  # noqa: S608 - the table is the test's
            yield
    finally:
        await connection.close()


@pytest.mark.reliability("R-03")
async def test_while_one_persons_row_is_held_all_others_go_on_and_nobody_is_told_early(
    stores: PostgresStores, store: PostgresStore
) -> None:
    people = [await enrol(store, f"person{n}") for n in range(30)]
    alice, others = people[0], people[1:]
    seen, bus = await begin(store, alice), LocalBus()
    told: list[str] = []

    def observe(audit: Audit) -> None:
        told.append(f"observer {audit.code}")

    decisions = Decisions(store, bus, [observe])
    async with bus.attach(Topic.sign_in(seen.sign_in.id), lambda: told.append("bell")), asyncio.timeout(SOON):
        async with held(stores, "users WHERE id = $1", alice.id):
            deciding = asyncio.create_task(decisions.decide(alice.id, answering(seen, alice.phone)))
            begun = await asyncio.gather(*(begin(store, person) for person in others))
            await asyncio.gather(*(answer(store, *both) for both in zip(others, begun, strict=True)))
            assert not deciding.done()
            assert told == []
            assert (await look(store, seen.sign_in.id)).state is SignInState.PENDING
        await deciding
    assert sorted(told) == ["bell", "observer approved"]
    assert (await look(store, seen.sign_in.id)).state is SignInState.APPROVED
    for each in begun:
        assert (await look(store, each.sign_in.id)).state is SignInState.APPROVED


@pytest.mark.reliability("R-24")
async def test_a_row_that_stays_held_is_a_refusal_and_the_answer_can_be_given_again(
    stores: PostgresStores, store: PostgresStore
) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    records = stores.audit()
    async with asyncio.timeout(SOON), held(stores, "users WHERE id = $1", alice.id):
        with pytest.raises(StoreUnavailable) as refused:
            await answer(store, alice, seen)
        assert refused.value.retry_after is not None
        assert stores.audit() == records
    await answer(store, alice, seen)  # what was on its way may get its turn first: the same answer then
    assert (await look(store, seen.sign_in.id)).state is SignInState.APPROVED
    assert store.queued == 0


@pytest.mark.reliability("R-01", "R-03")
async def test_nobody_is_told_expired_while_an_answer_in_time_of_another_process_is_being_written(
    stores: PostgresStores, store: PostgresStore
) -> None:
    """The other process's statement has passed the check of the deadline, and is kept from its commit by a lock."""
    async with stores.open() as other:
        alice = await enrol(store)
        seen = await begin(store, alice)
        challenge = challenge_of(seen)
        stores.clock.advance(119.9)
        async with asyncio.timeout(SOON):
            async with held(stores, "challenges WHERE id = $1", challenge.id):
                answered = asyncio.create_task(answer(other, alice, seen))
                await eventually(lambda: stores.beside.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))
                stores.clock.advance(0.2)
                reads = [
                    asyncio.create_task(store.watch(seen.sign_in.id)),
                    asyncio.create_task(store.challenge(challenge.id)),
                ]
                asked = asyncio.create_task(store.asked(alice.id))
                await asyncio.wait({*reads, asked}, timeout=0.2)
                assert not any(each.done() for each in (*reads, asked, answered))
            await answered
            for each in await asyncio.gather(*reads):
                assert each is not None
                assert each.sign_in.state is SignInState.APPROVED
            snapshot = await asked
        assert snapshot is not None
        assert snapshot.live == ()


@pytest.mark.reliability("R-16")
async def test_an_answer_that_got_its_turn_after_the_deadline_decides_nothing(
    stores: PostgresStores, store: PostgresStore
) -> None:
    """Its rule ran in time, and then somebody held the person's row until the time was over."""
    alice = await enrol(store)
    seen = await begin(store, alice)
    stores.clock.advance(119.9)
    ran = asyncio.Event()
    rule = answering(seen, alice.phone)

    def observed(snapshot: Snapshot, now: Instant) -> Decision[AnswerOutcome | None]:
        ran.set()
        return rule(snapshot, now)

    async with asyncio.timeout(SOON):
        async with held(stores, "users WHERE id = $1", alice.id):
            answered = asyncio.create_task(store.decide(alice.id, observed))
            await ran.wait()
            stores.clock.advance(0.2)
        decision, _ = await answered
    assert decision.reply is None
    assert (await look(store, seen.sign_in.id)).state is not SignInState.APPROVED
