"""Two processes decide about the same people at the same instants, and the server crashes under them.

A few rounds of it, from a seed. What was told is compared with what is stored and with what is recorded.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections import Counter

import pytest

from push_service.model import ids
from push_service.model.decision import Decision, Rule
from push_service.model.errors import StoreUnavailable
from push_service.model.ids import SignInId, UserId
from push_service.model.method import AnswerDecision
from push_service.model.policy import Policy, Rate
from push_service.model.rules.browser import withdraw
from push_service.model.sign_in import SignInState
from push_service.model.view import Seen
from push_service.ports import Duplicate, Store
from tests.contracts.kinds import PostgresStores
from tests.contracts.making import Person, answering, beginning, enrol, look

SOON = 60.0
PEOPLE = 10
ROUNDS = 4
BEGINS = 5
LIMIT = 3
OFTEN = Rate(1000, 60)
POLICY = Policy(pending_per_person=LIMIT, begins_per_person=OFTEN, prompts_unanswered=(OFTEN,))


async def insisted(store: Store, user_id: UserId, rule: Rule[object]) -> Decision[object]:
    """Ask again for as long as the store is away."""
    while True:
        try:
            return (await store.decide(user_id, rule))[0]
        except StoreUnavailable:
            await asyncio.sleep(0.02)


async def seen_by(store: Store, sign_in_id: SignInId) -> Seen | None:
    while True:
        try:
            return await store.watch(sign_in_id)
        except StoreUnavailable:
            await asyncio.sleep(0.02)


async def begun(store: Store, person: Person) -> Seen | None:
    """Begin once, as a browser with an Idempotency-Key does: None if refused."""
    sign_in_id = ids.sign_in_id()
    rule = beginning(await store.now(), sign_in_id=sign_in_id, policy=POLICY)
    while True:
        try:
            decision, _ = await store.decide(person.id, rule)
        except (StoreUnavailable, Duplicate):
            await asyncio.sleep(0.02)
            if (seen := await seen_by(store, sign_in_id)) is not None:
                return seen
        else:
            return None if decision.refusal else decision.reply


async def ended(dice: random.Random, both: tuple[Store, Store], person: Person, seen: Seen) -> list[object]:
    """Approve, deny and withdraw it, each at the same instant and by either process; what each was told."""
    rules: list[Rule[object]] = [
        answering(seen, person.phone),
        answering(seen, person.phone, AnswerDecision.DENY),
        functools.partial(withdraw, sign_in_id=seen.sign_in.id, source=None),
    ]
    dice.shuffle(rules)
    decided = await asyncio.gather(*(insisted(dice.choice(both), person.id, rule) for rule in rules))
    return [each.reply for each in decided if each.reply is not None]


@pytest.mark.reliability("R-01", "R-02", "R-20", "R-22")
@pytest.mark.parametrize("crashes", [0, 2])
async def test_colliding_decisions_are_exact_whatever_becomes_of_the_server(
    stores: PostgresStores, crashes: int
) -> None:
    dice = random.Random(crashes)  # noqa: S311 - a schedule that can be run again
    told: Counter[SignInId] = Counter()
    async with asyncio.timeout(SOON), stores.open() as one, stores.open() as other:
        both = (one, other)
        people = [await enrol(one, f"person{n}") for n in range(PEOPLE)]

        async def live(person: Person) -> None:
            for _ in range(ROUNDS):
                asked = await asyncio.gather(*(begun(both[n % 2], person) for n in range(BEGINS)))
                accepted = [seen for seen in asked if seen is not None]
                assert len(accepted) == LIMIT
                for seen in accepted:
                    told[seen.sign_in.id] += len(await ended(dice, both, person, seen))

        async def crash() -> None:
            for _ in range(crashes):
                await asyncio.sleep(dice.uniform(0.05, 0.3))
                await asyncio.to_thread(stores.server.restart)

        await asyncio.gather(crash(), *(live(person) for person in people))
        outcomes = Counter(each.sign_in_id for each in stores.audit() if each.kind == "sign_in.outcome")
        assert len(outcomes) == PEOPLE * ROUNDS * LIMIT
        assert set(outcomes.values()) == {1}
        assert max(told.values()) == 1
        if not crashes:
            assert set(told.values()) == {1}
        for sign_in_id in told:
            sign_in = await look(one, sign_in_id)
            assert sign_in.state in {SignInState.APPROVED, SignInState.DENIED, SignInState.WITHDRAWN}
            assert sign_in.version == 2
        decisions = dict(
            stores.beside.rows("SELECT user_id, count(DISTINCT decision) FROM audit WHERE user_id <> '' GROUP BY 1")
        )
        for person in people:
            user = await other.user(person.id)
            assert user is not None
            assert user.version - person.user.version == decisions[person.id]
