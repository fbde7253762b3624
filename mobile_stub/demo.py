"""Every way to verify on the terminal, and a service to play with afterwards: `./dev demo`.

Knows the service only as anyone outside does: by its command line and its HTTP interface. The service runs as a process
of its own on a free port, with a data folder that is gone when the demo ends; the phones are those of a world in this
process, so what came to them can still be looked at on the world's page.

Exit codes: 0 done (Ctrl-C is the ordinary end), 1 with one clear line on stderr when something failed, 2 usage, 130
when `--once` was interrupted before its script was over.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import msgspec
from rich.console import Console

from mobile_stub.demo_browser import Person
from mobile_stub.demo_script import Script, Timeline
from mobile_stub.demo_service import Activation, Credentials, DemoError, Service, free_port
from mobile_stub.errors import PhoneError
from mobile_stub.line import LineState
from mobile_stub.world import world

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from mobile_stub.shelf import HeldPhone, Shelf
    from mobile_stub.world import World

SCRIPT_SECONDS = 60.0
INTERRUPTED = 130


async def demo(console: Console, *, once: bool) -> None:
    """Everything, from the empty folder to the end; without `once` it ends by being cancelled."""
    alice, bob = Person.called("alice"), Person.called("bob")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="push-service-demo-")))
        async with asyncio.timeout(SCRIPT_SECONDS):
            everyone = await stack.enter_async_context(world(folder=folder / "phones"))
            console.print(f"Starting the world of phones, with its Firebase and telephone company, at {everyone.url}")
            outside = {"FIREBASE__CREDENTIALS": str(everyone.credentials), "FIREBASE__BASE_URL": everyone.url}
            service = Service(folder, free_port(), **outside, **everyone.carrier.settings(everyone.url))
            console.print(f"Starting the service at {service.url}, with SQLite in {folder}")
            process = await stack.enter_async_context(service.running())
            application, _, _ = await asyncio.gather(
                service.command("application", "add", "Contoso Mail", reply=Credentials),
                _add(service, alice, "--admin"),
                _add(service, bob),
            )
            activation = await service.command("user", "activate-device", alice.name, reply=Activation)
            phone = await everyone.shelf.activate(activation.uri, "Alice's phone", "stub")
            await _until_connected(phone, everyone.shelf)
            console.print("Two people, alice and bob, and a phone for alice, who signs in to Contoso Mail.")
            session = await stack.enter_async_context(aiohttp.ClientSession(service.url))
            everyone.carrier.pace = None  # in the script nobody waits for a sentence to be spoken
            await Script(Timeline(console), everyone, phone, alice, application, session, service.url).play()
            everyone.carrier.pace = 1.0
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

  {alice.name:<6} password {alice.password}   has a phone: sign in, and type the number on the phone page;
         "Other verification options" lists the others, and texts and calls come to {everyone.url}/
  {bob.name:<6} password {bob.password}   has no phone yet: sign in, and the page asks to register one; paste the
         activation address that it shows into "Activate a phone" on {everyone.url}/

Close the app on a phone page (under "About this phone"), sign in, and a push message opens it again. What was pushed:
{everyone.url}/firebase; mobile_stub/firebase_routes.py says how to have Firebase fail.
"""
    )


async def _add(service: Service, person: Person, *more: str) -> None:
    arguments = ("user", "add", person.name, "--password-stdin", *more)
    await service.command(*arguments, reply=msgspec.Raw, stdin=person.password)


async def _until_connected(phone: HeldPhone, shelf: Shelf) -> None:
    while phone.phone.line_state is not LineState.CONNECTED:
        await shelf.changes.after(shelf.changes.number)


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
    parser = argparse.ArgumentParser(prog="demo", description="Every way to verify on screen; then it is your turn.")
    parser.add_argument("--once", action="store_true", help="end after the script")
    once: bool = parser.parse_args(arguments).once
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        ended = asyncio.run(_until_signal(demo(console, once=once), interrupted=INTERRUPTED if once else 0))
    except TimeoutError:
        return _failed(f"the script was not over within {SCRIPT_SECONDS:g} s")
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
