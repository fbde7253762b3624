"""Access tokens of the service account: bought ahead of their end, one purchase at a time, within a bound.

Google's credentials sign the assertion and read the answer. They block, so they run in a thread; but what they send
goes out by our own HTTP client on the event loop, which can be told to stop: a token endpoint that hangs, or answers a
byte a second, holds a thread for seconds and not for ever (docs/decisions/0015). Used by `client.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import structlog
from firebase_admin import credentials
from google.auth import transport
from google.auth.exceptions import GoogleAuthError, TransportError

from push_service.delivery.answers import whole
from push_service.delivery.proxies import proxy_for

PURCHASE_SECONDS = 5.0
"""The longest that one purchase may take, whatever is tried again within it."""
AHEAD_SECONDS = 300.0
"""So long before its end a token is replaced, while it still serves."""
AGAIN_SECONDS = 1.0
"""After a purchase that failed, the next comes no sooner."""
_log = structlog.get_logger()


class NoToken(Exception):
    """There is no access token now, and none could be bought in time; says why the last purchase failed, if it did."""


class AccessTokens:
    """The service account's tokens. Raises ValueError or OSError where the file is no service account's."""

    def __init__(self, file: Path, session: aiohttp.ClientSession) -> None:
        """Read the file; nothing is bought yet."""
        certificate = credentials.Certificate(str(file))
        self._google = certificate.get_credential()
        self.project_id: str = certificate.project_id or ""
        if not self.project_id:
            raise ValueError("it names no project")
        self._session = session
        self._token = self._trouble = ""
        self._ends_at = self._not_before = 0.0
        self._purchase: asyncio.Task[None] | None = None

    async def current(self) -> str:
        """A token that is good now. Waits for a purchase only where there is none; NoToken if that fails."""
        at = asyncio.get_running_loop().time()
        if at >= self._ends_at - AHEAD_SECONDS:
            self._buy(at)
        if at >= self._ends_at:
            if self._purchase is not None:
                # Whoever waits may give up; the purchase goes on for the others.
                await asyncio.shield(self._purchase)
            if asyncio.get_running_loop().time() >= self._ends_at:
                raise NoToken(self._trouble)
        return self._token

    def spoilt(self, token: str) -> None:
        """Google doesn't take this token any more, whatever its time."""
        if token == self._token:
            self._ends_at = 0.0

    async def close(self) -> None:
        """Give up a purchase that is under way."""
        if self._purchase is not None:
            self._purchase.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._purchase

    def _buy(self, at: float) -> None:
        if self._purchase is None and at >= self._not_before:
            self._purchase = asyncio.create_task(self._bought(), name="firebase access token")

    async def _bought(self) -> None:
        loop = asyncio.get_running_loop()
        request = _Request(self._session, loop, loop.time() + PURCHASE_SECONDS)
        try:
            async with asyncio.timeout(PURCHASE_SECONDS):
                await asyncio.to_thread(self._google.refresh, request)
            left = (self._google.expiry - datetime.now(UTC).replace(tzinfo=None)).total_seconds()
            self._token, self._ends_at = str(self._google.token), loop.time() + left
        except (GoogleAuthError, TimeoutError, ValueError, RuntimeError) as trouble:
            self._not_before = loop.time() + AGAIN_SECONDS
            self._trouble = str(trouble) or "no answer in time"
            _log.error("firebase.no_token", detail=self._trouble)
        finally:
            self._purchase = None


class _Request(transport.Request):
    """What Google's credentials send by: our client on the event loop, until a deadline that no retry moves."""

    def __init__(self, session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._session, self._loop, self._deadline = session, loop, deadline

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> _Response:
        """Send, from the credentials' thread. TransportError for everything that goes wrong on the way."""
        left = self._deadline - self._loop.time()
        seconds = left if timeout is None else min(left, timeout)
        if seconds <= 0:
            raise _on_the_way("no answer in time")
        call = self._send(url, method, body, headers or {}, seconds)
        try:
            future = asyncio.run_coroutine_threadsafe(call, self._loop)
        except RuntimeError as ended:
            call.close()
            raise _on_the_way("this process is ending") from ended
        try:
            return future.result(seconds + 1.0)
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            raise _on_the_way(repr(trouble)) from trouble

    async def _send(
        self, url: str, method: str, body: bytes | None, headers: Mapping[str, str], seconds: float
    ) -> _Response:
        async with (
            asyncio.timeout(seconds),
            self._session.request(
                method, url, data=body, headers=headers, proxy=proxy_for(url), allow_redirects=False
            ) as answer,
        ):
            return _Response(answer.status, dict(answer.headers), await whole(answer))


def _on_the_way(what: str) -> TransportError:
    return TransportError(what)  # type: ignore[no-untyped-call]


class _Response(transport.Response):
    """An answer as Google's credentials read it."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self._status, self._headers, self._data = status, headers, data

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._status

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers."""
        return self._headers

    @property
    def data(self) -> bytes:
        """The answer's body."""
        return self._data
