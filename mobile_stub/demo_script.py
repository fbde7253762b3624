"""What `./dev demo` plays: Alice verifies in every way there is, switches in the middle, and sets up her mail client.

Scenes follow one another like a day of hers; each has its own clock. Everything goes by the service's HTTP interface,
the phone's own protocol and the telephone company's, as anywhere. Called by `demo.py`.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import aiohttp
import msgspec
from rich.console import Console
from rich.text import Text

from mobile_stub.demo_browser import Api, Browser, Person, Refused, SignIn
from mobile_stub.demo_service import Credentials, DemoError
from mobile_stub.proofs import Decision
from mobile_stub.views import PromptState

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mobile_stub.shelf import HeldPhone
    from mobile_stub.views import PromptView
    from mobile_stub.world import World

Reply = TypeVar("Reply")

MOBILE, OFFICE, EXTENSION = "+441632960123", "+441632960456", "407"
"""Numbers that no one has: they are kept for films and examples."""


class Timeline:
    """Writes what happens, line by line, with the milliseconds since the first thing that happened in the scene."""

    def __init__(self, console: Console) -> None:
        """Write to this console."""
        self._console = console
        self._began: float | None = None

    def scene(self, title: str) -> None:
        """A new scene, with a clock of its own."""
        self._console.print(Text(f"\n{title}", "bold"))
        self._began = None

    def tell(self, who: str, what: str, at: float | None = None) -> None:
        """One line; `at` is when it happened on the loop's clock, if not just now."""
        happened = asyncio.get_running_loop().time() if at is None else at
        self._began = happened if self._began is None else self._began
        milliseconds = round(1000 * (happened - self._began))
        self._console.print(Text.assemble((f"{milliseconds:>8} ms", "cyan"), f"  {who:<8}", (what, "bold")))


class Opened(msgspec.Struct, frozen=True):
    """A phone on its way to becoming a method."""

    id: str
    target: str


class AppPassword(msgspec.Struct, frozen=True):
    """A new app password, told once."""

    password: str


class Allowed(msgspec.Struct, frozen=True):
    """A client that was let in."""

    credential: str
    name: str | None = None


@dataclass(frozen=True)
class Script:
    """The scenes, with all that they need."""

    timeline: Timeline
    everyone: World
    phone: HeldPhone
    alice: Person
    application: Credentials
    session: aiohttp.ClientSession
    url: str

    async def play(self) -> None:
        """All scenes in order. DemoError if one does not end as it should."""
        mail = Browser(self._api, self.application)
        self.timeline.scene("A prompt in the app")
        await self._by_prompt(mail)
        self.timeline.scene("Additional security verification: a mobile and an office phone are registered")
        await self._register_phones()
        self.timeline.scene("A code from the app")
        begun = await self._begun(mail)
        chosen = await self._chosen(mail, begun, "app_code")
        code = self.phone.phone.code()
        self.timeline.tell("phone", f"shows the code {code}")
        await self._typed(mail, chosen, code)
        self.timeline.scene("A text to the mobile phone")
        await self._by_text(mail, await self._begun(mail))
        self.timeline.scene("A call to the mobile phone")
        await self._by_call(mail, "call_mobile", MOBILE)
        self.timeline.scene("A call to the office phone")
        await self._by_call(mail, "call_office", OFFICE)
        self.timeline.scene("Another option in the middle: the phone is out of reach, so a text instead of the prompt")
        await self._switching(mail)
        self.timeline.scene("A mail client, which can't show a second step")
        password = await self._mail_client()
        self.timeline.scene("An app password administers nothing")
        await self._administering(password)

    # --- scenes -----------------------------------------------------------------------------------------------------

    async def _by_prompt(self, browser: Browser) -> SignIn:
        """A sign-in with right password and right number.

        The prompt may be on the phone before the browser has read its own answer; either shows that the password was
        right.
        """
        clock = asyncio.get_running_loop().time
        prompted = asyncio.create_task(_timed(self._prompt()))
        try:
            begun = await browser.begin(self.alice)
            answered_at = clock()
            number = begun.challenge.prompt.number if begun.challenge else None
            if begun.state != "pending" or number is None:
                raise DemoError(f"the sign-in asks for no number: {begun.state} {begun.reason or ''}")
            prompt, asked_at = await prompted
        finally:
            prompted.cancel()
        place = prompt.ip or "an unknown place"
        self.timeline.tell("service", f"the password of {self.alice.name} is right", min(answered_at, asked_at))
        self._tell_in_order(
            (asked_at, "phone", f"asks: {prompt.application}, {prompt.browser}, from {place}"),
            (answered_at, "browser", f"shows the number {number}, and waits"),
        )
        told = asyncio.create_task(_timed(browser.outcome(begun)))
        try:
            self.timeline.tell("person", f"reads {number} in the browser, types it on the phone, presses Verify")
            done = await self.phone.answer(prompt.id, Decision.VERIFY, number)
            replied_at = clock()
            over, told_at = await told
        finally:
            told.cancel()
        self._tell_in_order(
            (replied_at, "phone", f"is told: {done.state.value}"),
            (told_at, "browser", f"is told: {over.state}{', with a signed result' if over.result else ''}"),
        )
        if done.state is not PromptState.COMPLETED or over.state != "approved" or not over.result:
            raise DemoError(f"the sign-in ended {over.state} ({over.reason}), the phone was told {done.state.value}")
        return begun

    async def _register_phones(self) -> None:
        settings = Browser(self._api, "settings", self.url)
        session = await self._by_prompt(settings)
        mobile = await settings.request(session, "POST", "/v1/me/phones", Opened, {"kind": "mobile", "number": MOBILE})
        self.timeline.tell("browser", f"gives a mobile number, which is shown as {mobile.target} from now on")
        code = await self._text()
        await settings.request(session, "POST", f"/v1/me/phones/{mobile.id}/confirm", msgspec.Raw, {"code": code})
        self.timeline.tell("person", f"types {code}: the phone takes texts and calls")
        office = {"kind": "office", "number": OFFICE, "extension": EXTENSION}
        opened = await settings.request(session, "POST", "/v1/me/phones", Opened, office)
        self.timeline.tell("browser", f"gives an office number with an extension, shown as {opened.target}")
        await self._call(OFFICE)
        await settings.request(session, "POST", f"/v1/me/phones/{opened.id}/confirm", msgspec.Raw, {})
        self.timeline.tell(
            "service", "the office phone is registered; the mobile hears of it, in case that was a thief"
        )
        await self._notice()

    async def _by_text(self, browser: Browser, begun: SignIn) -> None:
        chosen = await self._chosen(browser, begun, "text_mobile")
        await self._typed(browser, chosen, await self._text())

    async def _by_call(self, browser: Browser, method: str, number: str) -> None:
        begun = await self._begun(browser)
        chosen = await self._chosen(browser, begun, method)
        told = asyncio.create_task(browser.outcome(chosen, begun.browser_token))
        try:
            await self._call(number)
            self._approved(await told)
        finally:
            told.cancel()

    async def _switching(self, browser: Browser) -> None:
        begun = await self._begun(browser)
        prompt = await self._prompt()
        self.timeline.tell("phone", f"asks: {prompt.application}; nobody looks")
        chosen = await self._chosen(browser, begun, "text_mobile")
        while self.phone.screen[prompt.id].state is PromptState.WAITING:
            await self._something_changes()
        self.timeline.tell("phone", f"its prompt is gone: {self.phone.screen[prompt.id].state.value}")
        await self._typed(browser, chosen, await self._text())

    async def _mail_client(self) -> str:
        settings = Browser(self._api, "settings", self.url)
        try:
            await self._client(self.alice.password)
        except Refused as refused:
            self.timeline.tell("mail", f"by the ordinary password: {refused.status} {refused.problem.code}")
        else:
            raise DemoError("the ordinary password opened a client of an enforced account")
        session = await self._by_prompt(settings)
        made = await settings.request(
            session, "POST", "/v1/me/app-passwords", AppPassword, {"name": "Mail on my laptop"}
        )
        self.timeline.tell("browser", f"shows, once, the app password {made.password}")
        await self._notice()
        allowed = await self._client(made.password)
        self.timeline.tell("mail", f"is let in by the {allowed.credential.replace('_', ' ')} “{allowed.name}”")
        return made.password

    async def _administering(self, password: str) -> None:
        basic = aiohttp.encode_basic_auth(self.alice.name, password)
        self.timeline.tell(
            "person", f"{self.alice.name}, an administrator, asks for /v1/admin/users by the app password"
        )
        try:
            await self._api.send("GET", "/v1/admin/users", msgspec.Raw, authorization=basic)
        except Refused as refused:
            self.timeline.tell("service", f"refuses: {refused.status} {refused.problem.code}")
        else:
            raise DemoError("an app password opened the administration")

    # --- what scenes are made of ------------------------------------------------------------------------------------

    @property
    def _api(self) -> Api:
        return Api(self.session)

    async def _begun(self, browser: Browser) -> SignIn:
        begun = await browser.begin(self.alice)
        self.timeline.tell("service", f"the password of {self.alice.name} is right")
        return begun

    async def _chosen(self, browser: Browser, begun: SignIn, method: str) -> SignIn:
        chosen = await browser.choose(begun, method)
        target = chosen.challenge.target if chosen.challenge else ""
        self.timeline.tell("browser", f"other verification options: {method}, {target}")
        return msgspec.structs.replace(chosen, browser_token=begun.browser_token)

    async def _typed(self, browser: Browser, sign_in: SignIn, code: str) -> None:
        self.timeline.tell("person", f"types {code} in the browser")
        self._approved(await browser.enter(sign_in, code))

    def _approved(self, over: SignIn) -> None:
        if over.state != "approved" or not over.result:
            raise DemoError(f"the sign-in ended {over.state} ({over.reason})")
        self.timeline.tell("browser", "is told: approved, with a signed result")

    async def _text(self) -> str:
        """The code in the next text to Alice's mobile phone."""
        body = await self._notice()
        found = re.search(r"\b\d{6}\b", body)
        if found is None:
            raise DemoError(f"a text with a code should have come, not: {body}")
        return found[0]

    async def _notice(self) -> str:
        """The next text to Alice's mobile phone."""
        body = (await self.everyone.carrier.handset(MOBILE).next_text()).body
        self.timeline.tell("text", body)
        return body

    async def _call(self, number: str) -> None:
        call = await self.everyone.carrier.handset(number).next_call()
        dialled = f", extension {call.wanted.dialled}" if call.wanted.dialled else ""
        self.timeline.tell("call", f"the phone rings{dialled}, and is answered")
        call.answer()
        self.timeline.tell("call", f"“{await call.asks()}”")
        call.press("#")
        self.timeline.tell("person", "presses #")
        await call.over()
        self.timeline.tell("call", f"“{call.said[-1]}”")

    async def _client(self, password: str) -> Allowed:
        body = {"username": self.alice.name, "password": password, "purpose": "use", "client": {"ip": "203.0.113.7"}}
        return await self._api.send(
            "POST", "/v1/client-sign-ins", Allowed, authorization=self.application.basic, body=body
        )

    async def _prompt(self) -> PromptView:
        """The prompt that waits on the phone's screen, once there is one."""
        while True:
            for prompt in self.phone.screen.values():
                if prompt.state is PromptState.WAITING:
                    return prompt
            await self._something_changes()

    async def _something_changes(self) -> None:
        changes = self.everyone.shelf.changes
        await changes.after(changes.number)

    def _tell_in_order(self, *lines: tuple[float, str, str]) -> None:
        for at, who, what in sorted(lines):
            self.timeline.tell(who, what, at)


async def _timed(work: Coroutine[None, None, Reply]) -> tuple[Reply, float]:
    """What `work` gives, and when it came, on the loop's clock."""
    return await work, asyncio.get_running_loop().time()
