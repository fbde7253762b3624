"""One whole sign-in as the load side sees it: a person's browser and phone, and the times at which each step happened.

Service and prototype speak differently; both are driven through the two protocols here, so the same flow and the same
clock measure either. Implemented by `bench.service_browser`, `bench.service_phone` and `bench.prototype_client`; driven
by `bench.driver` and `bench.load`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds after which a step that nobody delays on purpose counts as lost."""


class ExchangeError(Exception):
    """A step of a sign-in did not come out as it had to; the text says which and how."""


class Begun(NamedTuple):
    """What the browser knows of its sign-in after beginning it."""

    sign_in_id: str
    challenge_id: str
    number: str = ""
    token: str = ""
    version: int = 0


def fail(waiting: asyncio.Future[None], error: BaseException) -> None:
    """Let a future fail that the flow may not come to wait for, because another step has failed before."""
    waiting.set_exception(error)
    waiting.exception()  # asyncio would complain of an error that nobody looked at


class Browser(Protocol):
    """The asking browser, on a connection of its own."""

    polls: int
    """How many long-polls the last sign-in took."""
    polled_at: float
    """When the last long-poll was sent (`time.perf_counter`)."""

    async def connect(self) -> None:
        """Connect to the server."""

    async def begin(self, replacing: Begun | None = None) -> Begun:
        """Begin a sign-in, in place of a former one if there is one. Raises `ExchangeError` if it is refused."""

    def watch(self, begun: Begun) -> asyncio.Future[None]:
        """Send the long-poll, and again whenever it comes back early; done when the browser knows it is approved."""

    def close(self) -> None:
        """Drop the connection."""


class Phone(Protocol):
    """The person's phone, on a WebSocket of its own."""

    answered_at: float
    """When the last answer was sent, after it had been signed (`time.perf_counter`)."""

    async def connect(self) -> None:
        """Connect and authenticate; returns when the server says that the phone is ready."""

    def prompted(self, begun: Begun) -> asyncio.Future[None]:
        """Done when the challenge of this sign-in is on the phone."""

    def answer(self, begun: Begun) -> asyncio.Future[None]:
        """Sign the answer and send it; done when the server acknowledges it."""

    def close(self) -> None:
        """Drop the connection."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One person: a browser and a phone."""

    browser: Browser
    phone: Phone

    async def connect(self) -> None:
        """Connect both. Raises `ExchangeError` or `OSError`."""
        await _within("the phone was not connected", self.phone.connect())
        await _within("the browser was not connected", self.browser.connect())

    def close(self) -> None:
        """Drop both connections."""
        self.browser.close()
        self.phone.close()


class Timing(NamedTuple):
    """When the steps of one sign-in happened; instants by `time.perf_counter`, in seconds."""

    begun_at: float
    """When it was due to begin."""
    answered_at: float
    """When the phone sent its answer."""
    acknowledged_at: float
    """When the phone heard that its answer was taken."""
    told_at: float
    """When the browser knew the outcome."""
    thought: float
    """Seconds that the person took on purpose."""
    polls: int
    """Long-polls that it took."""
    parked: bool
    """Whether the long-poll that brought the outcome had been sent before the answer was."""

    @property
    def answer_to_browser(self) -> float:
        """Seconds from the phone's answer to the browser's knowledge."""
        return self.told_at - self.answered_at

    @property
    def acknowledged_to_browser(self) -> float:
        """Seconds from the phone's acknowledgement to the browser's knowledge; 0 if the browser was told first."""
        return max(0.0, self.told_at - self.acknowledged_at)

    @property
    def whole_less_thinking(self) -> float:
        """Seconds that the whole sign-in took beside the person's own time."""
        return self.told_at - self.begun_at - self.thought


async def sign_in(pair: Pair, think: Callable[[], Awaitable[None]], due: float | None = None) -> Timing:
    """Drive one sign-in from its beginning to the browser's knowledge and the phone's acknowledgement.

    `think` is the person's time between seeing prompt and number and answering. `due` is the instant at which an open
    load wanted it to begin, so that a queue on the load side is not left out of the figures. Raises `ExchangeError`
    or `ConnectionError`.
    """
    began = time.perf_counter() if due is None else due
    return await go_on(pair, await _within("the sign-in was not begun", pair.browser.begin()), began, think)


async def go_on(pair: Pair, begun: Begun, began: float, think: Callable[[], Awaitable[None]]) -> Timing:
    """The same from where it is begun; `began` is the instant from which it counts."""
    told = pair.browser.watch(begun)
    await _within("the phone was not prompted", pair.phone.prompted(begun))
    thinks = time.perf_counter()
    await think()
    thought = time.perf_counter() - thinks
    acknowledged, heard = pair.phone.answer(begun), _Instant()
    acknowledged.add_done_callback(heard.note)
    await _within("the browser was not told", told)
    told_at = time.perf_counter()
    await _within("the answer was not acknowledged", acknowledged)
    parked = pair.browser.polled_at < pair.phone.answered_at
    return Timing(began, pair.phone.answered_at, heard.at(), told_at, thought, pair.browser.polls, parked)


class _Instant:
    """When something happened that nobody was waiting for just then."""

    def __init__(self) -> None:
        self._at: float | None = None

    def note(self, _: asyncio.Future[None]) -> None:
        """It has happened."""
        self._at = time.perf_counter()

    def at(self) -> float:
        """The instant by `time.perf_counter`; now, if the note of it is still to be run."""
        return time.perf_counter() if self._at is None else self._at


async def _within(complaint: str, step: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(PATIENCE):
            return await step
    except TimeoutError:
        raise ExchangeError(f"{complaint} within {PATIENCE:.0f} s") from None
