"""One request to a provider, bounded in time and number, behind a circuit breaker; never tried twice.

A text that was paid for and one that never left must not be confused: what goes wrong before the first byte of the
request is written is TEMPORARY, whatever goes wrong after it is UNKNOWN, because the provider may have begun. Used by
`twilio/client.py`, `gateway/client.py` and the doctor.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from types import SimpleNamespace, TracebackType
from typing import NamedTuple, Self

import aiohttp

from push_service.delivery.answers import whole
from push_service.delivery.breaker import Breaker
from push_service.delivery.proxies import proxy_for
from push_service.ports import SendOutcome, SendReport

KEEP_SECONDS = 15.0
"""Connections are closed by us before the provider does: one that ends under a request leaves us not knowing."""


class Answer(NamedTuple):
    """What the provider said."""

    status: int
    body: bytes


class _Progress:
    """How far a request came."""

    begun = False


class Exchange:
    """A pool of connections to one provider. Opened with `async with`."""

    def __init__(self, *, seconds: float, concurrency: int) -> None:
        """Bound one call to so many seconds, and all of them to so many at once."""
        self._seconds, self._concurrency = seconds, concurrency
        self._breaker = Breaker()

    async def __aenter__(self) -> Self:
        """Open the pool."""
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_note_begun)
        connector = aiohttp.TCPConnector(limit=self._concurrency, keepalive_timeout=KEEP_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, trace_configs=[tracing])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self._session.close()

    @property
    def circuit_open(self) -> bool:
        """Whether the provider is being left alone."""
        return self._breaker.open

    async def post(self, url: str, body: bytes, headers: dict[str, str], seconds: float) -> Answer | SendReport:
        """Send once, and give up after so many seconds or the bound, whichever is shorter. Never raises."""
        loop = asyncio.get_running_loop()
        called_at = loop.time()
        if self._breaker.wait(called_at):
            return SendReport(SendOutcome.TEMPORARY, "circuit_open")
        self._breaker = self._breaker.called(called_at)
        progress = _Progress()
        answer: Answer | None = None
        trouble = ""
        try:
            async with asyncio.timeout(min(self._seconds, seconds)):
                answer = await self._once("POST", url, headers, body, progress)
        except TimeoutError:
            if seconds < self._seconds:  # cut short by the end of the sign-in: it says nothing about the provider
                return SendReport(_after(progress), "too_late")
            trouble = "timeout"
        except (aiohttp.ClientError, OSError):
            trouble = "connection"
        if answer is None or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._breaker = self._breaker.failed(loop.time(), called_at=called_at)
        else:
            self._breaker = self._breaker.succeeded()
        return answer or SendReport(_after(progress), trouble)

    async def look(self, url: str, headers: dict[str, str]) -> Answer:
        """Ask for something, for the doctor. Raises ClientError, OSError and TimeoutError."""
        async with asyncio.timeout(self._seconds):
            return await self._once("GET", url, headers, None, _Progress())

    async def _once(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, progress: _Progress
    ) -> Answer:
        async with self._session.request(
            method,
            url,
            data=body,
            headers=headers,
            proxy=proxy_for(url),
            allow_redirects=False,
            trace_request_ctx=progress,
        ) as response:
            return Answer(response.status, await whole(response))


def _after(progress: _Progress) -> SendOutcome:
    return SendOutcome.UNKNOWN if progress.begun else SendOutcome.TEMPORARY


async def _note_begun(
    _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestHeadersSentParams
) -> None:
    context.trace_request_ctx.begun = True
