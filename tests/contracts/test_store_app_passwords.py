"""The list of app passwords: what a person is shown of them, and when each was used last."""

from __future__ import annotations

import msgspec

from push_service.model import ids
from push_service.model.app_password import AppPassword
from push_service.model.instant import after
from tests.contracts.kinds import Stores, WholeStore
from tests.contracts.making import Person, enrol, writing


async def added(stores: Stores, store: WholeStore, person: Person, name: str) -> AppPassword:
    password = AppPassword(id=ids.app_password_id(), name=name, created_at=stores.clock.at)
    await store.decide(person.id, writing(app_password=password))
    stores.clock.advance(1)
    return password


async def test_app_passwords_are_listed_oldest_first_each_to_its_person(stores: Stores, store: WholeStore) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    alices = [await added(stores, store, alice, name) for name in ("mail", "chat", "a shell")]
    bobs = await added(stores, store, bob, "mail")
    assert await store.app_passwords(alice.id) == alices
    assert await store.app_passwords(bob.id) == [bobs]
    assert await store.app_passwords(ids.user_id()) == []


async def test_one_that_is_written_again_is_replaced(stores: Stores, store: WholeStore) -> None:
    alice = await enrol(store)
    mail = await added(stores, store, alice, "mail")
    renamed = msgspec.structs.replace(mail, name="old mail")
    await store.decide(alice.id, writing(app_password=renamed))
    assert await store.app_passwords(alice.id) == [renamed]


async def test_app_passwords_go_when_they_are_removed_and_with_their_person(stores: Stores, store: WholeStore) -> None:
    alice, bob = await enrol(store, "alice"), await enrol(store, "bob")
    mail, chat, shell = [await added(stores, store, alice, name) for name in ("mail", "chat", "a shell")]
    bobs = await added(stores, store, bob, "mail")
    await store.decide(alice.id, writing(removed_app_passwords=(mail.id, shell.id, ids.app_password_id())))
    assert await store.app_passwords(alice.id) == [chat]
    await store.decide(alice.id, writing(remove_user=True))
    assert await store.app_passwords(alice.id) == []
    assert await store.app_passwords(bob.id) == [bobs]


async def test_a_use_is_noted_with_where_from_and_an_earlier_one_counts_for_nothing(
    stores: Stores, store: WholeStore
) -> None:
    alice = await enrol(store)
    mail, chat = [await added(stores, store, alice, name) for name in ("mail", "chat")]
    at = stores.clock.at
    await store.app_password_used(mail.id, at, "192.0.2.1")
    await store.app_password_used(mail.id, after(at, 5), "192.0.2.5")
    await store.app_password_used(mail.id, after(at, 4), "192.0.2.4")
    await store.app_password_used(ids.app_password_id(), at, "192.0.2.9")  # removed meanwhile
    used = msgspec.structs.replace(mail, last_used_at=after(at, 5), last_used_from="192.0.2.5")
    assert await store.app_passwords(alice.id) == [used, chat]
    await store.app_password_used(chat.id, at, None)
    assert (await store.app_passwords(alice.id))[1] == msgspec.structs.replace(chat, last_used_at=at)
