"""The server's way of spending is the model's, and exact whoever spends at once."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from push_service.model.errors import StoreUnavailable, TooManyRequests
from push_service.model.instant import Instant
from push_service.model.throttle import Charge, spend, wait_seconds
from push_service.store.postgres import PostgresStore
from tests.contracts.kinds import PostgresStores
from tests.contracts.making import beginning, enrol, writing
from tests.store.postgres.eventually import SOON

SECOND = 1_000_000

charges = st.builds(
    Charge,
    key=st.sampled_from("abc"),
    cost=st.integers(-3, 6).map(lambda seconds: seconds * SECOND + 1),
    burst=st.integers(0, 12).map(lambda seconds: seconds * SECOND),
)


class Spender(NamedTuple):
    """Somebody who spends several charges at once, all or none."""

    charges: tuple[Charge, ...]


def spent_by_the_model(tats: dict[str, Instant], now: Instant, spenders: list[Spender]) -> dict[str, float]:
    """What the pure rule makes of it, one spender after another: the counters move, the refused are returned."""
    refused: dict[str, float] = {}
    for number, spender in enumerate(spenders):
        after = dict(tats)
        for charge in spender.charges:
            before = after.get(charge.key, Instant(0))
            tat = spend(before, now, charge.cost, charge.burst)
            if tat is None:
                refused[str(number)] = wait_seconds(before, now, charge.cost, charge.burst)
                break
            after[charge.key] = tat
        else:
            tats.update(after)
    return refused


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rounds=st.lists(
        st.tuples(
            st.integers(0, 5),
            st.lists(st.builds(Spender, st.lists(charges, min_size=1, max_size=4).map(tuple)), max_size=5),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_server_spends_as_the_model_says(stores: PostgresStores, rounds: list[tuple[int, list[Spender]]]) -> None:
    stores.beside.execute("TRUNCATE throttles")
    tats: dict[str, Instant] = {}
    for seconds, spenders in rounds:
        stores.clock.advance(seconds)
        wanted = spent_by_the_model(tats, stores.clock(), spenders)
        flat = [(str(n), charge) for n, spender in enumerate(spenders) for charge in spender.charges]
        found = stores.beside.rows(
            "SELECT owner, wait FROM spend($1, $2, $3, $4)",
            [owner for owner, _ in flat],
            [charge.key for _, charge in flat],
            [charge.cost for _, charge in flat],
            [charge.burst for _, charge in flat],
        )
        assert {owner: wait / SECOND for owner, wait in found} == wanted
        stored = dict(stores.beside.rows("SELECT key, tat FROM throttles WHERE tat <> 0"))
        assert stored == {key: tat for key, tat in tats.items() if tat}


@pytest.mark.reliability("R-20")
async def test_two_processes_that_spend_at_once_never_spend_more_than_there_is(stores: PostgresStores) -> None:
    """By themselves and with decisions, keys given in every order: exact, and nobody waits for ever for another."""
    limited = Charge("limited", cost=SECOND, burst=15 * SECOND)
    wide = Charge("wide", cost=1, burst=1000 * SECOND)
    async with stores.open() as one, stores.open() as other, asyncio.timeout(SOON):
        both = (one, other)
        people = [await enrol(one, f"person{n}") for n in range(20)]

        async def spent(n: int) -> bool:
            store, order = both[n % 2], (limited, wide) if n % 3 else (wide, limited)
            try:
                if n < 20:
                    await store.decide(people[n].id, beginning(await store.now()), order)
                else:
                    await store.debit(order)
            except TooManyRequests:
                return False
            return True

        assert sum(await asyncio.gather(*(spent(n) for n in range(60)))) == 15
        begun = [asked for person in people if (asked := await one.asked(person.id)) and asked.live]
        decided = sum(each.kind == "sign_in.begun" for each in stores.audit())
        assert len(begun) == decided
        with pytest.raises(TooManyRequests) as refused:
            await other.debit([limited])
        assert refused.value.retry_after == 1
        with pytest.raises(TooManyRequests):  # with a decision that writes seldom, and with one that writes nothing
            await one.decide(people[0].id, writing(removed_devices=(people[0].phone.id,)), [limited])
        with pytest.raises(TooManyRequests):
            await one.decide(people[0].id, writing(audit=()), [limited])
        assert await one.devices(people[0].id) == [people[0].phone]


@pytest.mark.reliability("R-20")
async def test_when_counting_is_not_possible_nothing_passes(stores: PostgresStores, store: PostgresStore) -> None:
    alice = await enrol(store)
    stores.beside.execute("ALTER TABLE throttles RENAME TO lost")
    charge = Charge("key", cost=1, burst=SECOND)
    for refused in (store.debit([charge]), store.decide(alice.id, writing(), [charge])):
        with pytest.raises(StoreUnavailable):
            await refused
    assert await store.user(alice.id) == alice.user
    stores.beside.execute("ALTER TABLE lost RENAME TO throttles")
    await store.debit([charge])
