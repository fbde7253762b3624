"""A server that is no cluster: every channel is rung there."""

from __future__ import annotations

from collections.abc import Iterable

from .node import Node
from .wire import Channel


class Alone:
    """Implements bus.Servers."""

    def __init__(self, node: Node) -> None:
        """All there is."""
        self._node = node

    def of(self, _: Channel) -> Node:
        """See bus.Servers."""
        return self._node

    @property
    def nodes(self) -> Iterable[Node]:
        """See bus.Servers."""
        return (self._node,)

    @property
    def trouble(self) -> str | None:
        """See bus.Servers."""
        return self._node.trouble

    def poke(self) -> None:
        """See bus.Servers: nothing to look for."""

    async def run(self) -> None:
        """See bus.Servers."""
        await self._node.run()

    async def tried(self) -> None:
        """See bus.Servers."""
        await self._node.tried.wait()
