"""`push-service store copy`: moving from one store to another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from push_service.commands.running import JsonOption, print_columns, print_json, say, settings_of
from push_service.model.errors import InvalidRequest

if TYPE_CHECKING:
    from push_service.store.copying import CopiedTable


class Copy(msgspec.Struct, frozen=True):
    """Every table with its rows and the digest over them, the same on both sides."""

    tables: list[CopiedTable]


def copy(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="postgresql://USER@HOST/DATABASE, an empty one.")],
    *,
    json: JsonOption = False,
) -> None:
    """Copy the configured SQLite store into an empty PostgreSQL database, and prove it. Stop the server first."""
    settings = settings_of(context)
    if settings.on_postgres:
        raise InvalidRequest("The configured store is PostgreSQL already; its own tools copy that.")
    from push_service.config import InvalidSettings, postgres_url  # noqa: PLC0415 - only what copies needs it
    from push_service.store import UnsafeDatabase  # noqa: PLC0415
    from push_service.store.copying import copy_to_postgres  # noqa: PLC0415

    try:
        tables = asyncio.run(copy_to_postgres(settings.database_file, postgres_url(to)))
    except (UnsafeDatabase, ValueError) as problem:
        raise InvalidSettings(f"--to: {problem}") from problem
    if json:
        print_json(Copy(tables))
        return
    print_columns(("TABLE", "ROWS", "SHA-256"), [(each.name, str(each.rows), each.digest) for each in tables])
    say("All rows are there, and the same. Set PUSH_SERVICE_DATABASE_URL before the next start; keep the same key.")
