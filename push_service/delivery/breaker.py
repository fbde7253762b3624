"""A circuit breaker: whoever got no answer several times in a row is left alone for a while.

A pure little machine that is told the time (seconds of a monotonic clock). While it is open nothing is sent; then one
call probes, and its answer closes the circuit or opens it for longer. So a provider that hangs costs a few calls a
minute instead of every slot there is. Used by `firebase/client.py`.
"""

from __future__ import annotations

import msgspec

FAILURES = 5
"""So many in a row open it."""
PAUSES = (5.0, 10.0, 20.0, 30.0)
"""How long it is open, the first time and after each probe that failed; a sign-in lives for two minutes."""
PROBE_SECONDS = 10.0
"""After so long a probe that never came back is forgotten, and another may go."""


class Breaker(msgspec.Struct, frozen=True):
    """The state of one circuit; each event makes the next state."""

    failures: int = 0
    openings: int = 0
    """How often it has opened since the last answer."""
    probe_at: float = 0.0
    """While open: when the next call may go."""

    @property
    def open(self) -> bool:
        """Whether calls are held back, but for a probe now and then."""
        return self.openings > 0

    def wait(self, at: float) -> float:
        """How long the next call has to wait; 0 if it may go now."""
        return max(0.0, self.probe_at - at) if self.open else 0.0

    def called(self, at: float) -> Breaker:
        """A call goes out now. If it is a probe, the others wait for what it brings."""
        return msgspec.structs.replace(self, probe_at=at + PROBE_SECONDS) if self.open else self

    def succeeded(self) -> Breaker:
        """There was an answer, whatever it said."""
        return Breaker()

    def failed(self, at: float, *, called_at: float) -> Breaker:
        """There was no answer, or that of a provider in trouble, to a call made at `called_at`."""
        if self.open and called_at + PROBE_SECONDS != self.probe_at:
            return self  # one of those that were under way when it opened: they say nothing new
        failures = self.failures + 1
        if failures < FAILURES and not self.open:
            return msgspec.structs.replace(self, failures=failures)
        pause = PAUSES[min(self.openings, len(PAUSES) - 1)]
        return Breaker(failures=failures, openings=self.openings + 1, probe_at=at + pause)
