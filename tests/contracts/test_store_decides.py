"""Deciding: everything of a decision or nothing, exact under concurrency, and no neighbour's trouble."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from push_service.decisions import Decisions
from push_service.model import ids
from push_service.model.challenge import ChallengeState
from push_service.model.decision import Actor, Audit, AuditKind, Decision, Rule
from push_service.model.errors import (
    ServiceError,
    StoreUnavailable,
    TooManyPending,
    TooManyRequests,
    UnknownUser,
    WrongNumber,
)
from push_service.model.ids import UserId
from push_service.model.instant import Instant, after
from push_service.model.method import AnswerDecision
from push_service.model.rules.answer import AnswerOutcome
from push_service.model.sign_in import SignInState
from push_service.model.throttle import Charge
from push_service.model.user import Snapshot, UserState
from push_service.model.view import Seen
from push_service.ports import Committed, Duplicate, Store, Topic
from tests.contracts.kinds import Stores
from tests.contracts.making import (
    BY_OPERATOR,
    POLICY,
    answer,
    answering,
    begin,
    beginning,
    challenge_of,
    enrol,
    look,
    new_device,
    writing,
)


async def test_a_decision_writes_all_its_rows_and_says_which_bells_to_ring(stores: Stores, store: Store) -> None:
    alice = await enrol(store, phones=2)
    before = len(stores.audit())
    decision, committed = await store.decide(alice.id, beginning(await store.now()))
    seen = await store.watch(decision.reply.sign_in.id)
    assert seen is not None
    assert (seen.sign_in, seen.challenge) == (decision.reply.sign_in, decision.reply.challenge)
    assert seen.user.guard == decision.reply.user.guard
    assert seen.user.version == alice.user.version + 1
    assert committed.topics == (Topic.user(alice.id),)  # nobody knows the sign-in yet
    assert committed.audit == decision.audit
    assert [(each.kind, each.sign_in_id) for each in stores.audit()[before:]] == [("sign_in.begun", seen.sign_in.id)]
    assert await store.acknowledge([(challenge_of(seen).id, each.id) for each in alice.phones])


async def test_an_outcome_is_there_for_whoever_opens_the_store_next(stores: Stores) -> None:
    async with stores.open() as store:
        alice = await enrol(store)
        seen = await begin(store, alice)
        await answer(store, alice, seen)
    async with stores.open() as store:
        again = await store.watch(seen.sign_in.id)
    assert again is not None
    assert again.sign_in.state is SignInState.APPROVED
    assert again.challenge is not None
    assert (again.challenge.state, again.challenge.answered_by) == (ChallengeState.COMPLETED, alice.phone.id)


async def test_a_decision_without_changes_writes_nothing(stores: Stores, store: Store) -> None:
    alice = await enrol(store)
    before = stores.audit()
    decision, committed = await store.decide(alice.id, lambda snapshot, _: Decision(reply=snapshot.user.username))
    assert (decision.reply, committed) == ("alice", Committed((), ()))
    assert await store.user(alice.id) == alice.user
    assert stores.audit() == before


@pytest.mark.reliability("R-20")
async def test_fifty_begins_of_one_person_at_once_never_exceed_the_limit(stores: Stores, store: Store) -> None:
    alice = await enrol(store)
    now = await store.now()
    decided = await asyncio.gather(*(store.decide(alice.id, beginning(now)) for _ in range(50)))
    begun = [decision.reply for decision, _ in decided if decision.refusal is None]
    assert len(begun) == POLICY.pending_per_person
    others = [decision.refusal for decision, _ in decided if decision.refusal]
    assert {type(each) for each in others} <= {TooManyPending, TooManyRequests}
    asked = await store.asked(alice.id)
    assert asked is not None
    assert {each.sign_in.id for each in asked.live} == {each.sign_in.id for each in begun}
    assert len({challenge_of(each).secret for each in begun}) == POLICY.pending_per_person
    assert asked.user.version == alice.user.version + 50
    assert sum(each.kind == "sign_in.refused" for each in stores.audit()) == 50 - POLICY.pending_per_person


@pytest.mark.reliability("R-20")
async def test_two_processes_deciding_about_one_person_at_once_are_as_exact_as_one(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        alice = await enrol(one)
        now = await one.now()
        both = (one, other)
        decided = await asyncio.gather(*(both[n % 2].decide(alice.id, beginning(now)) for n in range(30)))
        begun = [decision.reply.sign_in.id for decision, _ in decided if decision.refusal is None]
        asked = await other.asked(alice.id)
        assert asked is not None
        assert len(begun) == POLICY.pending_per_person
        assert {each.sign_in.id for each in asked.live} == set(begun)
        assert asked.user.version == alice.user.version + 30


@pytest.mark.reliability("R-01", "R-21")
async def test_of_a_hundred_answers_at_once_one_decides(stores: Stores, store: Store) -> None:
    alice = await enrol(store, phones=4)
    seen = await begin(store, alice)
    kinds = (AnswerDecision.VERIFY, AnswerDecision.DENY)
    rules = [answering(seen, alice.phones[n % 4], kinds[n % 2]) for n in range(100)]
    decided = await asyncio.gather(*(store.decide(alice.id, rule) for rule in rules))
    outcomes = [decision.reply for decision, _ in decided if decision.reply is not None]
    assert len(outcomes) == 1
    sign_in = await look(store, seen.sign_in.id)
    wanted = {AnswerOutcome.COMPLETED: SignInState.APPROVED, AnswerOutcome.DENIED: SignInState.DENIED}
    assert sign_in.state is wanted[outcomes[0]]
    recorded = [each.code for each in stores.audit() if each.kind == "sign_in.outcome"]
    assert recorded == [sign_in.state.value]


async def test_a_failing_decision_fails_none_of_its_neighbours(stores: Stores, store: Store) -> None:
    people = [await enrol(store, f"person{n}") for n in range(12)]
    now = await store.now()
    twin = msgspec.structs.replace(new_device(people[1].id, now), thumbprint=people[2].phone.thumbprint)
    spent = Charge("spent", cost=10, burst=5)

    def raising(_: Snapshot, __: Instant) -> Decision[None]:
        raise ZeroDivisionError

    def refusing(_: Snapshot, __: Instant) -> Decision[None]:
        raise WrongNumber

    good = beginning(now)
    cases: list[tuple[UserId, Rule[object], list[Charge]]] = [
        (people[0].id, raising, []),
        (people[1].id, writing(device=twin), []),
        (people[2].id, good, [spent]),
        (people[3].id, refusing, []),
        (UserId("usr_nobody"), good, []),
        (people[5].id, writing(until=now), []),
        *((person.id, beginning(now), []) for person in people[6:]),
    ]

    async def decide(user_id: UserId, rule: Rule[object], charges: list[Charge]) -> str:
        try:
            await store.decide(user_id, rule, charges)
        except (ServiceError, ZeroDivisionError, Duplicate) as refused:
            return type(refused).__name__
        return "committed"

    before = stores.audit()
    told = await asyncio.gather(*(decide(*case) for case in cases))
    failures = ["ZeroDivisionError", "Duplicate", "TooManyRequests", "WrongNumber", "UnknownUser", "StoreUnavailable"]
    assert told == [*failures, *["committed"] * 6]
    for person in people[:6]:
        assert await store.user(person.id) == person.user
    for person in people[6:]:
        assert (asked := await store.asked(person.id)) is not None
        assert len(asked.live) == 1
    assert {each.user_id for each in stores.audit()[len(before) :]} <= {None, *(each.id for each in people[6:])}


async def test_a_duplicate_names_the_column(store: Store) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    twin = msgspec.structs.replace(new_device(bob.id, await store.now()), thumbprint=alice.phone.thumbprint)
    with pytest.raises(Duplicate) as refused:
        await store.decide(bob.id, writing(device=twin))
    assert refused.value.column == "devices.thumbprint"
    assert await store.device(twin.id) is None


async def test_a_refusal_is_committed_with_its_records_and_what_it_counted(stores: Stores, store: Store) -> None:
    alice = await enrol(store)
    guard = msgspec.structs.replace(alice.user.guard, muted_until=Instant(7))
    rule = writing(
        refusal=WrongNumber(),
        user=msgspec.structs.replace(alice.user, guard=guard),
        audit=(Audit(kind=AuditKind.ANSWER_REFUSED, actor=Actor.DEVICE, user_id=alice.id, code="wrong_number"),),
    )
    decision, committed = await store.decide(alice.id, rule)
    assert isinstance(decision.refusal, WrongNumber)
    assert Topic.user(alice.id) in committed.topics
    user = await store.user(alice.id)
    assert user is not None
    assert (user.guard.muted_until, user.version) == (7, alice.user.version + 1)
    assert stores.audit()[-1][:3] == ("answer.refused", "wrong_number", alice.id)


async def test_what_a_rule_raises_leaves_nothing_behind(stores: Stores, store: Store) -> None:
    alice = await enrol(store)
    before = stores.audit()

    def rule(_: Snapshot, __: Instant) -> Decision[None]:
        raise ZeroDivisionError

    charge = Charge("key", cost=10, burst=10)
    with pytest.raises(ZeroDivisionError):
        await store.decide(alice.id, rule, [charge])
    assert await store.user(alice.id) == alice.user
    assert stores.audit() == before
    await store.debit([charge])  # was not spent


async def test_a_charge_over_the_limit_writes_nothing_and_spends_none_of_the_others(
    stores: Stores, store: Store
) -> None:
    alice = await enrol(store)
    before = stores.audit()
    good, over = Charge("good", cost=10_000_000, burst=10_000_000), Charge("over", cost=11, burst=10)
    with pytest.raises(TooManyRequests) as refused:
        await store.decide(alice.id, beginning(await store.now()), [good, over])
    assert refused.value.retry_after is not None
    assert await store.user(alice.id) == alice.user
    assert stores.audit() == before
    await store.debit([good])
    with pytest.raises(TooManyRequests) as refused:
        await store.debit([good])
    assert refused.value.retry_after == 10


async def test_the_charges_of_a_decision_are_spent_with_it(store: Store) -> None:
    alice = await enrol(store)
    charge = Charge("key", cost=10, burst=10)
    await store.decide(alice.id, beginning(await store.now()), [charge])
    with pytest.raises(TooManyRequests):
        await store.debit([charge])
    await store.debit([charge.given_back()])
    await store.debit([charge])


@pytest.mark.reliability("R-20")
async def test_of_a_hundred_debits_at_once_as_many_pass_as_the_limit_allows(stores: Stores, store: Store) -> None:
    second = 1_000_000
    charge = Charge("key", cost=second, burst=10 * second)

    async def debit() -> bool:
        try:
            await store.debit([charge])
        except TooManyRequests:
            return False
        return True

    assert sum(await asyncio.gather(*(debit() for _ in range(100)))) == 10
    stores.clock.advance(3)
    assert sum(await asyncio.gather(*(debit() for _ in range(100)))) == 3


async def test_a_decision_that_comes_too_late_writes_nothing(stores: Stores, store: Store) -> None:
    alice = await enrol(store)
    before, now = stores.audit(), await store.now()
    charge = Charge("key", cost=10, burst=10)
    for until in (now, after(now, -1)):
        with pytest.raises(StoreUnavailable):
            await store.decide(alice.id, writing(until=until), [charge])
    assert await store.user(alice.id) == alice.user
    assert stores.audit() == before
    await store.decide(alice.id, writing(until=after(now, 0.000001)), [charge])
    assert len(stores.audit()) == len(before) + 1


async def test_nothing_is_decided_about_nobody(stores: Stores, store: Store) -> None:
    ran = False

    def rule(_: Snapshot, __: Instant) -> Decision[None]:
        nonlocal ran
        ran = True
        return Decision(reply=None, audit=(BY_OPERATOR,))

    with pytest.raises(UnknownUser):
        await store.decide(ids.user_id(), rule)
    assert not ran
    assert stores.audit() == []


async def test_a_rule_is_told_the_time_of_the_store_and_sees_only_what_is_live(stores: Stores, store: Store) -> None:
    alice = await enrol(store)
    over, live = await begin(store, alice), await begin(store, alice)
    await answer(store, alice, over)
    stores.clock.advance(1000)

    def rule(snapshot: Snapshot, now: Instant) -> Decision[tuple[Snapshot, Instant]]:
        return Decision(reply=(snapshot, now))

    (snapshot, now) = (await store.decide(alice.id, rule))[0].reply
    assert now == stores.clock() == await store.now()
    # Its deadline has passed; that is the rule's to settle.
    assert [each.sign_in.id for each in snapshot.live] == [live.sign_in.id]
    assert snapshot.live[0].challenge == live.challenge
    assert snapshot.user == await store.user(alice.id)


async def test_a_read_is_of_one_moment(stores: Stores) -> None:
    """Each decision replaces the one live sign-in and notes when it began in the guard: no read sees them apart."""
    async with stores.open() as writer, stores.open() as reader:
        alice = await enrol(writer)
        latest = await begin(writer, alice)

        async def replace_it_again_and_again() -> None:
            nonlocal latest
            for _ in range(60):
                stores.clock.advance(0.001)
                replace = beginning(await writer.now(), replaces=latest.sign_in.id)

                def noted(snapshot: Snapshot, now: Instant, replace: Rule[Seen] = replace) -> Decision[Seen]:
                    decision = replace(snapshot, now)
                    guard = msgspec.structs.replace(snapshot.user.guard, reset_at=decision.reply.sign_in.begun_at)
                    return msgspec.structs.replace(decision, user=msgspec.structs.replace(snapshot.user, guard=guard))

                latest = (await writer.decide(alice.id, noted))[0].reply

        replacing = asyncio.create_task(replace_it_again_and_again())
        seen: set[int] = set()
        while not replacing.done():
            asked = await reader.asked(alice.id)
            assert asked is not None
            (pending,) = asked.live
            assert pending.challenge is not None
            assert pending.challenge.sign_in_id == pending.sign_in.id
            assert asked.user.guard.reset_at in {None, pending.sign_in.begun_at}
            watched = await reader.watch(pending.sign_in.id)
            assert watched is not None
            assert watched.challenge is not None
            over = watched.sign_in.state is not SignInState.PENDING
            assert over == (watched.challenge.state is not ChallengeState.PENDING)
            seen.add(asked.user.version)
            await asyncio.sleep(0)
        await replacing
        assert len(seen) > 10


async def test_state_password_and_administrator_are_written_when_they_change(store: Store) -> None:
    alice = await enrol(store)
    changed = msgspec.structs.replace(alice.user, state=UserState.DISABLED, password_hash=None, admin=True)
    await store.decide(alice.id, writing(user=changed))
    assert await store.user(alice.id) == msgspec.structs.replace(changed, version=alice.user.version + 1)


async def test_whoever_decides_tells_nobody_of_a_refusal_before_it_is_committed(stores: Stores, store: Store) -> None:
    alice = await enrol(store)
    rung: list[tuple[Topic, ...]] = []

    class Bell:
        async def ring(self, topics: tuple[Topic, ...]) -> None:
            assert stores.audit()[-1].code == "wrong_number"
            rung.append(topics)

    told: list[Audit] = []
    record = Audit(kind=AuditKind.ANSWER_REFUSED, actor=Actor.DEVICE, code="wrong_number")
    decisions = Decisions(store, Bell(), [told.append])  # type: ignore[arg-type]
    with pytest.raises(WrongNumber):
        await decisions.decide(alice.id, writing(refusal=WrongNumber(), user=alice.user, audit=(record,)))
    assert rung == [(Topic.user(alice.id),)]
    assert told == [record]
