"""The outbox of texts and calls: each is marked before it is sent, so it is sent at most once, whatever crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from push_service.model import ids
from push_service.model.challenge import ChallengeState, DeliveryState, MethodKind
from push_service.model.decision import MethodSecret, Remembered
from push_service.model.ids import MessageId
from push_service.model.instant import after
from push_service.model.message import About, Outgoing, Sent, TakenOver, Via
from push_service.model.policy import MAX_SIGN_IN_SECONDS, SETTINGS_READING_SECONDS
from push_service.model.rules.browser import expire
from push_service.model.sign_in import Reason
from push_service.ports import Duplicate
from tests.contracts.kinds import Stores, WholeStore
from tests.contracts.making import Person, enrol, writing
from tests.contracts.texting import (
    LEASE_SECONDS,
    NUMBER,
    TEXT_SECONDS,
    Asked,
    closing,
    ending,
    notice,
    text,
)

NOTHING = TakenOver((), ())
UNREADABLE = SETTINGS_READING_SECONDS + MAX_SIGN_IN_SECONDS


async def claimed(store: WholeStore, asked: Asked, seconds: float = 10) -> Outgoing:
    outgoing = await store.claim_message(asked.message.id, asked.message.lease_until, seconds)
    assert outgoing is not None
    return outgoing


async def state(store: WholeStore, message_id: MessageId) -> tuple[DeliveryState, bool]:
    known = await store.known_message(message_id)
    assert known is not None
    return known.state, known.begun


async def delivery(store: WholeStore, asked: Asked) -> DeliveryState:
    watched = await store.watch(asked.seen.sign_in.id)
    assert watched is not None
    return watched.delivery


# --- written with the decision ----------------------------------------------------------------------------------------


async def test_a_decision_tells_which_messages_it_wrote(store: WholeStore) -> None:
    alice = await enrol(store)
    _, committed = await store.decide(alice.id, writing())
    assert committed.messages == ()
    asked = await text(store, alice)
    other = msgspec.structs.replace(asked.message, id=ids.message_id())
    _, committed = await store.decide(alice.id, writing(messages=(other,)))
    assert committed.messages == (other,)


async def test_messages_and_secrets_are_written_with_their_decision_or_not_at_all(store: WholeStore) -> None:
    alice = await enrol(store)
    asked, method_id = await text(store, alice), ids.method_id()
    kept = Remembered("app_1", "POST /", "key", "mac", b"x", after(await store.now(), 600))
    await store.decide(alice.id, writing(remembered=kept))
    half = msgspec.structs.replace(asked.message, id=ids.message_id())
    secret = (MethodSecret(method_id, NUMBER),)
    for rule in (
        writing(messages=(half,), remembered=kept),
        writing(messages=(half,), method_secrets=secret, remembered=kept),
        writing(removed_methods=(asked.message.method_id,), remembered=kept),
    ):
        with pytest.raises(Duplicate):
            await store.decide(alice.id, rule)
    assert await store.known_message(half.id) is None
    assert await store.method_secret(method_id) is None
    assert await store.method_secret(asked.message.method_id) == NUMBER


async def test_a_message_is_known_by_its_id_sent_or_not(store: WholeStore) -> None:
    alice = await enrol(store)
    asked = await text(store, alice, kind=MethodKind.CALL_OFFICE)
    known = await store.known_message(asked.message.id)
    assert known is not None
    assert (known.id, known.user_id, known.method_id) == (asked.message.id, alice.id, asked.message.method_id)
    assert (known.via, known.about, known.expires_at) == (Via.CALL, About.VERIFY, asked.message.expires_at)
    assert (known.state, known.begun, known.provider_id) == (DeliveryState.QUEUED, False, None)
    await claimed(store, asked)
    await store.sent(asked.message.id, Sent(state=DeliveryState.SENT, provider_id="CA1"))
    known = await store.known_message(asked.message.id)
    assert known is not None
    assert (known.state, known.begun, known.provider_id) == (DeliveryState.SENT, True, "CA1")
    assert await store.known_message(ids.message_id()) is None


async def test_why_a_challenge_could_not_be_delivered_is_kept_with_its_end(store: WholeStore) -> None:
    alice = await enrol(store)
    asked = await text(store, alice)
    why = {"state": ChallengeState.FAILED, "reason": Reason.DELIVERY_FAILED, "code": "dead_number"}
    await store.decide(alice.id, ending(asked, **why))
    pending = await store.challenge(asked.challenge.id)
    assert pending is not None
    assert pending.challenge is not None
    assert (pending.challenge.state, pending.challenge.reason, pending.challenge.code) == tuple(why.values())


@pytest.mark.security("S-12", "S-68")
async def test_neither_a_number_nor_a_code_can_be_read_in_the_data(stores: Stores, store: WholeStore) -> None:
    alice = await enrol(store)
    asked = await text(store, alice)
    totp = MethodSecret(ids.method_id(), "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    await store.decide(alice.id, writing(method_secrets=(totp,)))
    await claimed(store, asked)
    assert await store.method_secret(totp.method_id) == totp.value
    content = stores.content()
    for readable in (asked.message.id, asked.message.method_id, totp.method_id):
        assert readable.encode() in content
    for secret in (NUMBER, NUMBER[1:], asked.challenge.secret, totp.value):
        assert secret is not None
        assert secret.encode() not in content


# --- claimed ----------------------------------------------------------------------------------------------------------


async def test_what_is_claimed_is_all_that_sending_it_needs(stores: Stores, store: WholeStore) -> None:
    alice = await enrol(store)
    asked = await text(store, alice)
    stores.clock.advance(1)
    assert await claimed(store, asked) == Outgoing(
        id=asked.message.id,
        user_id=alice.id,
        username="alice",
        sign_in_id=asked.seen.sign_in.id,
        method_id=asked.message.method_id,
        via=Via.TEXT,
        about=About.CODE,
        detail="",
        number=NUMBER,
        secret=asked.challenge.secret,
        seconds=TEXT_SECONDS - 1,
    )
    assert await state(store, asked.message.id) == (DeliveryState.QUEUED, True)


async def test_a_notice_is_about_no_sign_in_and_tells_no_secret(store: WholeStore) -> None:
    alice = await enrol(store)
    message = await notice(store, alice)
    outgoing = await store.claim_message(message.id, message.lease_until, 10)
    assert outgoing is not None
    assert (outgoing.sign_in_id, outgoing.secret, outgoing.number) == (None, None, NUMBER)
    assert (outgoing.about, outgoing.detail, outgoing.seconds) == (About.METHOD_ADDED, message.detail, 3600)
    assert await store.sent(message.id, Sent(state=DeliveryState.SENT)) is None
    assert await state(store, message.id) == (DeliveryState.SENT, True)


@pytest.mark.reliability("R-10")
async def test_of_twenty_who_claim_a_message_at_once_one_gets_it(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        alice = await enrol(one)
        for _ in range(5):
            asked = await text(one, alice)
            claims = [
                store.claim_message(asked.message.id, asked.message.lease_until, 10) for store in (one, other) * 10
            ]
            assert sum(each is not None for each in await asyncio.gather(*claims)) == 1


@pytest.mark.reliability("R-10")
async def test_claimed_and_taken_over_at_once_a_message_goes_to_one(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        alice = await enrol(one)
        asked = await text(one, alice)
        stores.clock.advance(LEASE_SECONDS)
        claims = [one.claim_message(asked.message.id, asked.message.lease_until, 10) for _ in range(10)]
        taking = [store.take_due_messages(10, 10) for store in (one, other) * 5]
        by_claim, by_time = await asyncio.gather(asyncio.gather(*claims), asyncio.gather(*taking))
        assert sum(each is not None for each in by_claim) + sum(len(each.to_send) for each in by_time) == 1
        assert all(each.unknown == () for each in by_time)


async def too_late(stores: Stores, _: WholeStore, __: Person, ___: Asked) -> None:
    stores.clock.advance(TEXT_SECONDS)


async def challenge_over(_: Stores, store: WholeStore, person: Person, asked: Asked) -> None:
    await store.decide(person.id, ending(asked, state=ChallengeState.WITHDRAWN))


async def method_gone(_: Stores, store: WholeStore, person: Person, asked: Asked) -> None:
    await store.decide(person.id, writing(removed_methods=(asked.message.method_id,)))


async def person_gone(_: Stores, store: WholeStore, person: Person, __: Asked) -> None:
    await store.decide(person.id, writing(remove_user=True))


OF_NO_USE = pytest.mark.parametrize("happen", [too_late, challenge_over, method_gone, person_gone])
Happening = Callable[[Stores, WholeStore, Person, Asked], Awaitable[None]]


@OF_NO_USE
async def test_what_is_of_no_use_any_more_is_not_claimed_and_nothing_is_written(
    stores: Stores, store: WholeStore, happen: Happening
) -> None:
    alice = await enrol(store)
    asked = await text(store, alice)
    await happen(stores, store, alice, asked)
    assert await store.claim_message(asked.message.id, asked.message.lease_until, 10) is None
    assert await state(store, asked.message.id) == (DeliveryState.QUEUED, False)


async def test_what_is_anothers_begun_reported_or_unknown_is_not_claimed(stores: Stores, store: WholeStore) -> None:
    alice = await enrol(store)
    asked = await text(store, alice)
    assert await store.claim_message(asked.message.id, after(asked.message.lease_until, 1), 10) is None
    assert await store.claim_message(ids.message_id(), asked.message.lease_until, 10) is None
    assert await state(store, asked.message.id) == (DeliveryState.QUEUED, False)
    stores.clock.advance(LEASE_SECONDS - 0.5)
    await claimed(store, asked, seconds=0.5)  # the lease ends when it would have
    assert await store.claim_message(asked.message.id, asked.message.lease_until, 10) is None
    reported = await text(store, alice)
    await store.sent(reported.message.id, Sent(state=DeliveryState.FAILED, code="quota"))
    assert await store.claim_message(reported.message.id, reported.message.lease_until, 10) is None


async def test_a_lease_that_ran_out_and_that_nobody_took_is_still_its_holders(
    stores: Stores, store: WholeStore
) -> None:
    alice = await enrol(store)
    asked = await text(store, alice)
    stores.clock.advance(LEASE_SECONDS + 60)
    assert (await claimed(store, asked)).seconds == TEXT_SECONDS - LEASE_SECONDS - 60


async def test_a_challenge_of_a_sign_in_that_is_over_is_told_like_any_other(stores: Stores, store: WholeStore) -> None:
    """A phone is registered in the settings: its challenge belongs to the sign-in that opened them."""
    alice = await enrol(store)
    asked = await text(store, alice)
    await store.decide(alice.id, closing(asked))
    taken = await text(store, alice)
    await store.decide(alice.id, closing(taken))
    assert (await claimed(store, asked)).secret == asked.challenge.secret
    stores.clock.advance(LEASE_SECONDS)
    assert [each.id for each in (await store.take_due_messages(10, 10)).to_send] == [taken.message.id]


# --- taken over -------------------------------------------------------------------------------------------------------


@pytest.mark.reliability("R-10")
async def test_what_nobody_began_is_taken_over_once_and_its_former_holder_finds_it_gone(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        alice = await enrol(one)
        asked = await text(one, alice)
        stores.clock.advance(LEASE_SECONDS - 0.1)
        assert await other.take_due_messages(10, 10) == NOTHING
        stores.clock.advance(0.1)
        taken = await asyncio.gather(*(each.take_due_messages(10, 10) for each in (one, other) * 10))
        [outgoing] = [each for found in taken for each in found.to_send]
        assert (outgoing.id, outgoing.number, outgoing.secret) == (asked.message.id, NUMBER, asked.challenge.secret)
        assert outgoing.seconds == TEXT_SECONDS - LEASE_SECONDS
        assert await one.claim_message(asked.message.id, asked.message.lease_until, 10) is None
        stores.clock.advance(9.9)
        assert await one.take_due_messages(10, 10) == NOTHING


@pytest.mark.reliability("R-10")
async def test_what_was_begun_and_never_reported_is_unknown_and_is_never_sent_again(stores: Stores) -> None:
    async with stores.open() as one:
        alice = await enrol(one)
        asked = await text(one, alice)
        await claimed(one, asked, seconds=10)
    async with stores.open() as other:  # the one that began is gone
        stores.clock.advance(9.9)
        assert await other.take_due_messages(10, 10) == NOTHING
        assert await delivery(other, asked) is DeliveryState.QUEUED
        stores.clock.advance(0.1)
        taken = await asyncio.gather(*(other.take_due_messages(10, 10) for _ in range(10)))
        assert [each for found in taken for each in found.to_send] == []
        assert [each for found in taken for each in found.unknown] == [asked.seen.sign_in.id]
        assert await delivery(other, asked) is DeliveryState.UNKNOWN
        stores.clock.advance(20)
        assert await other.take_due_messages(10, 10) == NOTHING
        assert await other.claim_message(asked.message.id, after(asked.message.lease_until, 7), 10) is None


async def test_of_a_notice_that_is_unknown_there_is_no_browser_to_tell(stores: Stores, store: WholeStore) -> None:
    alice = await enrol(store)
    message = await notice(store, alice)
    await store.claim_message(message.id, message.lease_until, 10)
    stores.clock.advance(10)
    assert await store.take_due_messages(10, 10) == NOTHING
    assert await state(store, message.id) == (DeliveryState.UNKNOWN, True)


async def test_what_was_begun_is_unknown_even_where_it_is_of_no_use_any_more(stores: Stores, store: WholeStore) -> None:
    alice = await enrol(store)
    asked = await text(store, alice)
    await claimed(store, asked)
    await store.decide(alice.id, writing(remove_user=True))
    stores.clock.advance(TEXT_SECONDS)
    assert await store.take_due_messages(10, 10) == TakenOver((), (asked.seen.sign_in.id,))


@OF_NO_USE
async def test_what_is_due_and_of_no_use_any_more_has_failed_and_stands_in_nobodys_way(
    stores: Stores, store: WholeStore, happen: Happening
) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    useless = await text(store, alice)
    await happen(stores, store, alice, useless)
    asked = await text(store, bob)
    stores.clock.advance(LEASE_SECONDS)
    taken = await store.take_due_messages(1, 10)
    assert ([each.id for each in taken.to_send], taken.unknown) == ([asked.message.id], ())
    assert await state(store, useless.message.id) == (DeliveryState.FAILED, False)


async def test_a_code_whose_challenge_was_swept_is_of_no_use(stores: Stores, store: WholeStore) -> None:
    alice = await enrol(store)
    message = await notice(store, alice, about=About.CODE)
    assert await store.claim_message(message.id, message.lease_until, 10) is None
    stores.clock.advance(LEASE_SECONDS)
    assert await store.take_due_messages(10, 10) == NOTHING
    assert await state(store, message.id) == (DeliveryState.FAILED, False)


async def test_what_is_due_is_taken_in_bounded_helpings_the_longest_waiting_first(
    stores: Stores, store: WholeStore
) -> None:
    begun = []
    for n in range(6):
        asked = await text(store, await enrol(store, f"person{n}"))
        if n % 2:
            await claimed(store, asked, seconds=LEASE_SECONDS)
        begun.append(asked)
        stores.clock.advance(0.1)
    stores.clock.advance(LEASE_SECONDS)
    first = await store.take_due_messages(4, 10)
    assert [each.id for each in first.to_send] == [begun[n].message.id for n in (0, 2)]
    assert first.unknown == tuple(begun[n].seen.sign_in.id for n in (1, 3))
    second = await store.take_due_messages(4, 10)
    assert [each.id for each in second.to_send] == [begun[4].message.id]
    assert second.unknown == (begun[5].seen.sign_in.id,)
    assert await store.take_due_messages(4, 10) == NOTHING


async def test_a_lease_that_is_given_back_is_anyones_unless_the_message_was_begun(store: WholeStore) -> None:
    alice = await enrol(store)
    asked, begun = await text(store, alice), await text(store, alice)
    await store.release_message(asked.message.id, after(asked.message.lease_until, 1))  # another's: left alone
    await claimed(store, begun, seconds=LEASE_SECONDS)
    await store.release_message(begun.message.id, begun.message.lease_until)
    await store.release_message(ids.message_id(), asked.message.lease_until)
    assert await store.take_due_messages(10, 10) == NOTHING
    await store.release_message(asked.message.id, asked.message.lease_until)
    taken = await store.take_due_messages(10, 10)
    assert ([each.id for each in taken.to_send], taken.unknown) == ([asked.message.id], ())


# --- reported ---------------------------------------------------------------------------------------------------------

_STATES = [DeliveryState.SENT, DeliveryState.UNKNOWN, DeliveryState.FAILED, DeliveryState.DELIVERED]


@pytest.mark.reliability("R-12")
@pytest.mark.parametrize("first", _STATES)
async def test_a_state_only_ever_moves_on(store: WholeStore, first: DeliveryState) -> None:
    alice = await enrol(store)
    asked = await text(store, alice)
    await claimed(store, asked)
    furthest = DeliveryState.QUEUED
    for each in (first, *_STATES, *reversed(_STATES)):
        told = await store.sent(asked.message.id, Sent(state=each))
        assert told == (asked.seen.sign_in.id if each > furthest else None)
        furthest = max(furthest, each)
        assert await delivery(store, asked) is furthest
        assert await state(store, asked.message.id) == (furthest, True)
    assert furthest is DeliveryState.DELIVERED


@pytest.mark.reliability("R-12")
async def test_the_providers_id_once_known_stays(store: WholeStore) -> None:
    alice = await enrol(store)
    asked = await text(store, alice)

    async def provider_id() -> str | None:
        known = await store.known_message(asked.message.id)
        return known.provider_id if known else None

    await store.sent(asked.message.id, Sent(state=DeliveryState.SENT))
    assert await provider_id() is None
    await store.sent(asked.message.id, Sent(state=DeliveryState.SENT, provider_id="SM0"))
    assert await provider_id() is None  # it had been sent before: nothing changes
    await store.sent(asked.message.id, Sent(state=DeliveryState.UNKNOWN, provider_id="SM1"))
    assert await provider_id() == "SM1"
    await store.sent(asked.message.id, Sent(state=DeliveryState.FAILED, code="refused"))
    await store.sent(asked.message.id, Sent(state=DeliveryState.DELIVERED, provider_id="SM2"))
    assert await provider_id() == "SM1"
    assert await store.sent(ids.message_id(), Sent(state=DeliveryState.SENT)) is None


@pytest.mark.reliability("R-12")
async def test_of_many_equal_reports_at_once_one_is_told(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        asked = await text(one, await enrol(one))
        reports = [
            store.sent(asked.message.id, Sent(state=DeliveryState.DELIVERED, provider_id="SM1"))
            for store in (one, other) * 25
        ]
        assert [each for each in await asyncio.gather(*reports) if each] == [asked.seen.sign_in.id]


@pytest.mark.parametrize("kind", [MethodKind.TEXT_MOBILE, MethodKind.CALL_MOBILE, MethodKind.CALL_OFFICE])
async def test_of_a_text_or_call_its_browser_sees_what_became_of_the_message(
    store: WholeStore, kind: MethodKind
) -> None:
    alice = await enrol(store)
    asked, other = await text(store, alice, kind=kind), await text(store, alice)
    assert await delivery(store, asked) is DeliveryState.QUEUED
    assert await store.sent(asked.message.id, Sent(state=DeliveryState.FAILED)) == asked.seen.sign_in.id
    assert await delivery(store, asked) is DeliveryState.FAILED
    assert await delivery(store, other) is DeliveryState.QUEUED


# --- secrets of methods, and the end ----------------------------------------------------------------------------------


async def test_a_method_s_secret_goes_with_its_method_and_with_its_person(store: WholeStore) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    gone, kept, bobs = [MethodSecret(ids.method_id(), f"+49{n}") for n in range(3)]
    await store.decide(alice.id, writing(method_secrets=(gone, kept)))
    await store.decide(bob.id, writing(method_secrets=(bobs,)))
    assert [await store.method_secret(each.method_id) for each in (gone, kept, bobs)] == ["+490", "+491", "+492"]
    await store.decide(alice.id, writing(removed_methods=(gone.method_id, ids.method_id())))
    assert [await store.method_secret(each.method_id) for each in (gone, kept, bobs)] == [None, "+491", "+492"]
    await store.decide(alice.id, writing(remove_user=True))
    assert [await store.method_secret(each.method_id) for each in (gone, kept, bobs)] == [None, None, "+492"]
    assert await store.method_secret(ids.method_id()) is None


async def test_a_message_is_known_until_no_word_about_it_is_awaited_any_more(stores: Stores, store: WholeStore) -> None:
    alice = await enrol(store)
    sent, unsent = await text(store, alice), await text(store, alice)
    await claimed(store, sent)
    await store.sent(sent.message.id, Sent(state=DeliveryState.DELIVERED))
    stores.clock.advance(TEXT_SECONDS + UNREADABLE)
    await store.decide(alice.id, expire)
    await store.sweep()
    assert await store.known_message(sent.message.id) is not None
    stores.clock.advance(1)
    await store.sweep()
    for each in (sent, unsent):
        assert await store.known_message(each.message.id) is None
