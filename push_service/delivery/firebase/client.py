"""ports.Messenger by Firebase Cloud Messaging, HTTP v1.

One request a wake, on the event loop, bounded in time whatever the other side does; behind a circuit breaker, so that a
Firebase that hangs is asked now and then instead of always. Retrying is the waker's: it knows how long a sign-in lives.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from types import TracebackType
from typing import Self

import aiohttp

from push_service.delivery.answers import whole
from push_service.delivery.breaker import Breaker
from push_service.delivery.firebase import errors, messages
from push_service.delivery.firebase.credentials import AccessTokens, NoToken
from push_service.delivery.firebase.settings import FirebaseOptions
from push_service.delivery.proxies import proxy_for
from push_service.ports import Wake, WakeOutcome, WakeReport

_IN_TROUBLE = frozenset({"unavailable", "internal", "timeout", "connection", "no_token"})
"""The codes that speak of Firebase and not of one message: what the breaker counts."""


class FirebaseMessenger:
    """Opened with `async with`. ValueError or OSError where the credentials are none."""

    def __init__(self, options: FirebaseOptions) -> None:
        """Nothing is opened yet."""
        self._options = options
        self._breaker = Breaker()

    async def __aenter__(self) -> Self:
        """Read the service account, and open a pool of connections."""
        connector = aiohttp.TCPConnector(limit=self._options.concurrency, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(connector=connector)
        try:
            self._tokens = AccessTokens(self._options.credentials, self._session)
        except BaseException:
            await self._session.close()
            raise
        self._url = f"{self._options.base_url}/v1/projects/{self._tokens.project_id}/messages:send"
        self._proxy = proxy_for(self._url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool."""
        await self._tokens.close()
        await self._session.close()

    @property
    def circuit_open(self) -> bool:
        """Whether Firebase is being left alone."""
        return self._breaker.open

    async def wake(self, wake: Wake) -> WakeReport:
        """See ports.Messenger."""
        loop = asyncio.get_running_loop()
        called_at = loop.time()
        if wait := self._breaker.wait(called_at):
            return WakeReport(WakeOutcome.UNAVAILABLE, "circuit_open", wait)
        self._breaker = self._breaker.called(called_at)
        try:
            async with asyncio.timeout(min(self._options.timeout_seconds, wake.seconds)):
                report = await self._send(messages.body(wake))
        except TimeoutError:
            # Cut short by the end of the sign-in it says nothing about Firebase.
            code = "timeout" if wake.seconds >= self._options.timeout_seconds else "too_late"
            report = WakeReport(WakeOutcome.UNAVAILABLE, code)
        except aiohttp.ClientError:
            report = WakeReport(WakeOutcome.UNAVAILABLE, "connection")
        except NoToken:
            report = WakeReport(WakeOutcome.UNAVAILABLE, "no_token")
        if report.code in _IN_TROUBLE:
            self._breaker = self._breaker.failed(loop.time(), called_at=called_at)
        elif report.code != "too_late":
            self._breaker = self._breaker.succeeded()
        return report

    async def rehearse(self, wake: Wake) -> WakeReport:
        """Have it looked at and not sent; what it would be answered. Raises ClientError, TimeoutError and NoToken."""
        async with asyncio.timeout(self._options.timeout_seconds):
            return await self._send(messages.body(wake, only_validated=True))

    async def _send(self, body: bytes) -> WakeReport:
        token = await self._tokens.current()
        status, answer, retry = await self._post(body, token)
        if status == HTTPStatus.UNAUTHORIZED and _about_the_token(status, answer):
            self._tokens.spoilt(token)
            status, answer, retry = await self._post(body, await self._tokens.current())
        if status == HTTPStatus.OK:
            return WakeReport(WakeOutcome.SENT, "sent")
        return errors.report_of(errors.error_of(status, answer), errors.retry_after(retry))

    async def _post(self, body: bytes, token: str) -> tuple[int, bytes, str | None]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with self._session.post(
            self._url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False
        ) as response:
            answer = await whole(response)
            return response.status, answer, response.headers.get("Retry-After")


def _about_the_token(status: int, answer: bytes) -> bool:
    """Whether our own bearer token was refused, rather than what Google has for Apple's network."""
    return errors.report_of(errors.error_of(status, answer), None).code == "unauthenticated"
