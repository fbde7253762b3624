"""What is being asked of the phone at this moment, as the line tells it.

Each challenge is checked against its signed context, shown once however often the service repeats it, and taken back
when the service withdraws it. After a break in the line the list is compared with the service's, because a withdrawal
that came meanwhile is not repeated. Listens to `line.py` on behalf of `phone.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from mobile_stub.api import WORTH_A_RETRY_SECONDS
from mobile_stub.errors import PhoneError, UntrustedPromptError
from mobile_stub.inbox import Inbox
from mobile_stub.line import LineState
from mobile_stub.wire import Challenge, Ready, WithdrawalReason, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from mobile_stub.api import DeviceApi
    from mobile_stub.clock import PhoneClock
    from mobile_stub.contexts import ContextChecker


class Prompts:
    """A `line.LineListener`. `unread` holds what nobody has looked at yet, `withdrawn` what was taken back."""

    def __init__(self, api: DeviceApi, clock: PhoneClock, checker: ContextChecker) -> None:
        self._api = api
        self._clock = clock
        self._checker = checker
        self._open: dict[str, Challenge] = {}
        self.unread: Inbox[Challenge | UntrustedPromptError] = Inbox()
        self.withdrawn: Inbox[Withdrawn] = Inbox()
        self.connected = asyncio.Event()
        self.answering: set[str] = set()
        self.state_changed: Callable[[LineState], None] | None = None

    async def next(self) -> Challenge:
        """The oldest unread challenge that is still asked.

        UntrustedPromptError in place of one that must not be shown.
        """
        while True:
            prompt = await self.unread.get()
            if isinstance(prompt, UntrustedPromptError):
                raise prompt
            if prompt.expires_at.timestamp() > self._clock.now():
                return prompt

    def settled(self, challenge_id: str) -> None:
        """This phone's own answer decided it: the service doesn't withdraw it from the one that answered."""
        self._open.pop(challenge_id, None)
        self.unread.discard(lambda prompt: isinstance(prompt, Challenge) and prompt.id == challenge_id)

    def end(self, error: Exception) -> None:
        """Nothing will come any more: whoever waits is told why."""
        self.unread.end(error)
        self.withdrawn.end(error)

    def resume(self) -> None:
        """The line is tried again."""
        self.unread.resume()
        self.withdrawn.resume()

    async def on_ready(self, ready: Ready) -> None:
        """Follow the service's clock, and find out what ended while the line was down."""
        self._clock.learn(ready.server_time)
        held = self._open.keys() - self.answering
        if not held:
            return
        with contextlib.suppress(PhoneError):  # then expiry is what ends them
            asked = {challenge.id for challenge in (await self._api.challenges()).challenges}
            for challenge_id in held - asked:
                self.on_withdrawn(Withdrawn(challenge_id=challenge_id, reason=WithdrawalReason.ENDED_WHILE_AWAY))

    async def on_challenge(self, challenge: Challenge) -> bool:
        """Queue a challenge unless it is there already; only what may be shown is acknowledged."""
        if challenge.id in self._open:
            return True
        try:
            await self._checker.check(challenge)
        except UntrustedPromptError as error:
            self.unread.put(error)
            return False
        now = self._clock.now()
        self._open = {known.id: known for known in self._open.values() if known.expires_at.timestamp() > now}
        self._open[challenge.id] = challenge
        self.unread.put(challenge)
        return True

    def on_withdrawn(self, withdrawn: Withdrawn) -> None:
        """Take a challenge back."""
        self.settled(withdrawn.challenge_id)
        self.withdrawn.put(withdrawn)

    def on_state(self, state: LineState) -> None:
        """Pass on whether the line is up."""
        if state is LineState.CONNECTED:
            self.connected.set()
        else:
            self.connected.clear()
        if self.state_changed is not None:
            self.state_changed(state)

    async def on_rejected(self) -> bool:
        """Ask over HTTP why the socket was refused; worth another try if the answer moved the clock."""
        before = self._clock.correction
        with contextlib.suppress(PhoneError):
            await self._api.device()
            return abs(self._clock.correction - before) > WORTH_A_RETRY_SECONDS
        return False
