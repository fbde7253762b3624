"""`push-service user import`: people from a CSV file, each line all or nothing."""

from __future__ import annotations

import csv
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from push_service.commands.running import JsonOption, print_json, say, tell, with_core
from push_service.model.errors import InvalidRequest
from push_service.model.new_user import ImportLine

if TYPE_CHECKING:
    from push_service.administrator import ImportReport
    from push_service.core import Core

COLUMNS = ("username", "password", "state", "admin", "mobile", "office", "extension")
_NICENESS = 10
_FIRST_LINE = 2


class Imported(msgspec.Struct, frozen=True):
    """What became of a file: how many lines were added (or, by a dry run, could be) and how many refused, and why."""

    dry_run: bool
    added: int
    refused: int
    lines: list[ImportReport]


def import_users(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help=f"UTF-8, with a heading; columns {', '.join(COLUMNS)}.")
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line and add nobody.")] = False,
    json: JsonOption = False,
) -> None:
    """Add people from a CSV file: a report for every line. People who are there already are left as they are."""
    lines = read_lines(file)
    os.nice(_NICENESS)  # hashing ten thousand passwords must not slow the server beside it
    reports = with_core(context, lambda core: _import(core, lines, dry_run=dry_run, quiet=json))
    refused = Counter(report.code is not None for report in reports)[True]
    if json:
        print_json(Imported(dry_run=dry_run, added=len(reports) - refused, refused=refused, lines=reports))
    say(f"{len(reports) - refused} {'could be added' if dry_run else 'added'}, {refused} refused")
    if refused:
        raise typer.Exit(1)


def read_lines(file: Path) -> list[ImportLine]:
    """The lines of a CSV file (RFC 4180) with a heading. Raises InvalidRequest for a file that is none."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            heading = [cell.strip().lower() for cell in next(reader, [])]
            _check_heading(heading)
            return [_line(reader.line_num, heading, cells) for cells in reader if cells]
    except OSError as error:
        raise InvalidRequest(f"{file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file} is not UTF-8.") from error
    except csv.Error as error:
        raise InvalidRequest(f"{file} is not CSV: {error}") from error


def _check_heading(heading: list[str]) -> None:
    unknown = [cell for cell in heading if cell not in COLUMNS]
    if "username" not in heading or unknown or len(set(heading)) < len(heading):
        raise InvalidRequest(f"The first line must name columns, username among them, each once: {','.join(COLUMNS)}.")


def _line(number: int, heading: list[str], cells: list[str]) -> ImportLine:
    named = dict(zip(heading, cells, strict=False))
    malformed = "" if len(cells) == len(heading) else f"It has {len(cells)} cells, the heading {len(heading)}."
    return msgspec.convert({"username": "", **named, "number": number, "malformed": malformed}, ImportLine)


async def _import(core: Core, lines: list[ImportLine], *, dry_run: bool, quiet: bool) -> list[ImportReport]:
    from rich.console import Console  # noqa: PLC0415 - only this command draws
    from rich.progress import MofNCompleteColumn, Progress  # noqa: PLC0415

    reports: list[ImportReport] = []
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as progress:
        task = progress.add_task("Checking" if dry_run else "Importing", total=len(lines))
        at_once = core.settings.password_hash_concurrency
        async for report in core.administrator.import_users(lines, dry_run=dry_run, at_once=at_once):
            reports.append(report)
            progress.advance(task)
            if not quiet:
                became = report.detail or report.outcome.value.replace("_", " ")
                tell(f"line {report.line}: {report.username}: {became}")
    return reports
