"""A telephone company by somebody who has only read the provider's manual: it takes texts and calls, and calls back.

It shares nothing with the stub world's: requests are signed by the provider's own library, and what is to be said in a
call is read as plain XML. Used by `test_every_method.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

from .client import PATIENCE

ACCOUNT, TOKEN, FROM = "AC0123456789abcdef0123456789abcdef", "the token of the tests", "+15005550006"


@dataclass
class Call:
    """A call that was placed."""

    sid: str
    to: str
    url: str
    send_digits: str


@dataclass
class Company:
    """What was asked for, by number."""

    address: str = ""
    texts: dict[str, asyncio.Queue[str]] = field(default_factory=lambda: defaultdict(asyncio.Queue))
    calls: dict[str, asyncio.Queue[Call]] = field(default_factory=lambda: defaultdict(asyncio.Queue))
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def settings(self) -> dict[str, str]:
        """What the service is told, by the names of the interface."""
        return {
            "TELEPHONY__ACCOUNT_SID": ACCOUNT,
            "TELEPHONY__AUTH_TOKEN": TOKEN,
            "TELEPHONY__FROM": FROM,
            "TELEPHONY__BASE_URL": self.address,
        }

    async def code(self, number: str) -> str:
        """The code in the next text to this number that holds one; others tell of what was changed."""
        async with asyncio.timeout(PATIENCE):
            while not (found := re.findall(r"\b\d{6}\b", await self.texts[number].get())):
                pass
        (code,) = found
        return str(code)

    async def press(self, number: str, digits: str) -> Call:
        """Answer the next call to this number, listen, and press."""
        async with asyncio.timeout(PATIENCE):
            call = await self.calls[number].get()
        said = await self._ask(call, call.url)
        gather = said.find("Gather")
        assert gather is not None, "the call asks for nothing"
        assert gather.get("finishOnKey") == "", "a lone # would never be heard"
        await self._ask(call, urljoin(call.url, gather.attrib["action"]), Digits=digits)
        return call

    async def _ask(self, call: Call, url: str, **more: str) -> ET.Element:
        form = {"CallSid": call.sid, "AccountSid": ACCOUNT, "To": call.to, "From": FROM, "CallStatus": "in-progress"}
        form |= more
        signed = {"X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(url, form)}
        async with aiohttp.ClientSession() as http, http.post(url, data=form, headers=signed) as response:
            text = await response.text()
            assert response.status == 200, text
        return ET.fromstring(text)  # noqa: S314 - the service under test wrote it

    async def _text(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        self.texts[form["To"]].put_nowait(form["Body"])
        return web.json_response({"sid": f"SM{next(self._numbers):032x}", "status": "queued"}, status=201)

    async def _call(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        sid = f"CA{next(self._numbers):032x}"
        self.calls[form["To"]].put_nowait(Call(sid, form["To"], form["Url"], form.get("SendDigits", "")))
        return web.json_response({"sid": sid, "status": "queued"}, status=201)

    async def _form(self, request: web.Request) -> dict[str, str]:
        assert request.headers["Authorization"] == aiohttp.encode_basic_auth(ACCOUNT, TOKEN)
        return {name: str(value) for name, value in (await request.post()).items()}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Company]:
        """Take requests on a free port."""
        app = web.Application()
        app.router.add_post(f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", self._text)
        app.router.add_post(f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json", self._call)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()
