"""The stub on the command line: the whole world, or one phone with a scripted person.

::

    python -m mobile_stub world [--listen HOST:PORT] [--state DIR]
    python -m mobile_stub phone --activate URI [--behaviour verify] [--after SECONDS] [--number N] [--once]

`world` prints a line with its address when it is ready, and the settings by which a service sends through its Firebase
and its telephone company; `phone` one line a prompt. Both end cleanly on SIGINT and SIGTERM. Exit codes: 0 done,
1 refused or failed (one line on stderr), 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mobile_stub.behaviours import Behaviour, Deny, Ignore, Late, ReportFraud, Verify, WrongNumber, always, live
from mobile_stub.errors import PhoneError
from mobile_stub.phone import Phone
from mobile_stub.world import LOOPBACK, world

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from mobile_stub.behaviours import LookAtBrowser
    from mobile_stub.wire import Challenge, Outcome

BEHAVIOURS = ("verify", "deny", "ignore", "fraud", "wrong-number")
MAX_PORT = 65535


class Met(Exception):
    """The one prompt that was asked for with --once has been met."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    run = _world(options) if options.command == "world" else _phone(options)
    try:
        return asyncio.run(_until_signal(run))
    except (PhoneError, OSError, msgspec.DecodeError) as error:
        sys.stderr.write(f"mobile_stub: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mobile_stub", description="Phones to try a verification service with.")
    commands = parser.add_subparsers(dest="command", required=True)

    everything = commands.add_parser("world", help="phones, Firebase and a telephone company on one port, with a page")
    everything.add_argument("--listen", type=_host_and_port, default=(LOOPBACK, 0), metavar="HOST:PORT")
    everything.add_argument("--state", type=Path, metavar="DIR", help="keep the phones here for the next time")

    phone = commands.add_parser("phone", help="one phone, with a scripted person")
    phone.add_argument("--activate", required=True, metavar="URI", help="PUBLIC_URL/activate#code=CODE")
    phone.add_argument("--behaviour", choices=BEHAVIOURS, default="verify")
    phone.add_argument("--after", type=_seconds, default=0.0, metavar="SECONDS", help="answer so much later")
    phone.add_argument("--number", metavar="N", help="what the browser shows; asked for on the terminal if not given")
    phone.add_argument("--once", action="store_true", help="end after one prompt")
    return parser


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} isn't of the form HOST:PORT")
    return host.strip("[]") or LOOPBACK, int(port)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("a time can't be negative or endless")
    return seconds


async def _until_signal(run: Coroutine[None, None, None]) -> int:
    """Run until done or told to stop; either is a good end."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(run)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):  # the signal's doing
        await task
    return 0


async def _world(options: argparse.Namespace) -> None:
    host, port = options.listen
    async with world(host, port, folder=options.state) as running:
        _say(f"mobile_stub world listening on {running.url}")
        _say(f"PUSH_SERVICE_FIREBASE__CREDENTIALS={running.credentials}")
        _say(f"PUSH_SERVICE_FIREBASE__BASE_URL={running.url}")
        for name, value in running.carrier.settings(running.url).items():
            _say(f"PUSH_SERVICE_{name}={value}")
        await asyncio.Event().wait()


async def _phone(options: argparse.Namespace) -> None:
    async with Phone.activate(options.activate) as phone:
        _say(f"phone {phone.device_id} of {phone.username} is ready")
        await _live(phone, _behaviour(options), once=options.once)


async def _live(phone: Phone, behaviour: Behaviour, *, once: bool) -> None:
    def told(challenge: Challenge, outcome: Outcome | None) -> None:
        _say(f"{challenge.application}: {outcome or 'ignored'}")
        if once:
            raise Met

    try:
        await live(phone, behaviour, told)
    except ExceptionGroup as group:
        _, failures = group.split(Met)
        if failures is not None:
            raise failures.exceptions[0] from group


def _behaviour(options: argparse.Namespace) -> Behaviour:
    look: LookAtBrowser = _ask_on_terminal if options.number is None else always(options.number)
    people: dict[str, Behaviour] = {
        "verify": Verify(look),
        "deny": Deny(),
        "ignore": Ignore(),
        "fraud": ReportFraud(),
        "wrong-number": WrongNumber(always(options.number)),
    }
    behaviour = people[options.behaviour]
    return Late(options.after, behaviour) if options.after else behaviour


async def _ask_on_terminal(challenge: Challenge) -> str:
    place = challenge.location or challenge.ip or "an unknown place"
    sys.stderr.write(f"{challenge.application}, from {place}: number in the browser ({challenge.digits} digits)? ")
    sys.stderr.flush()
    number = (await _line_of_stdin()).strip()
    if not number:
        raise PhoneError("no number was typed")
    return number


async def _line_of_stdin() -> str:
    """One line, read without a thread: a thread that waits for the terminal would hold up the end."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()
    try:
        loop.add_reader(sys.stdin, partial(_read_line, line))
    except PermissionError:  # a file, which never makes anyone wait and can't be waited for
        return sys.stdin.readline()
    try:
        return await line
    finally:
        loop.remove_reader(sys.stdin)


def _read_line(line: asyncio.Future[str]) -> None:
    if not line.done():
        line.set_result(sys.stdin.readline())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
