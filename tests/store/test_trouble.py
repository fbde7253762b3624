"""Killed processes, a full disk, another's lock, callers that go away: nothing half done, and it heals."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from push_service.bus.local import LocalBus
from push_service.decisions import Decisions
from push_service.model import ids
from push_service.model.challenge import ChallengeState
from push_service.model.decision import Audit
from push_service.model.errors import Busy, ServiceError, StoreUnavailable
from push_service.model.ids import SignInId
from push_service.model.sign_in import SignInState
from push_service.ports import Topic
from push_service.store.sqlite import SqliteStore, writer
from tests.contracts.kinds import SqliteStores
from tests.contracts.making import (
    BY_OPERATOR,
    answer,
    answering,
    begin,
    beginning,
    challenge_of,
    enrol,
    look,
    writing,
)

SOON = 30.0
BEFORE_KILL = 200


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process that writes and takes its time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def started(module: str, path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.reliability("R-02", "R-22")
async def test_what_was_acknowledged_before_a_kill_is_there_and_nothing_is_half_done(stores: SqliteStores) -> None:
    acknowledged: list[str] = []
    async with asyncio.timeout(SOON), started("tests.store.hasty_writer", stores.path) as process:
        assert process.stdout is not None
        while len(acknowledged) < BEFORE_KILL:
            line = await process.stdout.readline()
            assert line, (await process.communicate())[1].decode()
            acknowledged.append(line.decode().strip())
        process.send_signal(signal.SIGKILL)
        rest, _ = await process.communicate()
        acknowledged += rest.decode().split()
    async with stores.open() as store:
        for each in acknowledged:
            assert (await look(store, SignInId(each))).state is SignInState.APPROVED
        users = await store.users()
        live = [pending for user in users if (asked := await store.asked(user.id)) for pending in asked.live]
        assert len(live) <= len(users)
        for pending in live:
            assert pending.challenge is not None
            assert pending.challenge.state is ChallengeState.PENDING
        records = stores.audit()
        outcomes = [each.sign_in_id for each in records if each.kind == "sign_in.outcome"]
        begun = [each.sign_in_id for each in records if each.kind == "sign_in.begun"]
        assert set(acknowledged) <= set(outcomes)
        assert len(outcomes) == len(set(outcomes))
        assert sorted(begun) == sorted([*outcomes, *(pending.sign_in.id for pending in live)])  # type: ignore[type-var]
        alive = await enrol(store, "later")
        await begin(store, alive)


@pytest.mark.reliability("R-24")
async def test_a_full_disk_refuses_and_heals(tmp_path: Path) -> None:
    async with asyncio.timeout(SOON), started("tests.store.full_disk", tmp_path / "data.db") as process:
        _, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()


@pytest.mark.reliability("R-24")
async def test_another_writers_lock_refuses_after_a_while_leaves_reading_alone_and_heals(
    stores: SqliteStores, store: SqliteStore
) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    records = stores.audit()
    with locked(stores.path):
        async with asyncio.timeout(SOON):
            answering_ = asyncio.create_task(answer(store, alice, seen))
            await asyncio.sleep(0)
            behind = asyncio.gather(*(store.record([BY_OPERATOR]) for _ in range(100)), return_exceptions=True)
            while not answering_.done():
                assert (await look(store, seen.sign_in.id)).state is SignInState.PENDING
                await asyncio.wait({answering_}, timeout=0.2)
            with pytest.raises(StoreUnavailable) as refused:
                await answering_
            assert refused.value.retry_after is not None
            assert {type(each) for each in await behind} == {StoreUnavailable}
    assert stores.audit() == records
    await store.check()
    await answer(store, alice, seen)
    assert (await look(store, seen.sign_in.id)).state is SignInState.APPROVED
    assert store.queued == 0


@pytest.mark.reliability("R-24")
async def test_a_lock_held_for_a_moment_is_waited_for(stores: SqliteStores, store: SqliteStore) -> None:
    alice = await enrol(store)
    with locked(stores.path):
        deciding = asyncio.create_task(store.decide(alice.id, beginning(await store.now())))
        await asyncio.wait({deciding}, timeout=0.1)
        assert not deciding.done()
    async with asyncio.timeout(SOON):
        decision, _ = await deciding
    assert await store.watch(decision.reply.sign_in.id)


@pytest.mark.reliability("R-03")
async def test_nobody_is_told_before_the_commit(stores: SqliteStores, store: SqliteStore) -> None:
    """While another holds the lock, none comes; by the time that bell and observer come, everybody sees the outcome."""
    alice, bus = await enrol(store), LocalBus()
    seen = await begin(store, alice)
    told: list[str] = []

    def outcome() -> str:
        with closing(sqlite3.connect(stores.path)) as other:
            state: str = other.execute("SELECT state FROM sign_ins WHERE id = ?", (seen.sign_in.id,)).fetchone()[0]
        return state

    def observe(audit: Audit) -> None:
        told.append(f"observer {audit.code} {outcome()}")

    decisions = Decisions(store, bus, [observe])
    async with bus.attach(Topic.sign_in(seen.sign_in.id), lambda: told.append(f"bell {outcome()}")):
        with locked(stores.path):
            deciding = asyncio.create_task(decisions.decide(alice.id, answering(seen, alice.phone)))
            await asyncio.wait({deciding}, timeout=0.3)
            assert not deciding.done()
            assert told == []
            assert (await look(store, seen.sign_in.id)).state is SignInState.PENDING
        async with asyncio.timeout(SOON):
            await deciding
    assert sorted(told) == ["bell approved", "observer approved approved"]


@pytest.mark.reliability("R-01", "R-03")
async def test_nobody_is_told_expired_while_an_answer_in_time_is_on_its_way_to_the_disk(
    stores: SqliteStores, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await enrol(store)
    seen = await begin(store, alice)
    on_its_way, let_it = threading.Event(), threading.Event()
    commit = store._writer._commit

    def slowly() -> None:
        on_its_way.set()
        assert let_it.wait(SOON)
        commit()

    monkeypatch.setattr(store._writer, "_commit", slowly)
    stores.clock.advance(119.9)
    answered = asyncio.create_task(answer(store, alice, seen))
    assert await asyncio.to_thread(on_its_way.wait, SOON)
    stores.clock.advance(0.2)
    reads = [
        asyncio.create_task(store.watch(seen.sign_in.id)),
        asyncio.create_task(store.challenge(challenge_of(seen).id)),
    ]
    asked = asyncio.create_task(store.asked(alice.id))
    await asyncio.wait({*reads, asked}, timeout=0.1)
    assert not any(each.done() for each in (*reads, asked))
    let_it.set()
    async with asyncio.timeout(SOON):
        await answered
        for each in await asyncio.gather(*reads):
            assert each is not None
            assert each.sign_in.state is SignInState.APPROVED
        snapshot = await asked
    assert snapshot is not None
    assert snapshot.live == ()


async def test_a_reader_never_sees_what_is_not_committed(stores: SqliteStores) -> None:
    """Two hundred rows become visible together, at their commit."""
    async with stores.open() as store, stores.open() as reader:
        alice = await enrol(store)
        kinds = set()
        for _ in range(5):
            guard_before = await reader.user(alice.id)
            assert guard_before is not None
            deciding = asyncio.create_task(store.decide(alice.id, writing(audit=(BY_OPERATOR,) * 200)))
            while not deciding.done():
                user = await reader.user(alice.id)
                assert user is not None
                kinds.add((user.version - guard_before.version, len(stores.audit()) % 200))
                await asyncio.sleep(0)
            await deciding
        assert len({remainder for _, remainder in kinds}) == 1


@pytest.mark.reliability("R-23")
async def test_a_full_queue_refuses_at_once_and_empties(
    stores: SqliteStores, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED", 5)
    alice = await enrol(store)
    with locked(stores.path):
        queued = [asyncio.create_task(store.record([BY_OPERATOR])) for _ in range(5)]
        await asyncio.sleep(0)
        assert store.queued == 5
        for _ in range(3):
            with pytest.raises(Busy) as refused:
                await store.decide(alice.id, writing())
            assert refused.value.retry_after is not None
        assert await store.user(alice.id) == alice.user
    async with asyncio.timeout(SOON):
        await asyncio.gather(*queued)
    await store.decide(alice.id, writing())
    assert store.queued == 0


async def test_all_callers_may_leave_and_the_writer_goes_on(store: SqliteStore) -> None:
    for _ in range(5):
        leaving = [asyncio.create_task(store.record([BY_OPERATOR])) for _ in range(50)]
        await asyncio.sleep(0)
        for each in leaving:
            each.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
    async with asyncio.timeout(SOON):
        await store.check()
    assert store.queued == 0


async def test_a_file_that_is_gone_wrong_is_unavailable_not_a_crash(stores: SqliteStores, store: SqliteStore) -> None:
    alice = await enrol(store)
    with closing(sqlite3.connect(stores.path)) as other, other:
        other.execute("ALTER TABLE users RENAME TO lost")
    uses = (
        lambda: store.user(alice.id),
        lambda: store.user_by_name("alice"),
        store.users,
        lambda: store.asked(alice.id),
        lambda: store.decide(alice.id, writing()),
        store.check,
    )
    for use in uses:
        with pytest.raises(StoreUnavailable):
            await use()
    with closing(sqlite3.connect(stores.path)) as other, other:
        other.execute("ALTER TABLE lost RENAME TO users")
    await store.check()
    assert await store.user(alice.id) == alice.user
    with pytest.raises(ServiceError):
        await store.decide(ids.user_id(), writing())
