"""What every command shares: reading settings, opening the core, printing, and telling a failure in one line."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

from push_service.model.errors import InvalidRequest, ServiceError

if TYPE_CHECKING:  # importing these takes longer than most commands run
    from push_service.config import Settings
    from push_service.core import Core

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings in TOML; the environment (PUSH_SERVICE_...) wins."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
PasswordStdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, up to the end of the line.")
]


def settings_of(context: typer.Context, file: Path | None = None) -> Settings:
    """The settings: of this file, else of the one named before the command. Raises InvalidSettings."""
    from push_service import config  # noqa: PLC0415 - see TYPE_CHECKING above

    named = context.find_root().params.get("config")
    return config.load(file or (named if isinstance(named, Path) else None))


def with_core(context: typer.Context, use: Callable[[Core], Awaitable[T]]) -> T:
    """Open the core without starting a server, and let `use` work with it."""
    settings = settings_of(context)
    from push_service.core import open_core  # noqa: PLC0415 - see TYPE_CHECKING above
    from push_service.observability import set_up_logs  # noqa: PLC0415

    set_up_logs("warning", json=settings.log_format.value == "json")  # to stderr: stdout holds results alone

    async def run() -> T:
        async with open_core(settings) as core:
            return await use(core)

    return asyncio.run(run())


def account_of_the_machine() -> str:
    """Who runs this command, as the machine knows them; what they say of themselves is not asked."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's account often has no name
        return str(os.getuid())


def say(text: str) -> None:
    """Talk: to stderr, so that stdout holds results alone."""
    typer.echo(printable(text), err=True)


def tell(text: str) -> None:
    """Print one line of a result for people."""
    typer.echo(printable(text))


def printable(text: str) -> str:
    """The text without what would move the cursor or turn the line around: names come from strangers (S-43)."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def print_json(reply: msgspec.Struct) -> None:
    """Print a result as one JSON object on one line."""
    typer.echo(msgspec.json.encode(reply).decode())


def print_columns(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in aligned columns, titles first; nothing is cut off, wherever the output goes."""
    lines = [titles, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(titles))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def new_password(*, from_stdin: bool) -> str | None:
    """A password from standard input, or asked for twice on a terminal; None where there is nobody to ask."""
    if from_stdin:
        try:
            given = sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InvalidRequest("The password on standard input is not UTF-8.") from error
        if not given:
            raise InvalidRequest("There is no password on standard input.")
        return given
    if not sys.stdin.isatty():
        return None
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """End the process with 1, and a line on stderr for each thing that is wrong, whatever is raised inside.

    A traceback is for whoever looks for a defect: it is shown at log level debug.
    """
    try:
        yield
    except Exception as error:
        if os.environ.get("PUSH_SERVICE_LOG_LEVEL", "").lower() == "debug":
            raise
        for line in _lines(error):
            say(f"push-service: {line}")
        sys.exit(1)


def _lines(error: Exception) -> tuple[str, ...]:
    from push_service.config import InvalidSettings  # noqa: PLC0415 - see TYPE_CHECKING above
    from push_service.workers.process import WorkersFailed  # noqa: PLC0415

    match error:
        case ServiceError():
            return (error.detail,)
        case WorkersFailed():
            return (str(error),)
        case InvalidSettings():
            return error.faults
        case OSError():
            return (str(error),)
        case ExceptionGroup():
            return tuple(line for each in error.exceptions for line in _lines(each))
        case _:
            said = " ".join(str(error).split())
            return (f"unexpected {type(error).__name__}: {said} (PUSH_SERVICE_LOG_LEVEL=debug shows where)",)
