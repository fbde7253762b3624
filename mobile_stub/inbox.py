"""A queue that can be ended with an error and from which waiting things can be taken back.

`asyncio.Queue` can do neither: a withdrawn challenge must leave the queue, and a phone whose line is closed for good
must say so to whoever waits, instead of letting them wait for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """First in, first out; any number of readers, each thing goes to one of them."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._changed = asyncio.Event()
        self._end: Exception | None = None

    def put(self, item: Item) -> None:
        """Add at the end and wake the readers."""
        self._items.append(item)
        self._changed.set()

    def discard(self, unwanted: Callable[[Item], bool]) -> None:
        """Take back whatever hasn't been read yet and is unwanted."""
        self._items = deque(item for item in self._items if not unwanted(item))

    def end(self, error: Exception) -> None:
        """Nothing more will come: what is left can still be read, then `error` is raised."""
        self._end = error
        self._changed.set()

    def resume(self) -> None:
        """Undo `end`."""
        self._end = None

    async def get(self) -> Item:
        """The oldest thing, waiting for one if there is none; the error given to `end` once it is empty and ended."""
        while not self._items:
            if self._end is not None:
                raise self._end
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()

    def __len__(self) -> int:
        return len(self._items)
