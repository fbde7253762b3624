"""Scripted people, and what may happen to them on the way.

A behaviour meets one challenge on one phone. People are `Verify`, `Deny`, `Ignore`, `ReportFraud`, `WrongNumber`; the
rest wrap one and add a mishap: `Late`, `DropSocket`, `Replay`, `ClockJump`. Whoever verifies needs eyes: something that
reads the number the browser shows, since it is nowhere on the phone. `live` lets a phone meet whatever comes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mobile_stub.proofs import Decision
from mobile_stub.wire import Challenge, Confirm, Outcome

if TYPE_CHECKING:
    from mobile_stub.phone import Phone

LookAtBrowser = Callable[[Challenge], Awaitable[str | None]]
"""Reads the number that the browser shows for this challenge; None where it shows none."""


class Behaviour(Protocol):
    """What a person does about a challenge."""

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:
        """Do it; the outcome, or None if nothing was answered."""


class Eyes:
    """Eyes shared between whoever drives the browser and the people with the phones.

    The one says what the browser shows (`saw`), the other waits until it shows something (calling it).
    """

    def __init__(self) -> None:
        self._shown: dict[str, asyncio.Future[str | None]] = {}

    def saw(self, challenge_id: str, number: str | None) -> None:
        """The browser shows this number for this challenge."""
        shown = self._future(challenge_id)
        if not shown.done():
            shown.set_result(number)

    async def __call__(self, challenge: Challenge) -> str | None:
        """Wait until the browser shows a number for it."""
        return await asyncio.shield(self._future(challenge.id))

    def _future(self, challenge_id: str) -> asyncio.Future[str | None]:
        return self._shown.setdefault(challenge_id, asyncio.get_running_loop().create_future())


def always(number: str | None) -> LookAtBrowser:
    """Eyes that see the same number whatever is asked."""

    async def look(_: Challenge) -> str | None:
        return number

    return look


@dataclass(frozen=True, slots=True)
class Verify:
    """Types what the browser shows and presses Verify."""

    look: LookAtBrowser

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:
        """See `Behaviour`."""
        number = await self.look(challenge) if challenge.confirm is Confirm.NUMBER else None
        return await phone.verify(challenge, number)


@dataclass(frozen=True, slots=True)
class Deny:
    """Presses Deny."""

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:
        """See `Behaviour`."""
        return await phone.deny(challenge)


@dataclass(frozen=True, slots=True)
class ReportFraud:
    """Presses "This wasn't me"."""

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:
        """See `Behaviour`."""
        return await phone.report_fraud(challenge)


@dataclass(frozen=True, slots=True)
class Ignore:
    """Lets it ring."""

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:  # noqa: ARG002 - ignoring is the point
        """See `Behaviour`."""
        return None


@dataclass(frozen=True, slots=True)
class WrongNumber:
    """Types some other number than the browser's. Without eyes it guesses, and may be right once in 10**digits."""

    look: LookAtBrowser = field(default_factory=lambda: always(None))
    draw: random.Random = field(default_factory=random.SystemRandom)

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:
        """See `Behaviour`."""
        digits = challenge.digits or 2
        right = await self.look(challenge)
        guess = self.draw.randrange(10**digits)
        if right is not None and guess == int(right):
            guess = (guess + 1) % 10**digits
        return await phone.verify(challenge, str(guess).zfill(digits))


@dataclass(frozen=True, slots=True)
class Late:
    """Does it `after` so many seconds."""

    after: float
    then: Behaviour

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:
        """See `Behaviour`."""
        await asyncio.sleep(self.after)
        return await self.then.meet(phone, challenge)


@dataclass(frozen=True, slots=True)
class DropSocket:
    """Loses the connection just before answering; the answer goes out once the phone is back."""

    then: Behaviour

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:
        """See `Behaviour`."""
        phone.drop()
        return await self.then.meet(phone, challenge)


@dataclass(frozen=True, slots=True)
class Replay:
    """Sends the very same signed answer `times` times; the outcome is the last reply's."""

    decision: Decision
    look: LookAtBrowser = field(default_factory=lambda: always(None))
    times: int = 2

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:
        """See `Behaviour`."""
        number = await self.look(challenge) if self.decision is Decision.VERIFY else None
        answer = phone.sign(challenge, self.decision, number)
        outcome = None
        for _ in range(self.times):
            outcome = (await phone.send(challenge.id, answer)).outcome
        return outcome


@dataclass(frozen=True, slots=True)
class ClockJump:
    """Has its clock set wrong by `seconds` (positive is fast) before answering."""

    seconds: float
    then: Behaviour

    async def meet(self, phone: Phone, challenge: Challenge) -> Outcome | None:
        """See `Behaviour`."""
        phone.clock.skew += self.seconds
        return await self.then.meet(phone, challenge)


async def live(
    phone: Phone, behaviour: Behaviour, told: Callable[[Challenge, Outcome | None], None] | None = None
) -> None:
    """Meet every challenge as it comes, several at once, until the line ends (LineClosedError) or this is cancelled.

    `told` hears of each challenge when it has been met. An error in one meeting ends the whole, as an ExceptionGroup.
    """

    async def meet(challenge: Challenge) -> None:
        outcome = await behaviour.meet(phone, challenge)
        if told is not None:
            told(challenge, outcome)

    async with asyncio.TaskGroup() as meetings:
        while True:
            challenge = await phone.next_challenge()
            meetings.create_task(meet(challenge))
