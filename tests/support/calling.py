"""People with telephones, and a provider that can be made to say anything of their texts and calls, rightly signed.

What the stub's company tells by itself can be silenced for a number (`silent`); then a test tells the news by hand, in
any order and to any process. They are signed by the provider's own library.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from twilio.request_validator import RequestValidator

from mobile_stub.carrier import Handset
from mobile_stub.carrier_calls import StubCall
from mobile_stub.carrier_faults import Fault, FaultKind
from mobile_stub.world import World, world
from push_service.model.challenge import MethodKind
from push_service.model.user import User, UserState
from tests.support.browser import Browser, Json, SignIn
from tests.support.people import Office, office
from tests.support.service import Service
from tests.support.telephony import give_phone, telephony_settings

PATIENCE_SECONDS = 30.0
_numbers = itertools.count(7_911_000_001)


@dataclass
class Asked:
    """Somebody who is sent a text, or called."""

    user: User
    handset: Handset
    sign_in: SignIn

    @property
    def challenge(self) -> Json:
        """As it was seen last."""
        challenge: Json = self.sign_in.body["challenge"]
        return challenge

    async def rings(self) -> StubCall:
        """Their call."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.handset.next_call()

    async def reached(self) -> str:
        """The provider's id of their text or call, once it is there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            if self.challenge["method"] == MethodKind.TEXT_MOBILE:
                return (await self.handset.next_text()).sid
            return (await self.handset.next_call()).wanted.sid

    async def stands(self) -> tuple[object, ...]:
        """All that the browser is shown of how it stands."""
        body = await self.sign_in.look()
        return (
            body["state"],
            body["reason"],
            *(body["challenge"][name] for name in ("state", "reason", "delivery", "code")),
        )

    async def ends(self) -> tuple[str, str | None]:
        """State and reason of the challenge, once it has ended; the sign-in must be pending then."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.challenge["state"] == "pending":
                await self.sign_in.changed()
        assert self.sign_in.body["state"] == "pending"
        return self.challenge["state"], self.challenge["reason"]

    async def outcome(self) -> tuple[str, str | None]:
        """State and reason, once it is over."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            body = await self.sign_in.outcome()
        return body["state"], body["reason"]


@dataclass
class Line:
    """A company, the processes of the service that sends by it, and the operator."""

    company: World
    processes: tuple[Service, ...]
    desk: Office
    browser: Browser
    session: aiohttp.ClientSession

    async def ask(
        self,
        kind: MethodKind,
        *,
        fault: Fault | None = None,
        extension: str = "",
        silent: bool = False,
        number: str = "",
    ) -> Asked:
        """Begin a sign-in of somebody new who has such a phone, and a mobile phone to be called on besides."""
        number, spare = number or f"+44{next(_numbers)}", f"+44{next(_numbers)}"
        for each in (fault, Fault(kind=FaultKind.NEWS_LOST) if silent else None):
            if each is not None:
                each.to = number
                self.company.carrier.faults.add(each)
        user = await self.desk.person(password=None, state=UserState.ENFORCED)
        if kind is not MethodKind.CALL_MOBILE:
            await give_phone(self.desk, user, MethodKind.CALL_MOBILE, spare)
        await give_phone(self.desk, user, kind, number + (f";ext={extension}" if extension else ""))
        return Asked(user, self.company.carrier.handset(number), await self.browser.begin(user.username))

    async def tell(
        self,
        asked: Asked | str,
        what: str,
        fields: Mapping[str, str],
        *,
        at: int = 0,
        query: str = "",
        token: str | None = None,
    ) -> tuple[int, str]:
        """Tell news of a challenge, or of that id, to one of the processes: status and text of the answer."""
        known = asked if isinstance(asked, str) else asked.challenge["id"]
        path = f"/v1/telephony/{what}/{known}{query}"
        said = {"AccountSid": self.company.carrier.account_sid, **fields}
        signed = RequestValidator(token or self.company.carrier.auth_token)
        headers = {"X-Twilio-Signature": signed.compute_signature(self.processes[0].url + path, said)}
        url = f"http://127.0.0.1:{self.processes[at % len(self.processes)].port}{path}"
        async with self.session.post(url, data=said, headers=headers) as answer:
            return answer.status, await answer.text()

    async def finishes_by_a_call(self, asked: Asked) -> None:
        """Go on by the other phone, and be signed in."""
        (method,) = [each for each in asked.sign_in.body["methods"] if each["method"] == MethodKind.CALL_MOBILE]
        before = {handset: len(handset.calls) for handset in self.company.carrier.handsets()}
        reply = await asked.sign_in.choose(method["id"])
        assert reply.status == 201, reply
        asked.sign_in.body = {**asked.sign_in.body, **reply.body}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (ringing := self._ringing(before)):
                await self.company.carrier.changes.after(self.company.carrier.changes.number)
            ringing.answer()
            await ringing.asks()
        ringing.press("#")
        assert await asked.outcome() == ("approved", None)

    def _ringing(self, before: Mapping[Handset, int]) -> StubCall | None:
        for handset in self.company.carrier.handsets():
            if len(handset.calls) > before.get(handset, 0):
                return handset.calls[-1]
        return None


@asynccontextmanager
async def line(folder: Path, processes: int = 1, **settings: str) -> AsyncIterator[Line]:
    """Open one; several processes are one service on the same file."""
    async with AsyncExitStack() as stack:
        company = await stack.enter_async_context(world(pace=None))
        given = {"POLICY__BEGINS_PER_ADDRESS": "100000/1m", **telephony_settings(company), **settings}
        first = Service(folder, **given)
        rest = [Service(folder, f"server{n}", **given, PUBLIC_URL=first.url) for n in range(1, processes)]
        for each in (first, *rest):
            stack.push_async_callback(each.kill)
            await each.start()
        desk = await stack.enter_async_context(office(first))
        browser = await stack.enter_async_context(desk.browser())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Line(company, (first, *rest), desk, browser, session)
