"""What a store keeps of people, devices, applications, keys and requests, and gives back as it was."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from push_service.model import ids
from push_service.model.application import Application
from push_service.model.decision import Actor, Audit, AuditKind, Remembered
from push_service.model.device import DeviceState, UsedActivation
from push_service.model.errors import NameTaken, StoreUnavailable, UnknownUser
from push_service.model.ids import ApplicationId, ChallengeId, DeviceId, SignInId, UserId
from push_service.model.instant import after
from push_service.model.policy import LONGEST_CONNECTION_SECONDS
from push_service.model.rules.administration import remove_user
from push_service.model.sign_in import SignInState
from push_service.model.user import UserState
from push_service.ports import Duplicate, Store, StoredKey
from tests.contracts.kinds import Stores
from tests.contracts.making import BY_OPERATOR, answer, begin, challenge_of, enrol, look, new_device, writing


async def test_a_user_is_found_by_id_and_by_name_key_with_sealed_numbers_open(store: Store) -> None:
    alice = await enrol(store, "Alice", mobile="+491511234567", office="+4930123;ext=7")
    assert await store.user(alice.id) == await store.user_by_name("alice") == alice.user
    assert (alice.user.mobile, alice.user.office) == ("+491511234567", "+4930123;ext=7")
    assert await store.user_by_name("Alice") is None
    assert await store.user(ids.user_id()) is None


async def test_a_name_is_given_once_even_to_a_hundred_who_ask_at_once(stores: Stores, store: Store) -> None:
    async def add(n: int) -> bool:
        try:
            await enrol(store, "alice", phones=0, username=f"Alice {n}")
        except NameTaken:
            return False
        return True

    assert sum(await asyncio.gather(*(add(n) for n in range(100)))) == 1
    assert len(stores.audit()) == 1
    assert len(await store.users()) == 1


async def test_users_come_by_name_a_page_at_a_time_and_by_state(store: Store) -> None:
    for name in ("dave", "alice", "erin", "bob", "carol", "zoë"):
        await enrol(store, name, phones=0, state=UserState.DISABLED if name in {"bob", "zoë"} else UserState.ENABLED)
    first = await store.users(limit=4)
    assert [each.username for each in first] == ["alice", "bob", "carol", "dave"]
    rest = await store.users(after_name_key=first[-1].name_key, limit=4)
    assert [each.username for each in rest] == ["erin", "zoë"]
    assert await store.users(after_name_key="zoë") == []
    assert [each.username for each in await store.users(state=UserState.DISABLED)] == ["bob", "zoë"]
    assert await store.users(state=UserState.ENFORCED) == []


async def test_devices_come_oldest_first_and_a_removed_one_is_kept_without_its_secrets(store: Store) -> None:
    alice = await enrol(store, phones=3)
    assert await store.devices(alice.id) == list(alice.phones)
    await store.decide(alice.id, writing(removed_devices=(alice.phones[1].id,)))
    assert await store.devices(alice.id) == [alice.phones[0], alice.phones[2]]
    removed = await store.device(alice.phones[1].id)
    assert removed == msgspec.structs.replace(
        alice.phones[1], state=DeviceState.REMOVED, push_token=None, totp_secret=None
    )
    assert await store.device(ids.device_id()) is None
    assert await store.devices(ids.user_id()) == []


async def test_a_device_that_is_written_again_is_replaced(store: Store) -> None:
    alice = await enrol(store)
    renamed = msgspec.structs.replace(alice.phone, name="Blue", push_token=None)
    await store.decide(alice.id, writing(device=renamed))
    assert await store.device(alice.phone.id) == renamed


async def test_a_newer_activation_code_voids_the_unused_older_one_and_no_other(store: Store) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    until = after(await store.now(), 600)
    used = UsedActivation("used", alice.id, until, None, "thumbprint", alice.phone.id)
    foreign = UsedActivation("foreign", bob.id, until)
    for each in (used, UsedActivation("older", alice.id, until), foreign):
        await store.decide(each.user_id, writing(activation=each))
    newest = UsedActivation("newest", alice.id, until, SignInId("si_1"))
    await store.decide(alice.id, writing(activation=newest))
    assert await store.activation("older") is None
    assert await store.activation("newest") == newest
    assert await store.activation("used") == used
    assert await store.activation("foreign") == foreign


async def test_a_code_that_was_used_names_its_device(store: Store) -> None:
    alice = await enrol(store)
    until = after(await store.now(), 600)
    await store.decide(alice.id, writing(activation=UsedActivation("code", alice.id, until)))
    used = UsedActivation("code", alice.id, until, None, alice.phone.thumbprint, alice.phone.id)
    await store.decide(alice.id, writing(activation=used))
    assert await store.activation("code") == used


async def test_an_answer_is_remembered_for_its_caller_and_route_until_its_time_is_over(
    stores: Stores, store: Store
) -> None:
    alice = await enrol(store)
    kept = Remembered("app_1", "POST /v1/sign-ins", "key", "mac", b"\x00sealed\xff", after(await store.now(), 600))
    await store.decide(alice.id, writing(remembered=kept))
    assert await store.remembered(kept.caller, kept.route, kept.key_hash) == kept
    assert await store.remembered("app_2", kept.route, kept.key_hash) is None
    assert await store.remembered(kept.caller, "POST /v1/me", kept.key_hash) is None
    stores.clock.advance(599.999)
    assert await store.remembered(kept.caller, kept.route, kept.key_hash) == kept
    stores.clock.advance(0.001)
    assert await store.remembered(kept.caller, kept.route, kept.key_hash) is None


@pytest.mark.reliability("R-04")
async def test_of_two_requests_with_one_key_the_second_is_a_duplicate_and_writes_nothing(
    stores: Stores, store: Store
) -> None:
    alice = await enrol(store)
    first = Remembered("app_1", "POST /", "key", "mac", b"first", after(await store.now(), 600))
    second = msgspec.structs.replace(first, answer=b"second")
    await store.decide(alice.id, writing(remembered=first))
    before = stores.audit()
    with pytest.raises(Duplicate):
        await store.decide(alice.id, writing(remembered=second))
    assert await store.remembered("app_1", "POST /", "key") == first
    assert stores.audit() == before
    stores.clock.advance(601)  # over, though not yet swept away: the key may be used again
    later = msgspec.structs.replace(second, until=after(await store.now(), 600))
    await store.decide(alice.id, writing(remembered=later))
    assert await store.remembered("app_1", "POST /", "key") == later


async def test_the_newest_socket_of_a_device_is_known_to_every_process(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        device, first, second = DeviceId("dev_1"), ids.connection_id(), ids.connection_id()
        assert await one.newest_connection(device) is None
        accepted = await one.now()
        await one.connected(device, first, accepted)
        assert await other.newest_connection(device) == first
        await other.connected(device, second, after(accepted, 1))
        assert await one.newest_connection(device) == second
        stores.clock.advance(10)
        await one.connected(device, first, accepted)  # accepted long ago, by a process that stood still since
        assert await one.newest_connection(device) == second
        assert await one.newest_connection(DeviceId("dev_2")) is None
        stores.clock.advance(-5)  # set back behind what was noted: phones must not be turned away until it catches up
        ahead = after(await one.now(), 60)
        await one.connected(device, second, ahead)
        await other.connected(device, first, await other.now())
        assert await one.newest_connection(device) == first
        stores.clock.advance(LONGEST_CONNECTION_SECONDS + 61)
        assert await one.sweep() == 1
        assert await one.newest_connection(device) is None


async def test_of_several_sockets_that_are_noted_at_once_the_newest_counts(stores: Stores) -> None:
    async with stores.open() as store:
        now = await store.now()
        seconds = {"dev_1": (2, 3, 1), "dev_2": (1, 3, 2), "dev_3": (3, 2, 1)}
        noted = [
            (DeviceId(device), ids.connection_id(), after(now, each - 10))
            for device, sockets in seconds.items()
            for each in sockets
        ]
        await asyncio.gather(*(store.connected(*each) for each in noted))
        newest = {each[0]: each[1] for each in sorted(noted, key=lambda each: each[2])}
        found = await asyncio.gather(*(store.newest_connection(each) for each in newest))
        assert found == list(newest.values())


@pytest.mark.security("S-10")
@pytest.mark.reliability("R-21")
async def test_a_proof_passes_once_of_a_hundred_and_not_again_after_a_restart(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        until = after(await one.now(), 120)
        both, device = (one, other), DeviceId("dev_1")
        passed = await asyncio.gather(*(both[n % 2].spend_proof(device, "jti", until) for n in range(100)))
        assert sum(passed) == 1
        assert await one.spend_proof(DeviceId("dev_2"), "jti", until)
        assert await one.spend_proof(device, "another", until)
    async with stores.open() as again:
        assert not await again.spend_proof(device, "jti", until)
        stores.clock.advance(119)
        await again.sweep()
        assert not await again.spend_proof(device, "jti", until)


async def test_shown_prompts_are_acknowledged_once_and_the_right_sign_ins_named(store: Store) -> None:
    alice, bob = await enrol(store, "alice", phones=2), await enrol(store, "bob")
    first, second, bobs = await begin(store, alice), await begin(store, alice), await begin(store, bob)
    shown = [(challenge_of(first).id, alice.phones[0].id), (challenge_of(bobs).id, bob.phone.id)]
    assert set(await store.acknowledge(shown)) == {first.sign_in.id, bobs.sign_in.id}
    assert await store.acknowledge(shown) == []
    strangers = [(challenge_of(second).id, bob.phone.id), (ChallengeId("ch_0"), bob.phone.id)]
    assert await store.acknowledge(strangers) == []
    assert await store.acknowledge([]) == []
    for seen, state in ((first, "DELIVERED"), (second, "QUEUED"), (bobs, "DELIVERED")):
        watched = await store.watch(seen.sign_in.id)
        assert watched is not None
        assert watched.delivery.name == state
    assert await store.acknowledge([(challenge_of(first).id, alice.phones[1].id)]) in ([], [first.sign_in.id])


async def test_an_acknowledgement_leaves_the_person_and_the_sign_in_alone(store: Store) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    before = await store.watch(seen.sign_in.id)
    await store.acknowledge([(challenge_of(seen).id, alice.phone.id)])
    now = await store.watch(seen.sign_in.id)
    assert before is not None
    assert now is not None
    assert (now.sign_in, now.challenge, now.user) == (before.sign_in, before.challenge, before.user)


async def test_a_challenge_is_found_with_its_sign_in_whether_or_not_it_is_over(store: Store) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    found = await store.challenge(challenge_of(seen).id)
    assert found is not None
    assert (found.sign_in, found.challenge) == (seen.sign_in, seen.challenge)
    await answer(store, alice, seen)
    ended = await store.challenge(challenge_of(seen).id)
    assert ended is not None
    assert ended.sign_in.state is SignInState.APPROVED
    assert await store.challenge(ChallengeId("ch_0")) is None
    assert await store.watch(SignInId("si_0")) is None
    assert await store.asked(UserId("usr_0")) is None


async def test_live_sign_ins_come_oldest_first_and_those_that_are_over_do_not(stores: Stores, store: Store) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    asked = await store.asked(alice.id)
    assert asked is not None
    assert (asked.user, asked.live) == (alice.user, ())
    begun = []
    for _ in range(3):
        begun.append(await begin(store, alice))
        stores.clock.advance(1)
    await begin(store, bob)
    await answer(store, alice, begun[1])
    asked = await store.asked(alice.id)
    assert asked is not None
    assert [each.sign_in.id for each in asked.live] == [begun[0].sign_in.id, begun[2].sign_in.id]


async def test_results_since_an_instant_are_withheld_and_the_browser_can_see_that(stores: Stores, store: Store) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    old, recent, bobs = await begin(store, alice), await begin(store, alice), await begin(store, bob)
    await answer(store, alice, old)
    stores.clock.advance(60)
    await answer(store, alice, recent)
    await answer(store, bob, bobs)
    before = {each.sign_in.id: await look(store, each.sign_in.id) for each in (old, recent, bobs)}
    assert all(each.result_jti for each in before.values())
    await store.decide(alice.id, writing(withhold_results_since=await store.now()))
    for seen in (old, bobs):
        assert await look(store, seen.sign_in.id) == before[seen.sign_in.id]
    withheld = await look(store, recent.sign_in.id)
    assert (withheld.state, withheld.result_jti) == (SignInState.APPROVED, None)
    assert withheld.version > before[recent.sign_in.id].version


async def test_a_removed_user_is_gone_with_devices_and_codes_and_the_name_is_free(stores: Stores, store: Store) -> None:
    alice, bob = await enrol(store, "alice", phones=2), await enrol(store, "bob")
    await begin(store, alice)
    await store.decide(alice.id, writing(activation=UsedActivation("code", alice.id, after(await store.now(), 600))))
    await store.decide(alice.id, remove_user)
    assert stores.audit()[-1].kind == "user.removed"
    assert await store.user(alice.id) is None
    assert await store.user_by_name("alice") is None
    assert await store.devices(alice.id) == []
    assert await store.device(alice.phone.id) is None
    assert await store.activation("code") is None
    with pytest.raises(UnknownUser):
        await store.decide(alice.id, remove_user)
    stores.clock.advance(1000)
    assert await store.overdue(10) == []
    assert await store.devices(bob.id) == [bob.phone]
    again = await enrol(store, "alice")
    assert again.id != alice.id


async def test_a_decision_that_only_removes_or_only_remembers_is_written(store: Store) -> None:
    alice = await enrol(store)
    kept = Remembered("app_1", "POST /", "key", "mac", b"x", after(await store.now(), 600))
    await store.decide(alice.id, writing(audit=(), remembered=kept))
    assert await store.remembered("app_1", "POST /", "key") == kept
    await store.decide(alice.id, writing(audit=(), removed_devices=(alice.phone.id,)))
    assert await store.devices(alice.id) == []
    await store.decide(alice.id, writing(audit=(), remove_user=True))
    assert await store.user(alice.id) is None


async def test_applications_are_inserted_and_replaced_and_removed_ones_still_listed(
    stores: Stores, store: Store
) -> None:
    assert await store.applications() == []
    mail = Application(
        id=ApplicationId("app_1"),
        name="Mail",
        secret_hash="hash",
        may_vouch=True,
        redirect_uris=("https://mail.example/done", "https://mail.example/ü"),
        origins=("https://mail.example",),
    )
    page = Application(id=ApplicationId("app_2"), name="A page", origins=("https://a.example",))
    added = Audit(kind=AuditKind.APPLICATION_ADDED, actor=Actor.OPERATOR)
    await store.put_application(mail, added)
    await store.put_application(page, added)
    assert await store.applications() == [page, mail]
    assert await store.application(mail.id) == mail
    gone = msgspec.structs.replace(mail, removed=True, secret_hash=None)
    await store.put_application(gone, Audit(kind=AuditKind.APPLICATION_REMOVED, actor=Actor.OPERATOR))
    assert await store.applications() == [page, gone]
    assert await store.application(ApplicationId("app_0")) is None
    assert [each.kind for each in stores.audit()] == ["application.added"] * 2 + ["application.removed"]


async def test_signing_keys_come_newest_first_and_are_replaced_by_their_id(stores: Stores, store: Store) -> None:
    now = await store.now()
    old = StoredKey(kid="key_1", pem="old pem", created_at=now)
    new = StoredKey(kid="key_2", pem="new pem", created_at=after(now, 1))
    rotated = Audit(kind=AuditKind.KEY_ROTATED, actor=Actor.OPERATOR)
    await store.put_signing_keys([old], rotated)
    retired = msgspec.structs.replace(old, retired_at=new.created_at)
    await store.put_signing_keys([new, retired], rotated)
    assert await store.signing_keys() == [new, retired]
    assert [each.kind for each in stores.audit()] == ["key.rotated"] * 2


async def test_records_without_a_change_are_appended_in_order(stores: Stores, store: Store) -> None:
    await store.record([])
    codes = ["one", "two", "three"]
    await store.record([Audit(kind=AuditKind.SIGN_IN_REFUSED, actor=Actor.BROWSER, code=code) for code in codes])
    assert [each.code for each in stores.audit()] == codes


async def test_text_of_any_script_comes_back_as_it_was(store: Store) -> None:
    name = "Zoë 李雷 אלף 👩‍👩‍👧 O'Brien; DROP TABLE users;-- %s"
    alice = await enrol(store, "alice", username=name)
    device = new_device(alice.id, await store.now(), name)
    await store.decide(
        alice.id, writing(device=device, audit=(msgspec.structs.replace(BY_OPERATOR, data={"n": name}),))
    )
    user = await store.user(alice.id)
    assert user is not None
    assert user.username == name
    assert await store.device(device.id) == device


async def test_a_store_that_works_checks_itself_without_a_word(store: Store) -> None:
    await store.check()


async def test_a_store_that_was_closed_says_so_and_hangs_nobody(stores: Stores) -> None:
    async with stores.open() as store:
        alice = await enrol(store)
    async with asyncio.timeout(10):
        with pytest.raises(StoreUnavailable):
            await store.record([BY_OPERATOR])
        with pytest.raises(StoreUnavailable):
            await store.user(alice.id)
