"""One connection to one server, from its opening to its end.

Nobody but its own tasks reads or writes it: whoever wants something said leaves it here, and what comes is matched to
what was said, in order. So no request that is cancelled can leave half a command or a stray reply behind
(CVE-2023-28858, CVE-2023-28859). A command and its subscriptions share the connection, as RESP3 allows: what is heard
over it can't be alive while what is said isn't.

A server that is stalled says nothing and closes nothing. So the link pings it every second, and two seconds without a
word end the link. Time in which this very process stood still counts as one beat only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from redis.asyncio.connection import Connection
from redis.exceptions import ResponseError

from .wire import Channel

OPEN_SECONDS = 2.0
WRITE_SECONDS = 2.0
BEAT_SECONDS = 1.0
SILENT_BEATS = 2
_AT_ONCE = 500
"""How many channels one command names: the server takes other people's commands in between."""

_MESSAGES = frozenset({b"message", b"smessage"})
_CONFIRMATIONS = frozenset({b"subscribe", b"ssubscribe", b"unsubscribe", b"sunsubscribe"})

Reply = object
"""What redis-py makes of a reply: bytes, a number, a list, or the error that the server answered with."""

Take = Callable[[Reply], None]


class Lost(Exception):
    """The link is of no use any more; says why."""


class Owner(Protocol):
    """What a link tells of."""

    def heard(self, channel: Channel, message: bytes) -> None:
        """A message came."""
        ...

    def gather(self) -> None:
        """Something is about to be written: say now what is to go along."""
        ...

    def beat(self) -> None:
        """Once a second."""
        ...


class Link:
    """A connection while it lasts."""

    def __init__(self, connection: Connection, owner: Owner) -> None:
        """Not opened yet."""
        self._connection, self._owner = connection, owner
        self._unwritten: list[Sequence[bytes]] = []
        self._expected: deque[_Expected] = deque()
        self._wake = asyncio.Event()
        self._silent = 0

    async def open(self) -> None:
        """Connect, and agree on the protocol. Raises RedisError, OSError or TimeoutError."""
        async with asyncio.timeout(OPEN_SECONDS):
            await self._connection.connect()  # type: ignore[no-untyped-call]

    async def last(self) -> NoReturn:
        """Read, write and beat until the connection ends. Raises what ended it: Lost, RedisError, OSError."""
        # Not a TaskGroup: one that ends by an error leaves its task marked as cancelled (Python 3.11).
        tasks = [asyncio.create_task(each) for each in (self._read(), self._write(), self._beat())]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise ended.pop().exception() or Lost("ended")

    async def close(self) -> None:
        """Close it, without a farewell."""
        await self._connection.disconnect(nowait=True)

    def wake(self) -> None:
        """Have the owner gather, and write."""
        self._wake.set()

    def say(self, *command: bytes, take: Take | None = None) -> None:
        """Send a command with one reply. `take` is called with it; without one, an error ends the link."""
        self._unwritten.append(command)
        self._expected.append(_Expected(take or _no_error, ()))
        self._wake.set()

    def say_of(self, command: bytes, channels: Sequence[Channel], take: Take) -> None:
        """Send a command that is confirmed for each channel; `take` is called with each confirmed one, in order."""
        for begin in range(0, len(channels), _AT_ONCE):
            some = channels[begin : begin + _AT_ONCE]
            self._unwritten.append((command, *some))
            self._expected.append(_Expected(take, some))
        self._wake.set()

    async def _write(self) -> NoReturn:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._owner.gather()
            if not self._unwritten:
                continue
            commands, self._unwritten = self._unwritten, []
            packed = self._connection.pack_commands(commands)
            async with asyncio.timeout(WRITE_SECONDS):
                await self._connection.send_packed_command(packed, check_health=False)

    async def _read(self) -> NoReturn:
        while True:
            try:
                # Infinity: no deadline. A reply may be long in coming; the heartbeat is what finds a dead server.
                came: Reply = await self._connection.read_response(timeout=float("inf"), push_request=True)
            except ResponseError as error:
                came = error
            self._silent = 0
            match came:
                case [bytes() as kind, bytes() as channel, bytes() as message] if kind in _MESSAGES:
                    self._owner.heard(Channel(channel), message)
                case [bytes() as kind, bytes() as channel, int()] if kind in _CONFIRMATIONS:
                    self._confirmed(kind, Channel(channel))
                case reply:
                    self._replied(reply)

    def _confirmed(self, kind: bytes, channel: Channel) -> None:
        expected = self._expected[0] if self._expected else None
        if expected is None or not expected.left or expected.left[0] != channel:
            # The server ends a subscription by itself when the channel's slot has moved to another one.
            raise Lost(f"{kind.decode()} of a channel without having been asked")
        expected.left.popleft()
        if not expected.left:
            self._expected.popleft()
        expected.take(channel)

    def _replied(self, reply: Reply) -> None:
        expected = self._expected.popleft() if self._expected else None
        if expected is None:
            raise Lost("a reply to nothing")
        if expected.left:
            _no_error(reply)
            raise Lost("something else than the confirmation of a subscription")
        expected.take(reply)

    async def _beat(self) -> NoReturn:
        while True:
            if self._silent >= SILENT_BEATS:
                raise Lost("does not answer")
            self._silent += 1
            self.say(b"PING")
            self._owner.beat()
            await asyncio.sleep(BEAT_SECONDS)


class _Expected:
    """What is still to come for one command: a reply, or confirmations of the channels that are left."""

    __slots__ = ("left", "take")

    def __init__(self, take: Take, channels: Sequence[Channel]) -> None:
        self.take, self.left = take, deque(channels)


def _no_error(reply: Reply) -> None:
    if isinstance(reply, ResponseError):
        raise Lost(str(reply))
