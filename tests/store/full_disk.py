"""Writes until the file may not grow any more, then with room again; exits 0 if the store behaved.

The limit of a file's size belongs to a process, so this is one of its own.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from push_service.crypto.sealing import Sealer
from push_service.model.errors import StoreUnavailable
from push_service.store.sqlite import SqliteStore
from tests.contracts.making import BY_OPERATOR, answer, begin, enrol, look, writing

ROOM = 64 * 1024


async def until_refused(use: Callable[[], Awaitable[object]]) -> int:
    """How often it can be done before the store says that it can't."""
    for done in range(10_000):
        try:
            await use()
        except StoreUnavailable as refusal:
            assert refusal.retry_after is not None  # noqa: PT017 - there is no pytest here
            return done
    raise AssertionError("the disk never got full")


async def main(path: Path) -> None:
    wal = path.with_name(path.name + "-wal")
    async with SqliteStore(path, Sealer(bytes(32))) as store:
        alice = await enrol(store)
        seen = await begin(store, alice)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + ROOM, hard))
        written = await until_refused(lambda: store.decide(alice.id, writing()))
        assert written > 0
        await until_refused(store.check)  # it needs less room, but some
        version = alice.user.version + 1 + written
        # It can still be read, and says itself that it can't be written.
        user = await store.user(alice.id)
        assert user is not None
        assert user.version == version, (user.version, version)
        assert (await look(store, seen.sign_in.id)) == seen.sign_in
        for refused in (answer(store, alice, seen), store.record([BY_OPERATOR] * 100), store.check()):
            try:
                await refused
            except StoreUnavailable:
                continue
            raise AssertionError(refused)
        assert (await look(store, seen.sign_in.id)) == seen.sign_in
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await store.check()
        await answer(store, alice, seen)
        await store.record([BY_OPERATOR] * 1000)
        assert store.queued == 0
    async with SqliteStore(path, Sealer(bytes(32))) as store:
        user = await store.user(alice.id)
        assert user is not None
        assert user.version == version + 1
        assert (await look(store, seen.sign_in.id)).version == seen.sign_in.version + 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
