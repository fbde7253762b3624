"""What was just read saves a decision its read, and decides nothing that is not so any more."""

from __future__ import annotations

import pytest

from push_service.model.decision import Decision
from push_service.model.errors import TooLate
from push_service.model.ids import UserId
from push_service.model.instant import Instant
from push_service.model.sign_in import SignInState
from push_service.model.user import Guard, Snapshot, User, UserState
from push_service.store.postgres.recent import MOST, Read, Recent
from tests.contracts.kinds import PostgresStores
from tests.contracts.making import BY_OPERATOR, answer, answering, begin, enrol


class Noting:
    """A rule that records something, and keeps on which snapshots it was run."""

    def __init__(self) -> None:
        self.ran_on: list[Snapshot] = []

    def __call__(self, snapshot: Snapshot, _: Instant) -> Decision[None]:
        self.ran_on.append(snapshot)
        return Decision(reply=None, user=snapshot.user, audit=(BY_OPERATOR,))


class Refusing(Noting):
    """A rule that refuses whoever is asked nothing."""

    def __call__(self, snapshot: Snapshot, now: Instant) -> Decision[None]:
        decision = super().__call__(snapshot, now)
        if not snapshot.live:
            raise TooLate(state=SignInState.APPROVED.value)
        return decision


async def test_the_snapshot_that_a_phone_was_shown_is_decided_on_without_being_read_again(
    stores: PostgresStores,
) -> None:
    async with stores.open() as store:
        alice = await enrol(store)
        await begin(store, alice)
        shown = await store.asked(alice.id)
        rule = Noting()
        await store.decide(alice.id, rule)
    assert len(rule.ran_on) == 1
    assert rule.ran_on[0] is shown


async def test_whoever_is_found_by_name_is_decided_on_without_being_read_again(stores: PostgresStores) -> None:
    async with stores.open() as store:
        alice = await enrol(store)
        found = await store.user_by_name(alice.user.name_key)
        first, second = Noting(), Noting()
        await store.decide(alice.id, first)
        await store.decide(alice.id, second)
    assert [each.user is found for each in (*first.ran_on, *second.ran_on)] == [True, False]
    assert found
    assert second.ran_on[0].user.version == found.version + 1


async def test_what_another_process_changed_meanwhile_is_read_and_decided_on(stores: PostgresStores) -> None:
    async with stores.open() as store, stores.open() as other:
        alice = await enrol(store)
        seen = await begin(store, alice)
        before = await store.asked(alice.id)
        await answer(other, alice, seen)
        rule = Noting()
        await store.decide(alice.id, rule)
        after = await store.asked(alice.id)
    assert [len(each.live) for each in rule.ran_on] == [1, 0]
    assert rule.ran_on[0] is before
    assert after
    assert after.user.version == rule.ran_on[1].user.version + 1


async def test_an_answer_to_what_is_over_by_now_is_judged_by_what_is_so(stores: PostgresStores) -> None:
    async with stores.open() as store, stores.open() as other:
        alice = await enrol(store, phones=2)
        seen = await begin(store, alice)
        await store.asked(alice.id)
        await answer(other, alice, seen)
        decided, _ = await store.decide(alice.id, answering(seen, alice.phones[1]))
        ended = await store.watch(seen.sign_in.id)
    assert not decided.changes
    assert ended
    assert ended.challenge
    assert ended.challenge.answered_by == alice.phone.id


async def test_a_refusal_is_not_believed_of_what_was_read_before(stores: PostgresStores) -> None:
    async with stores.open() as store, stores.open() as other:
        alice = await enrol(store)
        await store.user_by_name(alice.user.name_key)
        await begin(other, alice)
        rule = Refusing()
        await store.decide(alice.id, rule)
        assert [len(each.live) for each in rule.ran_on] == [0, 1]
        bob = await enrol(other, "bob")
        await store.user_by_name(bob.user.name_key)
        with pytest.raises(TooLate):
            await store.decide(bob.id, Refusing())


def test_only_so_many_are_kept_and_the_oldest_make_room() -> None:
    recent = Recent()
    first, *others = (Read(Snapshot(user, ()), Instant(0)) for user in map(_somebody, range(MOST + 1)))
    for each in (first, *others):
        recent.keep(each)
    assert recent.take(first.snapshot.user.id) is None
    assert recent.take(others[0].snapshot.user.id) is others[0]
    assert recent.take(others[0].snapshot.user.id) is None


def _somebody(n: int) -> User:
    return User(
        id=UserId(f"usr_{n}"),
        name_key=f"name{n}",
        username=f"name{n}",
        password_hash=None,
        state=UserState.ENFORCED,
        admin=False,
        version=1,
        guard=Guard(),
    )
