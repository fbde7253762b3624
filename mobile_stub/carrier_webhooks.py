"""The telephone company's own requests: a form, signed, to an address that the customer named.

The signature is the provider's documented one: HMAC-SHA1, by the account's token, of the whole address followed by the
fields in their alphabetical order. What was told is kept in `told`, so that a test can replay it. Used by `carrier.py`
and `carrier_calls.py`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from mobile_stub.carrier_faults import OF_NEWS, FaultKind, Faults
from mobile_stub.errors import PhoneError

SECONDS = 15.0
"""How long the provider waits for an answer."""
REMEMBERED = 1000
_FORM = "application/x-www-form-urlencoded"
_GOOD = range(200, 300)


class NoAnswer(PhoneError):
    """The customer's server did not answer as it should."""


class News(NamedTuple):
    """A request as it was sent, and the status that it was answered with (0: none)."""

    url: str
    fields: Mapping[str, str]
    signature: str
    status: int = 0


def signature(token: str, url: str, fields: Mapping[str, str]) -> str:
    """The X-Twilio-Signature of a form."""
    said = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), said.encode(), hashlib.sha1).digest()).decode()


class Webhooks:
    """Sends them, in the order in which they are due, each once, unless told to misbehave."""

    def __init__(self, auth_token: str, faults: Faults) -> None:
        self._auth_token, self._faults = auth_token, faults
        self._session: aiohttp.ClientSession | None = None
        self.told: deque[News] = deque(maxlen=REMEMBERED)
        self._telling: set[asyncio.Task[str]] = set()

    async def close(self) -> None:
        """Send nothing more."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def tell(self, url: str, fields: Mapping[str, str], to: str) -> str:
        """Tell the customer; their answer. NoAnswer where it is none of 2xx, or this was told to get lost.

        Whoever waits for it may go: a request that was begun is sent to its end, though the caller hangs up.
        """
        task = asyncio.create_task(self._tell(url, fields, to), name="news to a customer")
        self._telling.add(task)
        task.add_done_callback(self._told)
        return await asyncio.shield(task)

    def _told(self, task: asyncio.Task[str]) -> None:
        self._telling.discard(task)
        if not task.cancelled():
            task.exception()

    async def _tell(self, url: str, fields: Mapping[str, str], to: str) -> str:
        fault = self._faults.next(OF_NEWS, to)
        kind = fault.kind if fault else None
        token = secrets.token_hex(16) if kind is FaultKind.NEWS_FORGED else self._auth_token
        news = News(url, fields, signature(token, url, fields))
        if fault is not None and kind is FaultKind.NEWS_LATE:
            await asyncio.sleep(fault.late)
        if kind is FaultKind.NEWS_LOST:
            raise NoAnswer("told to get lost")
        status, answer = await self.send(news)
        if kind is FaultKind.NEWS_TWICE:
            await self.send(news)
        if status not in _GOOD:
            raise NoAnswer(f"{url} answered {status}")
        return answer

    async def send(self, news: News) -> tuple[int, str]:
        """Send this, as it is; the status and text of the answer. NoAnswer where there is none."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS))
        headers = {"X-Twilio-Signature": news.signature, "Content-Type": _FORM}
        body = aiohttp.FormData(dict(news.fields))()
        try:
            async with self._session.post(news.url, data=body, headers=headers) as response:
                self.told.append(news._replace(status=response.status))
                return response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.told.append(news)
            raise NoAnswer(f"{news.url}: {error!r}") from error
