"""The outbox of prompts and the push tokens that it is worked off by: leases, attempts, and tokens that go."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from push_service.model.challenge import DeliveryState
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.ids import ChallengeId, DeviceId
from push_service.model.instant import Instant, after
from push_service.model.outbox import Attempt, Undelivered
from push_service.model.rules.ask import LEASE_SECONDS
from push_service.model.view import Seen
from push_service.ports import Store
from tests.contracts.kinds import Stores
from tests.contracts.making import Person, answer, begin, beginning, challenge_of, enrol, new_device, writing

RETIRED = Audit(kind=AuditKind.PUSH_TOKEN_RETIRED, actor=Actor.TIME, code="unregistered")


def attempt(row: Undelivered, state: DeliveryState, retry_seconds: float = 0.0) -> Attempt:
    return Attempt(
        challenge_id=row.challenge_id,
        device_id=row.device_id,
        lease_until=row.lease_until,
        state=state,
        retry_seconds=retry_seconds,
    )


async def put(stores: Stores, store: Store, *, phones: int = 1, name: str = "alice") -> tuple[Person, Seen, Instant]:
    """A person who is asked, and the lease with which their prompt is born."""
    person = await enrol(store, name, phones=phones)
    return person, await begin(store, person), after(stores.clock.at, LEASE_SECONDS)


async def delivery(store: Store, seen: Seen) -> DeliveryState:
    watched = await store.watch(seen.sign_in.id)
    assert watched is not None
    return watched.delivery


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_a_decision_tells_which_prompts_it_put(stores: Stores, store: Store) -> None:
    person = await enrol(store, phones=2)
    _, committed = await store.decide(person.id, writing())
    assert committed.deliveries == ()
    decision, committed = await store.decide(person.id, beginning(stores.clock.at))
    assert committed.deliveries == decision.deliveries
    assert [(each.device_id, each.lease_until) for each in committed.deliveries] == [
        (phone.id, after(stores.clock.at, LEASE_SECONDS)) for phone in person.phones
    ]


async def test_the_lease_that_a_prompt_is_born_with_is_claimed_by_its_end(stores: Stores, store: Store) -> None:
    person, seen, lease = await put(stores, store, phones=2)
    challenge = challenge_of(seen)
    found = await store.claim(challenge.id, lease, 10)
    assert {(each.device_id, each.push_token) for each in found} == {
        (phone.id, phone.push_token) for phone in person.phones
    }
    for each in found:
        assert (each.challenge_id, each.user_id, each.sign_in_id) == (challenge.id, person.id, seen.sign_in.id)
        assert (each.attempts, each.lease_until) == (0, after(stores.clock.at, 10))
        assert (each.expires_at, each.seconds) == (seen.sign_in.expires_at, 120.0)
    assert await store.claim(challenge.id, lease, 10) == []  # that lease is over: it has a new end, and so a new name
    assert len(await store.claim(challenge.id, found[0].lease_until, 10)) == 2


async def test_what_is_acknowledged_answered_over_or_removed_is_not_sent_any_more(stores: Stores, store: Store) -> None:
    person, shown, lease = await put(stores, store, phones=2)
    await store.acknowledge([(challenge_of(shown).id, person.phones[0].id)])
    await store.decide(person.id, writing(removed_devices=(person.phones[1].id,)))
    assert await store.claim(challenge_of(shown).id, lease, 10) == []

    bob, answered, lease = await put(stores, store, name="bob")
    await answer(store, bob, answered)
    assert await store.claim(challenge_of(answered).id, lease, 10) == []

    _, expired, lease = await put(stores, store, name="carol")
    stores.clock.advance(120)
    assert await store.claim(challenge_of(expired).id, lease, 10) == []
    assert await store.take_due(10, 10) == []


@pytest.mark.reliability("R-10")
async def test_a_lease_that_ran_out_is_taken_over_once_and_its_former_holder_finds_it_gone(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        _, seen, lease = await put(stores, one)
        assert await other.take_due(10, 10) == []
        stores.clock.advance(LEASE_SECONDS)
        taken = await asyncio.gather(*(each.take_due(10, 10) for each in (one, other) * 5))
        assert sum(map(len, taken)) == 1
        [row] = next(each for each in taken if each)
        assert await one.claim(challenge_of(seen).id, lease, 10) == []
        assert len(await other.claim(row.challenge_id, row.lease_until, 10)) == 1


async def test_what_is_due_is_taken_in_bounded_helpings_the_longest_waiting_first(stores: Stores, store: Store) -> None:
    begun = []
    for n in range(5):
        _, seen, _ = await put(stores, store, name=f"person{n}")
        begun.append(challenge_of(seen).id)
        stores.clock.advance(0.1)
    stores.clock.advance(LEASE_SECONDS)
    first = await store.take_due(3, 10)
    assert {each.challenge_id for each in first} == set(begun[:3])
    assert {each.challenge_id for each in await store.take_due(3, 10)} == set(begun[3:])
    assert await store.take_due(3, 10) == []


async def test_a_lease_that_is_given_back_is_anyones_at_the_time_that_was_set(stores: Stores, store: Store) -> None:
    _, seen, lease = await put(stores, store)
    challenge_id = challenge_of(seen).id
    await store.release(challenge_id, after(lease, 1))  # another's: left alone
    assert len(await store.claim(challenge_id, lease, 3)) == 1
    await store.release(challenge_id, lease)
    await store.release(challenge_id, after(stores.clock.at, 3))
    assert await store.take_due(10, 10) == []  # a moment is left for the phone to acknowledge
    stores.clock.advance(1.5)
    assert len(await store.take_due(10, 10)) == 1


# --- attempts ---------------------------------------------------------------------------------------------------------


async def test_what_was_sent_is_seen_once_and_never_sent_again(stores: Stores, store: Store) -> None:
    _, seen, lease = await put(stores, store)
    [row] = await store.claim(challenge_of(seen).id, lease, 10)
    assert await delivery(store, seen) is DeliveryState.QUEUED
    assert await store.attempted([attempt(row, DeliveryState.SENT)]) == [seen.sign_in.id]
    assert await delivery(store, seen) is DeliveryState.SENT
    assert await store.attempted([attempt(row, DeliveryState.SENT), attempt(row, DeliveryState.FAILED)]) == []
    assert await store.claim(row.challenge_id, row.lease_until, 10) == []
    stores.clock.advance(20)
    assert await store.take_due(10, 10) == []
    assert await store.acknowledge([(row.challenge_id, row.device_id)]) == [seen.sign_in.id]
    assert await delivery(store, seen) is DeliveryState.DELIVERED


async def test_failed_is_told_where_no_phone_could_be_reached_and_not_before(stores: Stores, store: Store) -> None:
    _, seen, lease = await put(stores, store, phones=2)
    rows = await store.claim(challenge_of(seen).id, lease, 10)
    await store.attempted([attempt(rows[0], DeliveryState.FAILED)])
    assert await delivery(store, seen) is DeliveryState.QUEUED
    await store.attempted([attempt(rows[1], DeliveryState.FAILED)])
    assert await delivery(store, seen) is DeliveryState.FAILED
    await store.acknowledge([(rows[0].challenge_id, rows[0].device_id)])  # it asked by itself
    assert await delivery(store, seen) is DeliveryState.DELIVERED

    _, half, lease = await put(stores, store, phones=2, name="bob")
    rows = await store.claim(challenge_of(half).id, lease, 10)
    await store.attempted([attempt(rows[0], DeliveryState.FAILED), attempt(rows[1], DeliveryState.SENT)])
    assert await delivery(store, half) is DeliveryState.SENT


async def test_what_is_to_be_tried_again_stays_with_its_holder_until_then_and_a_little_longer(
    stores: Stores, store: Store
) -> None:
    _, seen, lease = await put(stores, store)
    [row] = await store.claim(challenge_of(seen).id, lease, 4)
    assert await store.attempted([attempt(row, DeliveryState.QUEUED, retry_seconds=20)]) == []
    stores.clock.advance(23.9)
    assert await store.take_due(10, 10) == []
    stores.clock.advance(0.1)
    [again] = await store.take_due(10, 4)
    assert again.attempts == 1
    # The former holder has nothing to say about the lease any more.
    await store.attempted([attempt(row, DeliveryState.QUEUED, retry_seconds=50)])
    assert len(await store.claim(again.challenge_id, again.lease_until, 10)) == 1


async def test_what_was_acknowledged_meanwhile_stays_so(stores: Stores, store: Store) -> None:
    _, seen, lease = await put(stores, store)
    [row] = await store.claim(challenge_of(seen).id, lease, 10)
    await store.acknowledge([(row.challenge_id, row.device_id)])
    for state in (DeliveryState.FAILED, DeliveryState.SENT, DeliveryState.QUEUED):
        assert await store.attempted([attempt(row, state)]) == []
    assert await delivery(store, seen) is DeliveryState.DELIVERED


async def test_attempts_about_nothing_are_no_trouble(store: Store) -> None:
    nothing = Attempt(
        challenge_id=ChallengeId("ch_1"),
        device_id=DeviceId("dev_1"),
        lease_until=Instant(1),
        state=DeliveryState.SENT,
    )
    assert await store.attempted([nothing]) == []
    assert await store.attempted([]) == []
    await store.release(ChallengeId("ch_1"), Instant(1))


# --- push tokens ------------------------------------------------------------------------------------------------------


@pytest.mark.reliability("R-11")
async def test_a_token_is_retired_only_while_it_is_still_that_one(stores: Stores, store: Store) -> None:
    person = await enrol(store)
    phone, token = person.phone, person.phone.push_token
    assert token is not None
    assert not await store.retire_push_token(phone.id, "another", RETIRED)
    assert not await store.retire_push_token(DeviceId("dev_unknown"), token, RETIRED)
    fresh = msgspec.structs.replace(phone, push_token="fresh", push_token_at=stores.clock.at)
    await store.decide(person.id, writing(device=fresh))
    assert not await store.retire_push_token(phone.id, token, RETIRED)
    assert await store.device(phone.id) == fresh
    assert await store.retire_push_token(phone.id, "fresh", RETIRED)
    assert not await store.retire_push_token(phone.id, "fresh", RETIRED)
    assert await store.device(phone.id) == msgspec.structs.replace(phone, push_token=None, push_token_at=None)
    assert [each.code for each in stores.audit() if each.kind == "push_token.retired"] == ["unregistered"]


async def test_a_device_that_registers_anothers_token_takes_it_over(stores: Stores, store: Store) -> None:
    alice, bob = await enrol(store, "alice", phones=2), await enrol(store, "bob")
    taken = msgspec.structs.replace(bob.phone, push_token=alice.phone.push_token)
    _, committed = await store.decide(bob.id, writing(device=taken))
    assert [(each.kind, each.user_id, each.code, each.source) for each in committed.audit[1:]] == [
        (AuditKind.PUSH_TOKEN_RETIRED, alice.id, "taken_over", alice.phone.id)
    ]
    lost, kept, gained = [await store.device(each.id) for each in (*alice.phones, bob.phone)]
    assert lost is not None
    assert lost.push_token is None
    assert kept == alice.phones[1]
    assert gained == taken
    _, committed = await store.decide(bob.id, writing(device=taken))  # once more: nobody has it any more
    assert len(committed.audit) == 1
    assert [each.user_id for each in stores.audit() if each.kind == "push_token.retired"] == [alice.id]


async def test_tokens_that_no_device_has_confirmed_for_long_go_and_one_of_unknown_age_counts_from_now(
    stores: Stores, store: Store
) -> None:
    begun = stores.clock.at
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    confirmed = msgspec.structs.replace(alice.phone, push_token_at=begun)
    await store.decide(alice.id, writing(device=confirmed))
    stores.clock.advance(100)
    for _ in range(2):  # bob's is of unknown age: the first look gives it one
        assert await store.sweep_push_tokens(begun) == 0
    carol = await enrol(store, "carol")
    recent = msgspec.structs.replace(new_device(carol.id, stores.clock.at), push_token_at=stores.clock.at)
    await store.decide(carol.id, writing(device=recent))
    assert await store.sweep_push_tokens(after(begun, 1)) == 1
    tokens = [await store.device(each.id) for each in (alice.phone, bob.phone, recent)]
    assert [each and each.push_token for each in tokens] == [None, bob.phone.push_token, recent.push_token]
    assert await store.sweep_push_tokens(after(begun, 101)) == 3  # bob's, recent, and carol's first, counted just now
    assert await store.sweep_push_tokens(after(begun, 101)) == 0
    retired = [each for each in stores.audit() if each.kind == "push_token.retired"]
    assert {each.code for each in retired} == {"stale"}
    assert {each.user_id for each in retired} == {alice.id, bob.id, carol.id}


async def test_with_a_removed_device_its_token_goes(stores: Stores, store: Store) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    await store.decide(alice.id, writing(removed_devices=(alice.phone.id,)))
    stores.clock.advance(10)
    again = msgspec.structs.replace(bob.phone, push_token=alice.phone.push_token)
    _, committed = await store.decide(bob.id, writing(device=again))
    assert len(committed.audit) == 1
