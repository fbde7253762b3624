"""One device's open socket, without the socket: what it shows, and what it must be told when the bell rings.

The newest socket of a device takes over from its older ones, at whichever process they are: whoever connects notes so
in the store and rings, and the holder of an older one finds that it isn't the newest any more. A bell alone proves
nothing.

The bell carries no state. Each time it rings, what the device shows is compared with what its person is asked now: new
prompts are sent, and of those that are gone the device is told why, unless it was the one that answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from push_service.delivery import frames
from push_service.hops import Hops
from push_service.model.challenge import Challenge, ChallengeState, MethodKind
from push_service.model.device import Device
from push_service.model.errors import StoreUnavailable
from push_service.model.ids import ChallengeId, ConnectionId
from push_service.model.instant import Instant, seconds_between
from push_service.model.user import Pending
from push_service.ports import Store

NOT_AUTHENTICATED = 4401
REPLACED = 4409
TOO_MANY_MESSAGES = 4429
RESTARTING = 1012
_LOOK_AGAIN_SECONDS = 1.0
_FINISH_SECONDS = 3.0
"""How long a close waits for the frame that is being heeded: an answer's outcome goes out before the farewell."""

Send = Callable[[bytes], Awaitable[None]]
Close = Callable[[int], Awaitable[None]]


class DeviceLine:
    """The prompts on one device's screen, kept as they are in the store."""

    def __init__(
        self,
        device: Device,
        connection_id: ConnectionId,
        store: Store,
        send: Send,
        close: Close,
        hops: Hops | None = None,
    ) -> None:
        """Talk to the device by `send` and `close`, over this one of its sockets."""
        self.device, self.connection_id = device, connection_id
        self._hops = hops or Hops()
        self._store, self._send, self._close = store, send, close
        self._shown: dict[ChallengeId, Pending] = {}
        self._answered: set[ChallengeId] = set()
        self._rung = False
        self._contested = False
        self._looking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gone = False
        self._closing = False
        self._turn = asyncio.Lock()
        self._greeted = False

    def greeted(self) -> None:
        """The device was told that it is connected: from now on it may be sent prompts, and before nothing."""
        self._greeted = True
        self.ring()

    def ring(self) -> None:
        """Look again, as soon as the look under way is done."""
        self._rung = True
        if not self._gone and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    def contest(self) -> None:
        """The device may have connected elsewhere: look whether this is still its newest socket."""
        self._contested = True
        self.ring()

    def shows(self, challenge_id: str) -> bool:
        """Whether the device was sent this prompt and it has not been taken back."""
        return challenge_id in self._shown

    def shown(self, challenge_id: ChallengeId) -> Pending | None:
        """The prompt as it was when sent: what is asked never changes, only whether it still is."""
        return self._shown.get(challenge_id)

    def answered(self, challenge_id: ChallengeId) -> None:
        """This device's own answer was taken: it needn't be told that the prompt is gone."""
        self._shown.pop(challenge_id, None)
        self._answered.add(challenge_id)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Entered while a frame of the device's is heeded and replied to: the socket isn't closed in between.

        False says that the socket is about to be closed: the frame must not be heeded, as no reply could follow. A
        device gives its answer again where it reconnects.
        """
        async with self._turn:
            yield not self._closing

    async def end(self, code: int | None = None) -> None:
        """Stop looking; with a code, close the socket too, after the reply to what is being heeded."""
        self._gone = True
        if self._timer:
            self._timer.cancel()
        looking = self._looking
        if looking and looking is not asyncio.current_task():
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking
        if code is not None:
            self._closing = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FINISH_SECONDS), self._turn:
                    pass
            await self._close(code)

    async def _look(self) -> None:
        while self._rung and not self._gone:
            self._rung = False
            try:
                if self._contested and await self._superseded():
                    await self.end(REPLACED)
                    return
                if self._greeted:
                    await self._compare()
            except StoreUnavailable:
                self._again_in(_LOOK_AGAIN_SECONDS)
            except (ConnectionError, TimeoutError):
                self._gone = True

    async def _superseded(self) -> bool:
        newest = await self._store.newest_connection(self.device.id)
        self._contested = False  # only now: the store may be away, and then this is asked again
        return newest not in {None, self.connection_id}

    async def _compare(self) -> None:
        now = await self._store.now()
        found = await self._store.asked(self.device.user_id)
        if found is None or not any(each.id == self.device.id for each in found.user.guard.devices):
            self._gone = True
            await self._close(NOT_AUTHENTICATED)
            return
        open_now = {challenge.id: (challenge, pending) for challenge, pending in asked_on_phone(found.live, now)}
        for challenge_id in self._shown.keys() - open_now.keys():
            await self._take_back(challenge_id)
            self._shown.pop(challenge_id, None)  # only now: the store may be away, and then this is tried again
        # What was read may be older than an answer that came meanwhile: an answered prompt is not shown anew.
        self._answered &= open_now.keys()
        for challenge_id, (challenge, pending) in open_now.items():
            if challenge_id not in self._shown and challenge_id not in self._answered:
                self._shown[challenge_id] = pending
                begun = time.perf_counter()
                await self._send(frames.challenge(challenge))
                self._hops.sent(challenge, now, time.perf_counter() - begun)
        deadlines = [each.sign_in.expires_at for each in found.live if each.sign_in.open_at(now)]
        if deadlines and self._shown:
            self._again_in(seconds_between(now, min(deadlines)))

    async def _take_back(self, challenge_id: ChallengeId) -> None:
        ended = await self._store.challenge(challenge_id)
        challenge = ended.challenge if ended else None
        if challenge and challenge.answered_by == self.device.id:
            return
        await self._send(frames.withdrawn(challenge_id, _why(challenge)))

    def _again_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.01, seconds), self.ring)


def asked_on_phone(live: tuple[Pending, ...], now: Instant) -> list[tuple[Challenge, Pending]]:
    """The challenges that a person's phones show at `now`, each with its sign-in."""
    return [
        (each.challenge, each)
        for each in live
        if each.challenge
        and each.challenge.kind is MethodKind.APP_NOTIFICATION
        and each.challenge.state is ChallengeState.PENDING
        and each.sign_in.open_at(now)
    ]


def _why(challenge: Challenge | None) -> str:
    if challenge is None or challenge.state in {ChallengeState.PENDING, ChallengeState.EXPIRED}:
        return "expired"
    if challenge.answered_by is not None:
        return "answered_elsewhere"
    return frames.WITHDRAWN_REASONS.get(challenge.reason, "cancelled")
