"""What a phone shows is what its owner is asked: sent once, taken back with the reason, and made good after trouble."""

from __future__ import annotations

import asyncio
import functools
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from push_service.bus.local import LocalBus
from push_service.crypto.sealing import Sealer
from push_service.decisions import Decisions
from push_service.delivery import line as line_module
from push_service.delivery.line import NOT_AUTHENTICATED, REPLACED, DeviceLine
from push_service.model import ids
from push_service.model.challenge import ChallengeState
from push_service.model.decision import Decision, Rule
from push_service.model.device import Device
from push_service.model.errors import StoreUnavailable
from push_service.model.ids import ChallengeId
from push_service.model.instant import Instant
from push_service.model.method import AnswerDecision
from push_service.model.rules.administration import reset_methods, set_blocked
from push_service.model.rules.browser import withdraw
from push_service.model.sign_in import Reason, SignInEvent
from push_service.model.user import Pending, Snapshot
from push_service.model.view import Seen
from push_service.ports import Topic
from push_service.store.sqlite import SqliteStore
from tests.contracts.making import METHODS, Person, answering, beginning, challenge_of, enrol

SOON = 30.0


class Screen:
    """What a phone was sent."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.closed: int | None = None
        self.broken = False
        self.before_sending: Callable[[dict[str, Any]], None] = lambda _: None
        self._something = asyncio.Event()

    async def send(self, frame: bytes) -> None:
        if self.broken:
            raise ConnectionResetError
        await asyncio.sleep(0)
        document = json.loads(frame)
        self.before_sending(document)
        self.frames.append(document)
        self._something.set()

    async def close(self, code: int) -> None:
        self.closed = code
        self._something.set()

    @property
    def told(self) -> list[tuple[str, str]]:
        """Each frame in short: a prompt by its challenge, a withdrawal with its reason."""
        return [
            ("challenge", each["challenge"]["id"])
            if each["type"] == "challenge"
            else (each["reason"], each["challenge_id"])
            for each in self.frames
        ]

    async def is_told(self, *wanted: tuple[str, str]) -> None:
        """Exactly this, and nothing else so far."""
        await self.is_sent(len(wanted))
        assert self.told == list(wanted)

    async def is_sent(self, frames: int) -> None:
        """So many, or more."""
        async with asyncio.timeout(SOON):
            while len(self.frames) < frames:
                self._something.clear()
                await self._something.wait()

    async def is_closed(self) -> int:
        async with asyncio.timeout(SOON):
            while self.closed is None:
                self._something.clear()
                await self._something.wait()
        return self.closed


class World:
    """A store with real time, a bell, and phones that are connected."""

    def __init__(self, store: SqliteStore, path: Path) -> None:
        self.store, self.path, self.bus = store, path, LocalBus()
        self._decisions = Decisions(store, self.bus)

    @asynccontextmanager
    async def line(self, device: Device) -> AsyncIterator[tuple[Screen, DeviceLine]]:
        screen = Screen()
        line = DeviceLine(device, ids.connection_id(), self.store, screen.send, screen.close)
        async with self.bus.attach(Topic.user(device.user_id), line.ring):
            line.greeted()
            yield screen, line
        await line.end()

    @asynccontextmanager
    async def screen(self, device: Device) -> AsyncIterator[Screen]:
        async with self.line(device) as (screen, _):
            yield screen

    async def decide(self, person: Person, rule: Rule[object]) -> None:
        await self._decisions.decide(person.id, rule)

    async def begin(self, person: Person, seconds: int = 120, replaces: Seen | None = None) -> Seen:
        rule = beginning(await self.store.now(), seconds=seconds, replaces=replaces.sign_in.id if replaces else None)
        return await self._decisions.decide(person.id, rule)

    @asynccontextmanager
    async def unreadable(self) -> AsyncIterator[None]:
        """The store can't be read meanwhile."""
        with closing(sqlite3.connect(self.path)) as other:
            other.execute("ALTER TABLE users RENAME TO lost")
            yield
            other.execute("ALTER TABLE lost RENAME TO users")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with SqliteStore(tmp_path / "data.db", Sealer(bytes(32))) as store:
        yield World(store, tmp_path / "data.db")


def asked(seen: Seen) -> tuple[str, str]:
    return "challenge", challenge_of(seen).id


def gone(reason: str, seen: Seen) -> tuple[str, str]:
    return reason, challenge_of(seen).id


async def test_a_prompt_is_sent_once_however_often_it_rings(world: World) -> None:
    alice = await enrol(world.store)
    async with world.screen(alice.phone) as screen:
        first = await world.begin(alice)
        await screen.is_told(asked(first))
        for _ in range(20):
            await world.bus.ring([Topic.user(alice.id)])
        second = await world.begin(alice)
        await screen.is_told(asked(first), asked(second))
        frame = screen.frames[0]["challenge"]
        assert frame["context"] == challenge_of(first).context
        number = challenge_of(first).secret
        assert number is not None
        assert number not in json.dumps(screen.frames)


async def test_all_that_is_pending_comes_to_a_phone_that_connects(world: World) -> None:
    alice = await enrol(world.store)
    begun = [await world.begin(alice) for _ in range(3)]
    async with world.screen(alice.phone) as screen:
        await screen.is_told(*map(asked, begun))
    async with world.screen(alice.phone) as again:
        await again.is_told(*map(asked, begun))


async def test_others_prompts_are_never_shown(world: World) -> None:
    alice, bob = await enrol(world.store, "alice"), await enrol(world.store, "bob")
    async with world.screen(alice.phone) as screen:
        await world.begin(bob)
        await world.bus.ring([Topic.user(alice.id)])
        seen = await world.begin(alice)
        await screen.is_told(asked(seen))


def _withdrawn(seen: Seen, reason: Reason) -> Rule[None]:
    """Another challenge took this one's place: by another method, or once more."""

    def rule(_: Snapshot, now: Instant) -> Decision[None]:
        ended = challenge_of(seen).ended(ChallengeState.WITHDRAWN, now, reason=reason)
        return Decision(reply=None, challenges=(ended,), sign_ins=(seen.sign_in.after(SignInEvent.ASKED, now),))

    return rule


def _wrong(seen: Seen, device: Device) -> Rule[object]:
    return answering(seen, device, number="00")


ENDINGS: dict[str, tuple[str, Callable[[Seen, Device], Rule[Any]]]] = {
    "verified on the other phone": ("answered_elsewhere", answering),
    "denied on the other phone": ("answered_elsewhere", functools.partial(answering, decision=AnswerDecision.DENY)),
    "reported on the other phone": (
        "answered_elsewhere",
        functools.partial(answering, decision=AnswerDecision.REPORT_FRAUD),
    ),
    "a wrong number on the other phone": ("answered_elsewhere", _wrong),
    "cancelled by the browser": (
        "cancelled",
        lambda seen, _: functools.partial(withdraw, sign_in_id=seen.sign_in.id, source=None),
    ),
    "replaced by the browser": (
        "replaced",
        lambda seen, _: beginning(seen.sign_in.begun_at, replaces=seen.sign_in.id),
    ),
    "another method": ("other_method", lambda seen, _: _withdrawn(seen, Reason.OTHER_METHOD)),
    "asked again": ("replaced", lambda seen, _: _withdrawn(seen, Reason.ASKED_AGAIN)),
    "methods changed": ("cancelled", lambda seen, _: _withdrawn(seen, Reason.METHODS_CHANGED)),
    "blocked by an operator": ("cancelled", lambda *_: functools.partial(set_blocked, blocked=True)),
}


@pytest.mark.parametrize("how", ENDINGS)
async def test_a_phone_is_told_why_a_prompt_is_gone(world: World, how: str) -> None:
    reason, end = ENDINGS[how]
    alice = await enrol(world.store, phones=2)
    seen = await world.begin(alice)
    async with world.screen(alice.phones[1]) as screen:
        await screen.is_told(asked(seen))
        await world.decide(alice, end(seen, alice.phones[0]))
        await screen.is_sent(2)  # where a new prompt follows, it comes after
        assert screen.told[1] == gone(reason, seen)


@pytest.mark.parametrize("decision", list(AnswerDecision))
async def test_the_phone_that_answered_is_not_told_that_its_prompt_is_gone(
    world: World, decision: AnswerDecision
) -> None:
    """Not over the socket either that did not carry the answer, which may have come over HTTP."""
    alice = await enrol(world.store, phones=2)
    async with world.screen(alice.phones[0]) as mine, world.screen(alice.phones[1]) as other:
        seen = await world.begin(alice)
        await mine.is_told(asked(seen))
        await world.decide(alice, answering(seen, alice.phones[0], decision))
        await other.is_told(asked(seen), gone("answered_elsewhere", seen))
        await mine.is_told(asked(seen))


async def test_an_answer_that_overtakes_the_look_under_way_does_not_bring_its_prompt_back(world: World) -> None:
    alice = await enrol(world.store)
    async with world.line(alice.phone) as (screen, line):
        cancelled, answered = await world.begin(alice), await world.begin(alice)
        await screen.is_told(asked(cancelled), asked(answered))

        def answer_meanwhile(frame: dict[str, Any]) -> None:
            if frame["type"] == "withdrawn":
                line.answered(challenge_of(answered).id)

        screen.before_sending = answer_meanwhile
        await world.decide(alice, functools.partial(withdraw, sign_in_id=cancelled.sign_in.id, source=None))
        so_far = (asked(cancelled), asked(answered), gone("cancelled", cancelled))
        await screen.is_told(*so_far)
        await world.decide(alice, answering(answered, alice.phone))
        later = await world.begin(alice)
        await screen.is_told(*so_far, asked(later))


async def test_nothing_is_sent_before_the_device_was_told_that_it_is_connected(world: World) -> None:
    alice, screen = await enrol(world.store), Screen()
    seen = await world.begin(alice)
    line = DeviceLine(alice.phone, ids.connection_id(), world.store, screen.send, screen.close)
    for early in (line.ring, line.contest):
        early()
        looking = line._looking
        assert looking is not None
        await looking
    assert (screen.frames, screen.closed) == ([], None)
    line.greeted()
    await screen.is_told(asked(seen))
    await line.end()


async def test_what_time_ends_is_taken_back_without_a_ring(world: World) -> None:
    alice = await enrol(world.store)
    async with world.screen(alice.phone) as screen:
        short = await world.begin(alice, seconds=1)
        long = await world.begin(alice)
        await screen.is_told(asked(short), asked(long), gone("expired", short))


@pytest.mark.security("S-04")
async def test_a_phone_that_was_removed_is_sent_away_at_once(world: World) -> None:
    alice = await enrol(world.store)
    async with world.screen(alice.phone) as screen:
        seen = await world.begin(alice)
        await screen.is_told(asked(seen))
        await world.decide(alice, functools.partial(reset_methods, methods=METHODS))
        assert await screen.is_closed() == NOT_AUTHENTICATED
        await world.bus.ring([Topic.user(alice.id)])
        await screen.is_told(asked(seen))


@pytest.mark.security("S-04")
async def test_a_phone_that_is_not_enrolled_is_sent_away_without_a_prompt(world: World) -> None:
    alice, bob = await enrol(world.store, "alice"), await enrol(world.store, "bob")
    await world.begin(alice)
    stranger = msgspec.structs.replace(bob.phone, user_id=alice.id)
    async with world.screen(stranger) as screen:
        assert await screen.is_closed() == NOT_AUTHENTICATED
        assert screen.frames == []


@pytest.mark.reliability("R-24")
async def test_after_trouble_with_the_store_it_looks_again_by_itself(world: World) -> None:
    alice = await enrol(world.store)
    seen = await world.begin(alice)
    async with world.unreadable(), world.line(alice.phone) as (screen, line):
        looking = line._looking
        assert looking is not None
        await looking
        assert screen.frames == []
        assert screen.closed is None
    async with world.line(alice.phone) as (screen, line):
        async with world.unreadable():
            line.ring()
            looking = line._looking
            assert looking is not None
            await looking
        await screen.is_told(asked(seen))


class Faltering(SqliteStore):
    """Can't say, once, what became of a challenge."""

    falters = True

    async def challenge(self, challenge_id: ChallengeId) -> Pending | None:
        if self.falters:
            self.falters = False
            raise StoreUnavailable
        return await super().challenge(challenge_id)


@pytest.mark.reliability("R-24")
async def test_a_prompt_is_taken_back_even_if_the_store_falters_in_between(tmp_path: Path) -> None:
    async with Faltering(tmp_path / "data.db", Sealer(bytes(32))) as store:
        world = World(store, tmp_path / "data.db")
        alice = await enrol(store, phones=2)
        seen = await world.begin(alice)
        async with world.screen(alice.phones[1]) as screen:
            await screen.is_told(asked(seen))
            await world.decide(alice, answering(seen, alice.phones[0]))
            await screen.is_told(asked(seen), gone("answered_elsewhere", seen))
            assert not store.falters


async def test_a_socket_that_breaks_ends_the_line_quietly(world: World) -> None:
    alice = await enrol(world.store)
    async with world.line(alice.phone) as (screen, line):
        screen.broken = True
        await world.begin(alice)
        looking = line._looking
        assert looking is not None
        await looking
        screen.broken = False
        await world.begin(alice)
        assert line._looking is looking
    assert screen.frames == []


@pytest.mark.reliability("R-06")
async def test_a_line_gives_way_to_a_newer_one_of_its_device_and_to_no_false_alarm(world: World) -> None:
    alice = await enrol(world.store)
    async with world.line(alice.phone) as (screen, line):
        line.contest()  # nothing was ever noted about this device
        seen = await world.begin(alice)
        await screen.is_told(asked(seen))
        await world.store.connected(alice.phone.id, line.connection_id, await world.store.now())
        line.contest()  # it is the newest
        await world.decide(alice, functools.partial(withdraw, sign_in_id=seen.sign_in.id, source=None))
        await screen.is_told(asked(seen), gone("cancelled", seen))
        await world.store.connected(alice.phone.id, ids.connection_id(), await world.store.now())
        line.contest()
        assert await screen.is_closed() == REPLACED


async def test_a_line_that_cannot_read_whether_it_is_the_newest_looks_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "_LOOK_AGAIN_SECONDS", 0.01)
    alice = await enrol(world.store)
    async with world.line(alice.phone) as (screen, line):
        await world.store.connected(alice.phone.id, ids.connection_id(), await world.store.now())
        with closing(sqlite3.connect(world.path)) as other:
            other.execute("ALTER TABLE connections RENAME TO lost")
            line.contest()
            looking = line._looking
            assert looking is not None
            await looking
            other.execute("ALTER TABLE lost RENAME TO connections")
        assert await screen.is_closed() == REPLACED


async def test_a_line_that_ended_looks_no_more_and_closes_as_told(world: World) -> None:
    alice = await enrol(world.store)
    async with world.line(alice.phone) as (screen, line):
        await line.end(1012)
        assert screen.closed == 1012
        await world.begin(alice)
        assert line._looking is None or line._looking.done()
        assert screen.frames == []


async def test_a_close_waits_for_the_reply_and_nothing_is_heeded_after_it(world: World) -> None:
    alice = await enrol(world.store)
    async with world.line(alice.phone) as (screen, line):
        async with line.turn() as heeded:
            assert heeded
            ending = asyncio.create_task(line.end(1012))
            late = asyncio.create_task(_heeded(line))
            for _ in range(10):
                await asyncio.sleep(0)
            assert (screen.closed, ending.done()) == (None, False)
        await ending
        assert screen.closed == 1012
        assert not await late


async def test_a_close_does_not_wait_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "_FINISH_SECONDS", 0.01)
    alice = await enrol(world.store)
    async with world.line(alice.phone) as (screen, line), line.turn():
        await line.end(1012)
        assert screen.closed == 1012


async def _heeded(line: DeviceLine) -> bool:
    async with line.turn() as heeded:
        return heeded
