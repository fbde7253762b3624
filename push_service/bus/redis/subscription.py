"""Who listens to a channel in this process, and those who wait for a word from the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .link import Reply
from .wire import Channel

if TYPE_CHECKING:
    from .node import Node


class Subscription:
    """One channel, with how many listen to it in this process."""

    __slots__ = ("channel", "early", "listeners", "live", "node", "waiting")

    def __init__(self, node: Node, channel: Channel) -> None:
        """Nobody listens yet."""
        self.node, self.channel, self.listeners = node, channel, 0
        self.live = False
        self.early = False
        """Someone entered before the confirmation."""
        self.waiting: list[asyncio.Future[None]] = []

    def let_in(self) -> None:
        """Nobody waits for the confirmation any more: it has come, or won't."""
        for each in self.waiting:
            if not each.done():
                each.set_result(None)
        self.waiting.clear()


class Opens:
    """Opens a barrier when the reply has come: all that was said before it is with the server."""

    __slots__ = ("_barrier",)

    def __init__(self, barrier: asyncio.Future[None]) -> None:
        """Open this one."""
        self._barrier = barrier

    def __call__(self, _: Reply) -> None:
        """The reply is here."""
        over(self._barrier)


def over(waiting: asyncio.Future[None]) -> None:
    """Nobody needs to wait any more."""
    if not waiting.done():
        waiting.set_result(None)
