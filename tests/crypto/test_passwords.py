"""Passwords are compared whole, nobody learns who exists, and a flood of them is bounded."""

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Iterator

import pytest

from push_service.crypto.passwords import Argon2Passwords
from push_service.model import ids
from push_service.model.errors import Busy
from push_service.model.user import Guard, User, UserState

PASSWORD = "correct horse battery staple"


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    """With the parameters of production."""
    made = Argon2Passwords(concurrency=2, waiting=6)
    yield made
    made.close()


@pytest.fixture
def quick() -> Iterator[Argon2Passwords]:
    """Where what counts is which passwords are equal, not what it costs."""
    made = Argon2Passwords(concurrency=2, waiting=30, memory_kib=8, time_cost=1)
    yield made
    made.close()


def user(password_hash: str | None) -> User:
    return User(
        id=ids.user_id(),
        name_key="alice",
        username="alice",
        password_hash=password_hash,
        state=UserState.ENABLED,
        admin=False,
        version=1,
        guard=Guard(),
    )


class Held:
    """Keeps every hash from being done until it is let go, and counts those that have begun."""

    def __init__(self, passwords: Argon2Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free, self.checked = threading.Event(), 0
        self._lock = threading.Lock()
        real = passwords._verify

        def verify(known: str, password: str) -> bool:
            with self._lock:
                self.checked += 1
            assert self.free.wait(30)
            return real(known, password)

        monkeypatch.setattr(passwords, "_verify", verify)


@pytest.mark.security("S-18")
async def test_what_is_stored_is_argon2id_at_least_at_its_recommended_cost(passwords: Argon2Passwords) -> None:
    first, second = await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)
    _, kind, version, parameters, salt, digest = first.split("$")
    assert (kind, version, parameters) == ("argon2id", "v=19", "m=19456,t=2,p=1")
    assert len(salt) >= 22
    assert len(digest) >= 43
    assert first != second
    assert PASSWORD not in first
    assert await passwords.check(user(first), PASSWORD)
    assert not await passwords.check(user(first), PASSWORD + " ")


@pytest.mark.security("S-18")
@pytest.mark.parametrize("length", [64, 65, 72, 73, 100, 128, 1024])
async def test_every_character_of_a_long_password_matters(quick: Argon2Passwords, length: int) -> None:
    password = "a" * length
    stored = user(await quick.hash(password))
    assert await quick.check(stored, password)
    assert not await quick.check(stored, password[:-1])
    assert not await quick.check(stored, password[:-1] + "b")
    assert not await quick.check(stored, password + "a")


@pytest.mark.security("S-18")
async def test_composed_and_decomposed_letters_are_the_same_password(quick: Argon2Passwords) -> None:
    composed = unicodedata.normalize("NFC", "Zoë liebt Ångström und 한국")
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    for one, other in ((composed, decomposed), (decomposed, composed)):
        assert await quick.check(user(await quick.hash(one)), other)
    compatible = user(await quick.hash("ﬁne"))
    assert not await quick.check(compatible, "fine")
    assert not await quick.check(user(await quick.hash("fine")), "FINE")


async def test_a_password_that_is_empty_or_odd_is_a_password_like_others(quick: Argon2Passwords) -> None:
    for password in ("", "\0", "a\0b", " ", "🐎" * 200):
        stored = user(await quick.hash(password))
        assert await quick.check(stored, password)
        assert not await quick.check(stored, password + "x")


@pytest.mark.security("S-53")
async def test_for_an_unknown_user_a_real_hash_is_computed_at_the_same_cost(
    passwords: Argon2Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    known = user(await passwords.hash(PASSWORD))
    real = passwords._verify

    def verify(stored: str, password: str) -> bool:
        verified.append(stored)
        return real(stored, password)

    monkeypatch.setattr(passwords, "_verify", verify)
    for asked in (known, None, user(None)):
        assert not await passwords.check(asked, "wrong")
    assert len(verified) == 3
    assert {each.split("$")[3] for each in verified} == {"m=19456,t=2,p=1"}


async def test_nobody_and_the_passwordless_are_never_right(quick: Argon2Passwords) -> None:
    for asked in (None, user(None)):
        for password in ("", PASSWORD, "None"):
            assert not await quick.check(asked, password)


@pytest.mark.security("S-18")
@pytest.mark.reliability("R-23")
async def test_beyond_those_at_work_and_those_in_line_everyone_is_refused_at_once(
    quick: Argon2Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, held = user(await quick.hash(PASSWORD)), Held(quick, monkeypatch)
    waiting = [asyncio.create_task(quick.check(stored, PASSWORD)) for _ in range(32)]
    await asyncio.sleep(0)
    assert quick.taken == 32
    for _ in range(10):
        with pytest.raises(Busy) as refused:
            await quick.check(None, PASSWORD)
        assert refused.value.retry_after is not None
    with pytest.raises(Busy):
        await quick.hash(PASSWORD)
    assert held.checked <= 2
    held.free.set()
    assert all(await asyncio.gather(*waiting))
    assert quick.taken == 0
    assert await quick.check(stored, PASSWORD)


@pytest.mark.reliability("R-25")
async def test_who_goes_away_is_counted_until_the_thread_is_free(
    quick: Argon2Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise whoever hangs up early could have any number of hashes computed."""
    stored, held = user(await quick.hash(PASSWORD)), Held(quick, monkeypatch)
    leaving = [asyncio.create_task(quick.check(stored, PASSWORD)) for _ in range(32)]
    await asyncio.sleep(0)
    for each in leaving:
        each.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    assert all(each.cancelled() for each in leaving)
    assert quick.taken == 32
    with pytest.raises(Busy):
        await quick.check(stored, PASSWORD)
    held.free.set()
    async with asyncio.timeout(30):
        while True:
            try:
                assert await quick.check(stored, PASSWORD)
            except Busy:
                await asyncio.sleep(0)
            else:
                break


async def test_the_event_loop_goes_on_while_hashes_are_computed(
    quick: Argon2Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, held = user(await quick.hash(PASSWORD)), Held(quick, monkeypatch)
    checking = asyncio.create_task(quick.check(stored, PASSWORD))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not checking.done()
    held.free.set()
    assert await checking
