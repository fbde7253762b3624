"""One real sign-in on the terminal, and a service to play with afterwards: `./dev demo`.

Knows the service only as anyone outside does: by its command line and its HTTP interface. The service runs as a process
of its own on a free port, with a data folder that is gone when the demo ends; the phones are those of a world in this
process, so the prompt of the scripted sign-in can still be looked at on the world's page.

Exit codes: 0 done (Ctrl-C is the ordinary end), 1 with one clear line on stderr when something failed, 2 usage, 130
when `--once` was interrupted before its sign-in was over.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import aiohttp
import msgspec
from rich.console import Console
from rich.text import Text

from mobile_stub.demo_service import Activation, Credentials, DemoError, Service, free_port
from mobile_stub.errors import PhoneError
from mobile_stub.line import LineState
from mobile_stub.proofs import Decision
from mobile_stub.views import PromptState
from mobile_stub.world import world

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from mobile_stub.shelf import HeldPhone, Shelf
    from mobile_stub.views import PromptView
    from mobile_stub.world import World

Reply = TypeVar("Reply")

SCRIPT_SECONDS = 60.0
WAIT_SECONDS = 25
INTERRUPTED = 130
BROWSER = {"ip": "203.0.113.7", "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
"""The browser that the application describes; its address is one that documentation may use (RFC 5737)."""


class Prompt(msgspec.Struct, frozen=True):
    """What the page shows of a challenge."""

    number: str | None = None


class BrowserChallenge(msgspec.Struct, frozen=True):
    """A challenge as the browser sees it."""

    prompt: Prompt


class SignIn(msgspec.Struct, frozen=True):
    """A sign-in as the browser sees it, as far as the demo looks."""

    id: str
    version: int
    state: str
    reason: str | None
    challenge: BrowserChallenge | None
    browser_token: str = ""
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the demo."""

    name: str
    password: str

    @classmethod
    def called(cls, name: str) -> Self:
        """Someone with a new password that can be read out loud: 9 random syllables, about 57 bits."""
        words = ("".join(secrets.choice("bdfgklmnprstvz") + secrets.choice("aeiou") for _ in range(3)) for _ in "123")
        return cls(name, "-".join(words))


class Timeline:
    """Writes what happens, line by line, with the milliseconds since the first thing that happened."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began: float | None = None

    def tell(self, who: str, what: str, at: float | None = None) -> None:
        """One line; `at` is when it happened on the loop's clock, if not just now."""
        happened = asyncio.get_running_loop().time() if at is None else at
        self._began = happened if self._began is None else self._began
        milliseconds = round(1000 * (happened - self._began))
        self._console.print(Text.assemble((f"{milliseconds:>8} ms", "cyan"), f"  {who:<8}", (what, "bold")))


class Browser:
    """A browser's side of the interface, as the application's own page would be it."""

    def __init__(self, session: aiohttp.ClientSession, application: Credentials) -> None:
        self._session, self._application = session, application

    async def begin(self, person: Person) -> SignIn:
        """Send name and password."""
        authorization = aiohttp.encode_basic_auth(self._application.client_id, self._application.client_secret)
        body = {"username": person.name, "password": person.password, "client": BROWSER}
        return await self._send("POST", "/v1/sign-ins", authorization, body=body)

    async def outcome(self, sign_in: SignIn) -> SignIn:
        """Wait, by long-poll, until it is over."""
        authorization, seen = f"Bearer {sign_in.browser_token}", sign_in
        while seen.state == "pending":
            path = f"/v1/sign-ins/{sign_in.id}?wait={WAIT_SECONDS}&after={seen.version}"
            seen = await self._send("GET", path, authorization)
        return seen

    async def _send(self, method: str, path: str, authorization: str, *, body: object = None) -> SignIn:
        headers = {"Authorization": authorization}
        async with self._session.request(method, path, headers=headers, json=body) as response:
            answer = await response.read()
            if not response.ok:
                raise DemoError(f"{method} {path.partition('?')[0]} was answered {response.status}: {answer.decode()}")
            return msgspec.json.decode(answer, type=SignIn)


async def sign_in(browser: Browser, phone: HeldPhone, shelf: Shelf, person: Person, timeline: Timeline) -> None:
    """One sign-in with right password and right number. DemoError if it does not end approved.

    The prompt may be on the phone before the browser has read its own answer; either shows that the password was right.
    """
    clock = asyncio.get_running_loop().time
    prompted = asyncio.create_task(_timed(_prompt(phone, shelf)))
    try:
        begun = await browser.begin(person)
        answered_at = clock()
        number = begun.challenge.prompt.number if begun.challenge else None
        if begun.state != "pending" or number is None:
            raise DemoError(f"the sign-in of {person.name} asks for no number: {begun.state} {begun.reason or ''}")
        prompt, asked_at = await prompted
    finally:
        prompted.cancel()
    place = prompt.ip or "an unknown place"
    timeline.tell("service", f"the password of {person.name} is right", min(answered_at, asked_at))
    shown = [
        (asked_at, "phone", f"asks: {prompt.application}, {prompt.browser}, from {place}"),
        (answered_at, "browser", f"shows the number {number}, and waits"),
    ]
    for at, who, what in sorted(shown):
        timeline.tell(who, what, at)
    told = asyncio.create_task(_timed(browser.outcome(begun)))
    try:
        timeline.tell("person", f"reads {number} in the browser, types it on the phone, presses Verify")
        done = await phone.answer(prompt.id, Decision.VERIFY, number)
        replied_at = clock()
        over, told_at = await told
    finally:
        told.cancel()
    ends = [
        (replied_at, "phone", f"is told: {done.state.value}"),
        (told_at, "browser", f"is told: {over.state}{', with a signed result' if over.result else ''}"),
    ]
    for at, who, what in sorted(ends):
        timeline.tell(who, what, at)
    if done.state is not PromptState.COMPLETED or over.state != "approved" or not over.result:
        raise DemoError(f"the sign-in ended {over.state} ({over.reason}), the phone was told {done.state.value}")


async def demo(console: Console, *, once: bool) -> None:
    """Everything, from the empty folder to the end; without `once` it ends by being cancelled."""
    alice, bob = Person.called("alice"), Person.called("bob")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="push-service-demo-")))
        async with asyncio.timeout(SCRIPT_SECONDS):
            everyone = await stack.enter_async_context(world(folder=folder / "phones"))
            console.print(f"Starting the world of phones, and the Firebase that wakes them, at {everyone.url}")
            waking = {"FIREBASE__CREDENTIALS": str(everyone.credentials), "FIREBASE__BASE_URL": everyone.url}
            service = Service(folder, free_port(), **waking)
            console.print(f"Starting the service at {service.url}, with SQLite in {folder}")
            process = await stack.enter_async_context(service.running())
            application, _, _ = await asyncio.gather(
                service.command("application", "add", "Contoso Mail", reply=Credentials),
                _add(service, alice),
                _add(service, bob),
            )
            activation = await service.command("user", "activate-device", alice.name, reply=Activation)
            phone = await everyone.shelf.activate(activation.uri, "Alice's phone", "stub")
            await _until_connected(phone, everyone.shelf)
            console.print("Two people, alice and bob, and a phone for alice. Alice signs in to Contoso Mail:\n")
            session = await stack.enter_async_context(aiohttp.ClientSession(service.url))
            await sign_in(Browser(session, application), phone, everyone.shelf, alice, Timeline(console))
        if once:
            return
        _invite(console, service, everyone, phone, (alice, bob))
        await process.wait()
        raise DemoError(f"the service has ended by itself:\n{service.last_words()}")


def _invite(
    console: Console, service: Service, everyone: World, phone: HeldPhone, people: tuple[Person, Person]
) -> None:
    alice, bob = people
    console.print(
        f"""
Now you. Both pages are open until Ctrl-C:

  sign-in page   {service.url}/sign-in
  phone page     {everyone.page_of(phone.phone.device_id)}

  {alice.name:<6} password {alice.password}   has a phone: sign in, and type the number on the phone page
  {bob.name:<6} password {bob.password}   has no phone yet: sign in, and the page asks to register one; paste the
         activation address that it shows into "Activate a phone" on {everyone.url}/

Close the app on a phone page (under "About this phone"), sign in, and a push message opens it again. What was pushed:
{everyone.url}/firebase; mobile_stub/firebase_routes.py says how to have Firebase fail.
"""
    )


async def _add(service: Service, person: Person) -> None:
    await service.command("user", "add", person.name, "--password-stdin", reply=msgspec.Raw, stdin=person.password)


async def _until_connected(phone: HeldPhone, shelf: Shelf) -> None:
    while phone.phone.line_state is not LineState.CONNECTED:
        await shelf.changes.after(shelf.changes.number)


async def _prompt(phone: HeldPhone, shelf: Shelf) -> PromptView:
    """The prompt that waits on the phone's screen, once there is one."""
    while True:
        for prompt in phone.screen.values():
            if prompt.state is PromptState.WAITING:
                return prompt
        await shelf.changes.after(shelf.changes.number)


async def _timed(work: Coroutine[None, None, Reply]) -> tuple[Reply, float]:
    """What `work` gives, and when it came, on the loop's clock."""
    return await work, asyncio.get_running_loop().time()


async def _until_signal(work: Coroutine[None, None, None], *, interrupted: int) -> int:
    """Run to the end (0), or until Ctrl-C or SIGTERM (`interrupted`), which lets everything end in good order."""
    loop = asyncio.get_running_loop()
    task, stopping = asyncio.ensure_future(work), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        await task
        return 0
    task.cancel()  # once: an impatient second Ctrl-C doesn't cut short how the service is put away
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return interrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description="One real sign-in on screen; then it is your turn.")
    parser.add_argument("--once", action="store_true", help="end after the scripted sign-in")
    once: bool = parser.parse_args(arguments).once
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        ended = asyncio.run(_until_signal(demo(console, once=once), interrupted=INTERRUPTED if once else 0))
    except TimeoutError:
        return _failed(f"the scripted sign-in was not over within {SCRIPT_SECONDS:g} s")
    except (DemoError, PhoneError, OSError, aiohttp.ClientError, msgspec.DecodeError) as error:
        return _failed(str(error) or repr(error))
    if ended == 0:
        console.print("\nDone." if once else "Everything is ended and put away.")
    return ended


def _failed(why: str) -> int:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"demo: {why}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
