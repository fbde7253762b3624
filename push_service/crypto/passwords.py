"""Password hashing with argon2id, off the event loop, on a bounded number of threads.

A hash costs more than everything else in a sign-in together, so it has its own bounds: so many at once, so many
waiting, and beyond that a refusal at once. Its threads give way to the event loop (nice), so that a flood of wrong
passwords doesn't slow the sign-ins that are under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import argon2

from push_service.model.errors import Busy
from push_service.model.user import User, normal_password

P = ParamSpec("P")
R = TypeVar("R")

_NICENESS = 10
_RETRY_SECONDS = 1.0


class Argon2Passwords:
    """Implements ports.PasswordChecker on the user's own row."""

    def __init__(
        self, *, concurrency: int, waiting: int, memory_kib: int = 19456, time_cost: int = 2, parallelism: int = 1
    ) -> None:
        """Hash at most `concurrency` at once with `waiting` more in line.

        The defaults are OWASP's minimum for argon2id.
        """
        self._hasher = argon2.PasswordHasher(time_cost, memory_kib, parallelism)
        self._threads = ThreadPoolExecutor(concurrency, "password", initializer=_give_way)
        self._room = concurrency + waiting
        self._taken = 0
        # Hashed with the present parameters, so that an unknown name takes as long as a known one.
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    @property
    def taken(self) -> int:
        """How many are being hashed or waiting."""
        return self._taken

    async def check(self, user: User | None, password: str) -> bool:
        """See ports.PasswordChecker."""
        known = user.password_hash if user else None
        return await self._run(self._verify, known or self._nobody, normal_password(password)) and known is not None

    async def hash(self, password: str) -> str:
        """See ports.PasswordChecker."""
        return await self._run(self._hasher.hash, normal_password(password))

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except argon2.exceptions.VerifyMismatchError:
            return False

    async def _run(self, work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        if self._taken >= self._room:
            raise Busy(retry_after=_RETRY_SECONDS)
        self._taken += 1
        call = functools.partial(work, *arguments, **named)
        future = asyncio.get_running_loop().run_in_executor(self._threads, call)
        # Counted until the thread is free again, not until the request that asked has gone away.
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, _: object) -> None:
        self._taken -= 1


def _give_way() -> None:
    # On Linux a thread has a niceness of its own; elsewhere this would be refused or slow the whole process.
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
