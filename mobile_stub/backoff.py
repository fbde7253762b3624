"""How long to wait before connecting again: exponential growth with full jitter.

Full jitter (a uniform draw from zero to the bound) spreads the phones of a restarted service evenly instead of in
waves. Called by `line.py`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Draws from [0, min(cap, base * 2**n)) for the nth try in a row; seconds.

    `restart_spread` is the bound after the service said it restarts (close code 1012): the service is expected back, so
    the growth starts anew, yet everyone was disconnected at once.
    """

    base: float = 0.25
    cap: float = 20.0
    restart_spread: float = 1.0
    draw: random.Random = field(default_factory=random.SystemRandom)
    tries: int = 0

    def bound(self) -> float:
        """The longest that the next wait may be."""
        # 2**32 tries are never reached, and without the bound on the exponent a float would overflow after a thousand.
        return min(self.cap, self.base * 2.0 ** min(self.tries, 32))

    def next(self, at_least: float = 0.0) -> float:
        """The next wait; `at_least` is what the service asked for (Retry-After), on top of which the jitter comes."""
        wait = at_least + self.draw.uniform(0.0, self.bound())
        self.tries += 1
        return wait

    def after_restart(self) -> float:
        """The wait after a polite end; the growth begins again after it."""
        self.tries = 0
        return self.draw.uniform(0.0, self.restart_spread)

    def succeeded(self) -> None:
        """A connection stood: forget the failures before it."""
        self.tries = 0
