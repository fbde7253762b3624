"""The composition root's part for wake-ups: messenger, verdicts and waker, where Firebase is set up.

Called by `app.py`. Google's library takes a quarter of a second to import, so it is imported here, and only if needed.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from push_service.config import PREFIX, InvalidSettings
from push_service.core import Core
from push_service.delivery.verdicts import Verdicts
from push_service.delivery.waker import Limits, Waker

if TYPE_CHECKING:
    from push_service.delivery.firebase.client import FirebaseMessenger


class Waking:
    """Everything by which phones are woken, opened."""

    def __init__(self, waker: Waker, verdicts: Verdicts, messenger: FirebaseMessenger) -> None:
        """Hold the parts together."""
        self._waker, self._verdicts, self._messenger = waker, verdicts, messenger
        self.run, self.drain = waker.run, waker.drain

    @property
    def held(self) -> int:
        """How many prompts phones are still to be woken for."""
        return self._waker.held

    @property
    def circuit_open(self) -> bool:
        """Whether the push network is left alone."""
        return self._messenger.circuit_open

    def alarms(self) -> dict[str, str]:
        """What an operator has to look at."""
        alarms = self._verdicts.alarms(asyncio.get_running_loop().time())
        return {"firebase": "does not answer; it is asked now and then."} | alarms if self.circuit_open else alarms


async def opened_waking(stack: AsyncExitStack, core: Core) -> Waking | None:
    """Open it, until the stack ends; None where it is not set up. InvalidSettings where the credentials are none."""
    options = core.settings.firebase.to_options()
    if options is None:
        return None
    from push_service.delivery.firebase.client import FirebaseMessenger  # noqa: PLC0415 - see the module

    try:
        messenger = await stack.enter_async_context(FirebaseMessenger(options))
    except (OSError, ValueError) as problem:
        raise InvalidSettings(f"{PREFIX}FIREBASE__CREDENTIALS: {options.credentials}: {problem}") from problem
    verdicts = Verdicts(core.store, lambda audit: core.decisions.observe((audit,)))
    limits = Limits(options.concurrency, options.waiting, options.timeout_seconds)
    waker = Waker(
        core.store,
        core.bus,
        messenger,
        verdicts,
        limits=limits,
        keyed_hash=core.sealer.mac,
        told=core.hops.woken,
    )
    # Closed after the server: what a last request puts is given back, too.
    stack.push_async_callback(waker.close)
    core.decisions.deliver_by(waker)
    return Waking(waker, verdicts, messenger)
