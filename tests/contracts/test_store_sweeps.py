"""What time has ended is found and deleted, a bounded amount at a time, and nothing that can still be asked for."""

from __future__ import annotations

import asyncio

from push_service.model.decision import Remembered
from push_service.model.device import UsedActivation
from push_service.model.ids import DeviceId
from push_service.model.instant import after
from push_service.model.policy import MAX_SIGN_IN_SECONDS, SETTINGS_READING_SECONDS
from push_service.model.rules.browser import expire
from push_service.model.sign_in import SignInState
from push_service.model.throttle import Charge
from push_service.ports import Store
from tests.contracts.kinds import Stores
from tests.contracts.making import BY_OPERATOR, answer, begin, challenge_of, enrol, look, writing

UNREADABLE = SETTINGS_READING_SECONDS + MAX_SIGN_IN_SECONDS


async def test_people_with_sign_ins_past_their_deadline_are_overdue_until_that_is_written_down(
    stores: Stores, store: Store
) -> None:
    alice, bob, carol = [await enrol(store, name) for name in ("alice", "bob", "carol")]
    late = [await begin(store, alice), await begin(store, alice), await begin(store, bob)]
    answered = await begin(store, carol)
    await answer(store, carol, answered)
    await begin(store, carol, seconds=300)
    stores.clock.advance(119.999)
    assert await store.overdue(10) == []
    stores.clock.advance(0.001)
    assert sorted(await store.overdue(10)) == sorted([alice.id, bob.id])
    assert len(await store.overdue(1)) == 1
    for person in (alice, bob):
        await store.decide(person.id, expire)
    assert await store.overdue(10) == []
    for seen in late:
        assert (await look(store, seen.sign_in.id)).state is SignInState.EXPIRED
    assert [each.code for each in stores.audit() if each.kind == "sign_in.outcome"].count("expired") == 3


async def test_nothing_that_can_still_be_asked_for_is_swept(stores: Stores, store: Store) -> None:
    alice = await enrol(store)
    done, live = await begin(store, alice), await begin(store, alice)
    await answer(store, alice, done)
    now = await store.now()
    kept = Remembered("app_1", "POST /", "key", "mac", b"x", after(now, 600))
    code = UsedActivation("code", alice.id, after(now, 600))
    await store.decide(alice.id, writing(remembered=kept, activation=code))
    spent = Charge("key", cost=900_000_000, burst=900_000_000)
    await store.debit([spent])
    assert await store.sweep() == 0
    stores.clock.advance(599)
    assert await store.sweep() == 0
    assert await store.remembered("app_1", "POST /", "key") == kept
    assert await store.activation("code") == code
    stores.clock.advance(UNREADABLE - 600)
    assert await store.sweep() == 3  # the remembered answer, the code, the counter that has run off
    for seen in (done, live):
        assert await store.watch(seen.sign_in.id) is not None
        assert await store.challenge(challenge_of(seen).id) is not None
    assert await store.user(alice.id) is not None
    assert await store.devices(alice.id) == [alice.phone]


async def test_what_nobody_can_ask_for_any_more_goes_but_for_its_record(stores: Stores, store: Store) -> None:
    alice = await enrol(store)
    done, live = await begin(store, alice), await begin(store, alice)
    await answer(store, alice, done)
    records = stores.audit()
    stores.clock.advance(UNREADABLE + 1)
    assert await store.sweep() == 2  # the sign-in and its challenge
    assert await store.watch(done.sign_in.id) is None
    assert await store.challenge(challenge_of(done).id) is None
    # Nobody has written its expiry down, so it waits for that.
    assert (await look(store, live.sign_in.id)).state is SignInState.PENDING
    assert await store.overdue(1) == [alice.id]
    assert stores.audit() == records
    assert await store.sweep() == 0


async def test_two_sweepers_at_once_take_each_row_once(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        until = after(await one.now(), 60)
        for n in range(40):
            await one.spend_proof(DeviceId("dev_1"), f"jti{n}", until)
        stores.clock.advance(61)
        assert sum(await asyncio.gather(*(store.sweep() for store in (one, other, one, other)))) == 40
        assert await one.spend_proof(DeviceId("dev_1"), "jti0", after(await one.now(), 60))


async def test_one_sweep_takes_a_bounded_amount_and_the_next_the_rest(stores: Stores, store: Store) -> None:
    until = after(await store.now(), 60)
    total = 1300
    await asyncio.gather(*(store.spend_proof(DeviceId("dev_1"), f"jti{n}", until) for n in range(total)))
    stores.clock.advance(61)
    swept = [await store.sweep() for _ in range(5)]
    assert max(swept) < total
    assert sum(swept) == total
    assert swept[-1] == 0
    await store.record([BY_OPERATOR])
