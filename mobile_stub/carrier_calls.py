"""One call of the stub's telephone company: it rings, is answered, says what it is told, listens for keys, and ends.

A person, or a script for one, answers, presses keys and hangs up; `asks` waits until keys are listened for. Keys that
are pressed while nobody listens are lost, as they are on a real line. `pace` is how long a second of the conversation
lasts; without one no time passes by itself: nothing is waited for but keys, and whoever says nothing says so
(`silence`). Made by `carrier.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from mobile_stub.carrier_faults import OF_CALLS, FaultKind, Faults
from mobile_stub.carrier_twiml import BadDocument, Gather, Hangup, Pause, Redirect, Say, Verb, read
from mobile_stub.carrier_webhooks import NoAnswer, Webhooks
from mobile_stub.changes import Changes
from mobile_stub.errors import PhoneError

SECONDS_A_WORD = 0.35
MOST_DOCUMENTS = 50
"""A call that gets more of them goes round in circles."""
_PAUSES = "wW"
_NOTHING = ""
"""In place of a key: so long that nobody listens any more."""
APPLICATION_ERROR = "We are sorry. An application error has occurred. Goodbye."


class CallState(StrEnum):
    """As the provider's CallStatus has it; the last five are final."""

    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    CANCELED = "canceled"


class NotNow(PhoneError):
    """The call is not where this could be done."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the customer asked for."""

    sid: str
    account: str
    to: str
    sender: str
    url: str
    status_url: str | None
    events: tuple[str, ...]
    ring_seconds: float
    dialled: str
    """The extension that is dialled once the line is open, without pauses."""
    detect_machine: bool


@dataclass(slots=True)
class StubCall:
    """See the module."""

    wanted: Wanted
    webhooks: Webhooks
    faults: Faults
    pace: float | None
    changed: Callable[[], None]
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: CallState = CallState.RINGING
    said: list[str] = field(default_factory=list)
    pressed: list[str] = field(default_factory=list)
    """What the provider made of the keys, listening by listening."""
    listening: bool = False
    _answered: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _keys: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _moves: Changes = field(default_factory=Changes)
    _task: asyncio.Task[None] | None = None
    _sequence: int = 0

    # --- for the person ------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state not in {CallState.RINGING, CallState.IN_PROGRESS}

    def answer(self, by: str = "human") -> None:
        """Pick up; `by` is what the provider would hear: human, machine_start, fax, unknown."""
        if self.state is not CallState.RINGING or self._answered.done():
            raise NotNow("this call doesn't ring")
        self._answered.set_result(by)

    def press(self, keys: str) -> bool:
        """Press keys, one after the other; whether anybody listened."""
        if not self.listening:
            return False
        for key in keys:
            self._keys.put_nowait(key)
        if self.pace is None:
            self.silence()
        return True

    def silence(self) -> None:
        """Let it pass until nobody listens any more, or, while it rings, until it is rung off."""
        if self.state is CallState.RINGING:
            self.end(CallState.NO_ANSWER)
        self._keys.put_nowait(_NOTHING)

    async def asks(self, after: int = 0) -> str:
        """Wait until keys are listened for, so many listenings having passed; what was said last.

        NotNow where the call ends instead.
        """
        while not self.listening or len(self.pressed) < after:
            if self.ended:
                raise NotNow(f"the call is over: {self.state}")
            await self._moves.after(self._moves.number)
        return self.said[-1]

    def hang_up(self) -> None:
        """Put the phone down, or turn the call away while it rings."""
        self.end(CallState.BUSY if self.state is CallState.RINGING else CallState.COMPLETED)

    async def over(self) -> CallState:
        """Wait until it is over, and the customer was told; how it ended."""
        if self._task is not None:
            await asyncio.shield(self._task)
        return self.state

    # --- for the company -----------------------------------------------------------------------------------------

    def start(self) -> asyncio.Task[None]:
        """Let it ring."""
        self._task = asyncio.create_task(self._run(), name=f"call {self.wanted.sid}")
        return self._task

    def end(self, state: CallState) -> None:
        """End it; the customer is told."""
        if not self.ended:
            self._set(state)

    async def _run(self) -> None:
        fault = self.faults.next(OF_CALLS, self.wanted.to)
        kind = fault.kind if fault else None
        if kind is FaultKind.LOST:
            return
        await self._news("initiated", "initiated")
        await self._news("ringing", CallState.RINGING.value)
        match kind:
            case FaultKind.BUSY:
                self.end(CallState.BUSY)
            case FaultKind.NO_ANSWER:
                self.end(CallState.NO_ANSWER)
            case FaultKind.FAILED:
                self.end(CallState.FAILED)
            case FaultKind.MACHINE:
                self.answer("machine_start")
                await self._while_it_stands(self._talk("machine_start"))
            case _:
                await self._while_it_stands(self._ring())
        more = {} if fault is None or kind is not FaultKind.FAILED else {"ErrorCode": str(fault.code)}
        await self._news("completed", self.state.value, more)

    async def _ring(self) -> None:
        try:
            async with asyncio.timeout(self._paced(self.wanted.ring_seconds)):
                by = await asyncio.shield(self._answered)
        except TimeoutError:
            self.end(CallState.NO_ANSWER)
            return
        await self._talk(by)

    async def _while_it_stands(self, life: Coroutine[None, None, None]) -> None:
        """Live it, until it is over or somebody ends it."""
        living = asyncio.ensure_future(life)
        try:
            while not (self.ended or living.done()):
                moved = asyncio.ensure_future(self._moves.after(self._moves.number))
                await asyncio.wait({living, moved}, return_when=asyncio.FIRST_COMPLETED)
                moved.cancel()
        finally:
            living.cancel()
            await asyncio.wait({living})
        if not living.cancelled():
            living.result()

    async def _talk(self, by: str) -> None:
        self._set(CallState.IN_PROGRESS)
        await self._news("answered", CallState.IN_PROGRESS.value)
        heard = {"AnsweredBy": by} if self.wanted.detect_machine else {}
        where: tuple[str, Mapping[str, str]] | None = (self.wanted.url, heard)
        try:
            for _ in range(MOST_DOCUMENTS):
                if where is None:
                    break
                url, fields = where
                text = await self.webhooks.tell(url, self._fields(self.state.value, fields), self.wanted.to)
                where = await self._perform(read(text, url))
        except (NoAnswer, BadDocument):
            self._say(APPLICATION_ERROR)
        self.end(CallState.COMPLETED)

    async def _perform(self, verbs: tuple[Verb, ...]) -> tuple[str, Mapping[str, str]] | None:
        """Do as the document says; where the next one is, if there is one."""
        for verb in verbs:
            match verb:
                case Say():
                    await self._spend(self._say(verb.text))
                case Pause():
                    await self._spend(verb.seconds)
                case Redirect():
                    return verb.url, {}
                case Hangup():
                    return None
                case Gather():
                    keys = await self._gather(verb)
                    if keys or verb.action_on_empty:
                        return verb.action, {"Digits": keys, "msg": "Gather End"}
                case _:
                    assert_never(verb)
        return None

    async def _gather(self, verb: Gather) -> str:
        """Listen, from the first word on; a key ends the talking."""
        while not self._keys.empty():
            self._keys.get_nowait()
        window = verb.timeout
        for each in verb.nested:
            window += self._say(each.text) if isinstance(each, Say) else each.seconds
        self._listen(on=True)
        keys = ""
        try:
            while verb.num_digits is None or len(keys) < verb.num_digits:
                async with asyncio.timeout(self._paced(verb.timeout if keys else window)):
                    key = await self._keys.get()
                if key == _NOTHING or key in verb.finish_on_key:
                    break
                keys += key
        except TimeoutError:
            pass
        finally:
            self._listen(on=False)
        self.pressed.append(keys)
        return keys

    async def _news(self, event: str, status: str, more: Mapping[str, str] | None = None) -> None:
        if self.wanted.status_url is None or event not in self.wanted.events:
            return
        fields = {"CallbackSource": "call-progress-events", "SequenceNumber": str(self._sequence), **(more or {})}
        self._sequence += 1
        with suppress(NoAnswer):  # what a customer doesn't hear, they don't hear
            await self.webhooks.tell(self.wanted.status_url, self._fields(status, fields), self.wanted.to)

    def _fields(self, status: str, more: Mapping[str, str]) -> dict[str, str]:
        return {
            "AccountSid": self.wanted.account,
            "ApiVersion": "2010-04-01",
            "CallSid": self.wanted.sid,
            "CallStatus": status,
            "Direction": "outbound-api",
            "From": self.wanted.sender,
            "To": self.wanted.to,
            **more,
        }

    def _say(self, text: str) -> float:
        """Say it; how many seconds that takes."""
        self.said.append(text)
        self.changed()
        return len(text.split()) * SECONDS_A_WORD

    async def _spend(self, seconds: float) -> None:
        if self.pace is not None:
            await asyncio.sleep(seconds * self.pace)

    def _paced(self, seconds: float) -> float | None:
        return None if self.pace is None else seconds * self.pace

    def _listen(self, *, on: bool) -> None:
        self.listening = on
        self._moves.ring()
        self.changed()

    def _set(self, state: CallState) -> None:
        self.state = state
        self.listening = False
        self._moves.ring()
        self.changed()


def extension_of(send_digits: str) -> str:
    """The digits of SendDigits without its pauses."""
    return "".join(each for each in send_digits if each not in _PAUSES)
