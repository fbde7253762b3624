"""One server that is rung at: kept in touch with, whatever becomes of it.

It remembers who listens to what and what is still to be rung, so that nothing depends on one connection: a new one
subscribes to everything again, and when that is confirmed every listener looks again. What was rung while there was no
connection, or was not confirmed on the old one, is rung on the new one: others may have heard all the while.

Nothing here makes anyone wait for the network but `confirmed` and `subscribers`, and these wait for a moment only.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import NoReturn, Protocol

import structlog
from redis.exceptions import RedisError, ResponseError

from .address import Address
from .link import Link, Lost, Reply
from .subscription import Opens, Subscription, over
from .wire import Channel, Origin

CONFIRM_SECONDS = 0.25
"""How long a listener waits for its subscription. It enters all the same then, and is rung when it is confirmed."""

ASK_SECONDS = 0.2
BACK_OFF_SECONDS = 0.1
LONGEST_BACK_OFF_SECONDS = 2.0
STEADY_SECONDS = 10.0
"""A link that lasted so long was a good one: after it, the back-off begins anew."""

OUTBOX = 10_000
_AT_ONCE = 1000
_log = structlog.get_logger()


class Owner(Protocol):
    """What a node tells of; the bus."""

    def ring_channel(self, channel: Channel) -> None:
        """Something is new about the channel's topic, or may have been missed."""
        ...

    def ring_all(self) -> None:
        """Anything may have been missed."""
        ...

    def changed(self) -> None:
        """A node's `trouble` came or went."""
        ...


class Node:
    """A server, with the link to it while there is one."""

    def __init__(self, address: Address, origin: Origin, owner: Owner, *, sharded: bool = False) -> None:
        """Not connected yet. `sharded` where channels belong to slots of a cluster."""
        self.address, self._origin, self._owner = address, origin, owner
        shard = b"S" if sharded else b""
        self._publish, self._subscribe = shard + b"PUBLISH", shard + b"SUBSCRIBE"
        self._unsubscribe = shard + b"UNSUBSCRIBE"
        self._numsub = b"SHARDNUMSUB" if sharded else b"NUMSUB"
        self._sharded = sharded
        self.subscriptions: dict[Channel, Subscription] = {}
        self._fresh: list[Subscription] = []
        self._idle: list[Subscription] = []
        self._idle_longer: list[Subscription] = []
        self.outbox: dict[Channel, None] = {}
        self._unconfirmed: deque[Channel] = deque()
        self._barriers: list[asyncio.Future[None]] = []
        self._link: Link | None = None
        self.tried = asyncio.Event()
        """Set once the first attempt to connect has ended, well or not."""
        self.trouble: str | None = "is not connected yet"
        self.connects = 0
        self.dropped = 0

    # --- called by those who listen and ring, on the event loop -------------------------------------------------------

    def enter(self, channel: Channel) -> Subscription:
        """One more listens to the channel."""
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            subscription = self.subscriptions[channel] = Subscription(self, channel)
            self._ask_for(subscription)
        subscription.listeners += 1
        return subscription

    async def confirmed(self, subscription: Subscription) -> None:
        """Wait until the subscription is live: a moment at most, and not at all without a connection."""
        if subscription.live:
            return
        if self._link is None:
            subscription.early = True
            return
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        subscription.waiting.append(waiting)
        timer = loop.call_later(CONFIRM_SECONDS, over, waiting)
        try:
            await waiting
        finally:
            timer.cancel()
        if not subscription.live:
            subscription.early = True

    def leave(self, subscription: Subscription) -> None:
        """One less. The subscription stays for a beat: whoever polls comes back at once."""
        subscription.listeners -= 1
        if subscription.listeners:
            return
        if self._link is None:
            self._forget(subscription)
        else:
            self._idle.append(subscription)

    def ring(self, channel: Channel) -> None:
        """Tell the other processes, soon. Equal rings that have not gone out yet are one; the oldest make room."""
        self.outbox.pop(channel, None)
        self.outbox[channel] = None
        if len(self.outbox) > OUTBOX:
            del self.outbox[next(iter(self.outbox))]
            self.dropped += 1
        if self._link is not None:
            self._link.wake()

    async def subscribers(self, channel: Channel) -> int | None:
        """How many other processes listen to the channel; None if that can't be told in a moment."""
        if self._link is None:
            return None
        told: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        ours = int(channel in self.subscriptions)

        def take(reply: Reply) -> None:
            if not told.done():
                told.set_result(reply[1] - ours if isinstance(reply, list) and len(reply) > 1 else None)

        self.gather()  # so that the server knows of our own subscription before it counts
        self._link.say(b"PUBSUB", self._numsub, channel, take=take)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await told
        except TimeoutError:
            return None

    async def flushed(self) -> None:
        """Wait until everything rung so far is with the server; for ever, if it never is."""
        if self._link is None:
            return
        barrier = asyncio.get_running_loop().create_future()
        self._barriers.append(barrier)
        self._link.wake()
        await barrier

    def move(self, subscription: Subscription, to: Node) -> None:
        """Listen at another node from now on; what was rung in between is looked for when that is confirmed."""
        del self.subscriptions[subscription.channel]
        subscription.let_in()
        if subscription.listeners:
            to.adopt(subscription)

    def adopt(self, subscription: Subscription) -> None:
        """Take over a subscription of another node."""
        subscription.node, subscription.live, subscription.early = self, False, True
        self.subscriptions[subscription.channel] = subscription
        self._ask_for(subscription)

    # --- the link's life ----------------------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Keep a link, until cancelled."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            begun = loop.time()
            try:
                await self._one_link()
            except (Lost, RedisError, OSError) as ended:
                self._lost(_why(ended))
            except Exception as defect:  # noqa: BLE001 - a defect in here must not end the bell for the process's life
                _log.exception("bus.defect", server=str(self.address))
                self._lost(_why(defect))
            failures = 0 if loop.time() - begun > STEADY_SECONDS else failures + 1
            longest = min(LONGEST_BACK_OFF_SECONDS, BACK_OFF_SECONDS * 2.0 ** min(failures, 10))
            # Full jitter: processes that lost a server together don't come back together.
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - spreads load, guards nothing

    async def _one_link(self) -> None:
        link = Link(self.address.connection(), self)
        try:
            await link.open()
            self._link = link
            self._resume(link)
            await link.last()
        finally:
            self._link = None
            await link.close()

    def _resume(self, link: Link) -> None:
        """Subscribe to everything again. When that is confirmed, so is what follows it, and all look again."""
        wanted = list(self.subscriptions.values())
        self._fresh, self._idle, self._idle_longer = [], [], []
        for each in wanted:
            each.early = False
        self._say_subscribe(link, wanted)
        link.say(b"PING", take=self._resumed)

    def _resumed(self, reply: Reply) -> None:
        if isinstance(reply, ResponseError):
            raise Lost(str(reply))
        self.connects += 1
        self.trouble = None
        if self.connects > 1 or self.tried.is_set():
            _log.info("bus.back", server=str(self.address))
        self.tried.set()
        self._owner.changed()
        self._owner.ring_all()

    def _lost(self, why: str) -> None:
        if self.trouble is None or not self.tried.is_set():
            _log.warning("bus.lost", server=str(self.address), detail=why)
        self.trouble = f"{self.address} {why}"
        self.tried.set()
        for each in tuple(self.subscriptions.values()):
            each.live, each.early = False, True
            each.let_in()
            if not each.listeners:
                self._forget(each)
        # Whether these were heard nobody knows; heard twice does no harm.
        self.outbox = dict.fromkeys((*self._unconfirmed, *self.outbox))
        self._unconfirmed.clear()
        for barrier in self._barriers:
            over(barrier)
        self._barriers.clear()
        self._owner.changed()

    # --- called by the link -------------------------------------------------------------------------------------------

    def heard(self, channel: Channel, message: bytes) -> None:
        """See link.Owner."""
        if message != self._origin:
            self._owner.ring_channel(channel)

    def gather(self) -> None:
        """See link.Owner: what came together since the last time goes out together."""
        link = self._link
        if link is None:
            return
        if self._fresh:
            fresh, self._fresh = [each for each in self._fresh if each.node is self], []
            self._say_subscribe(link, fresh)
        for _ in range(min(len(self.outbox), _AT_ONCE)):
            channel = next(iter(self.outbox))
            del self.outbox[channel]
            self._unconfirmed.append(channel)
            link.say(self._publish, channel, self._origin, take=self._published)
        if self.outbox:
            link.wake()
            return
        for barrier in self._barriers:
            link.say(b"PING", take=Opens(barrier))
        self._barriers.clear()

    def beat(self) -> None:
        """See link.Owner: subscriptions that nobody came back to are given up."""
        longer, self._idle_longer, self._idle = self._idle_longer, self._idle, []
        given_up = {
            each.channel: None for each in longer if not each.listeners and self.subscriptions.get(each.channel) is each
        }
        for channel in given_up:
            del self.subscriptions[channel]
        if given_up and self._link:
            self.gather()  # what is still to be subscribed to comes first, or giving it up would come before
            self._say_each(self._link, self._unsubscribe, list(given_up), _gone)

    def _published(self, reply: Reply) -> None:
        if isinstance(reply, ResponseError):
            raise Lost(str(reply))
        self._unconfirmed.popleft()

    def _forget(self, subscription: Subscription) -> None:
        if self.subscriptions.get(subscription.channel) is subscription:
            del self.subscriptions[subscription.channel]

    def _ask_for(self, subscription: Subscription) -> None:
        if self._link is not None:
            self._fresh.append(subscription)
            self._link.wake()

    def _say_subscribe(self, link: Link, subscriptions: list[Subscription]) -> None:
        # Matched by order, not by name: a channel may have been left and come back to before its confirmation.
        awaited = deque(subscriptions)

        def confirmed(_: Reply) -> None:
            subscription = awaited.popleft()
            subscription.live = True
            subscription.let_in()
            if subscription.early:
                subscription.early = False
                self._owner.ring_channel(subscription.channel)

        self._say_each(link, self._subscribe, [each.channel for each in subscriptions], confirmed)

    def _say_each(self, link: Link, command: bytes, channels: list[Channel], take: Callable[[Reply], None]) -> None:
        if self._sharded:  # one command must not name channels of different slots
            for channel in channels:
                link.say_of(command, (channel,), take)
        else:
            link.say_of(command, channels, take)


def _gone(_: Reply) -> None:
    """Nothing waits for the end of a subscription."""


def _why(ended: Exception) -> str:
    """What went wrong, in a few words."""
    if isinstance(ended, TimeoutError):
        return "does not answer"
    return " ".join(str(ended).split()) or type(ended).__name__
