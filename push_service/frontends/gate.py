"""The gate in front of new sign-ins: counts those under way, and turns away what would be too much.

The rule is model/admission.py's. A begin is asked for before its body is read: a refusal has to be cheap, because in an
overload there are many (R-23). It is counted from when its body is there: who sends one slowly must not hold the places
of others. And it isn't counted while its password is checked, which has a bound of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web

from push_service.frontends import http
from push_service.model.admission import Admission
from push_service.model.errors import Busy

RETRY_SECONDS = 2.0


class Gate:
    """One for the process; every way to begin a sign-in goes through it."""

    def __init__(self, shed: Callable[[], None] = lambda: None, checking: Callable[[], int] = lambda: 0) -> None:
        """Open. `shed` is called for each begin that is turned away; `checking` says how many passwords are checked."""
        self._rule, self._shed, self._checking = Admission(), shed, checking
        self._inside = 0

    @property
    def under_way(self) -> int:
        """How many begins are under way."""
        return max(0, self._inside - self._checking())

    @property
    def bound(self) -> int:
        """How many may be."""
        return 0 if self._rule.queue_full else self._rule.bound

    def measured(self, lag: float, queued: int) -> None:
        """Heed what was measured; see Admission.measured."""
        self._rule = self._rule.measured(lag, queued)

    def ask(self) -> None:
        """Whether a sign-in may be begun now. Raises Busy."""
        if not self._rule.admits(self.under_way):
            self._shed()
            raise Busy(retry_after=RETRY_SECONDS)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Entered while a sign-in is being begun. Raises Busy."""
        self.ask()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    @asynccontextmanager
    async def body_of(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body of a begin; entered meanwhile. Raises Busy before it is read and after, and what reading raises."""
        self.ask()
        body = await http.read_body(request)
        with self.entered():
            yield body
