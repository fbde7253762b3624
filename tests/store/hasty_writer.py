"""Begins sign-ins as fast as it can, and prints the id of each once that is durable, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from push_service.crypto.sealing import Sealer
from push_service.store.sqlite import SqliteStore
from tests.contracts.making import answer, begin, enrol

AT_ONCE = 8


async def write(store: SqliteStore, name: str) -> None:
    person = await enrol(store, name)
    while True:
        seen = await begin(store, person)
        await answer(store, person, seen)
        print(seen.sign_in.id, flush=True)  # noqa: T201 - what the story reads


async def main(path: Path) -> None:
    async with SqliteStore(path, Sealer(bytes(32))) as store:
        await asyncio.gather(*(write(store, f"person{n}") for n in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
