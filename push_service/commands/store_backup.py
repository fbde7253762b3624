"""`push-service store backup`: a copy of the embedded database, beside a running server or without one.

A PostgreSQL database has tools of its own, which know its roles, its versions and its log; this only names them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from push_service.commands.running import JsonOption, print_json, say, settings_of, tell
from push_service.model.errors import InvalidRequest
from push_service.model.instant import rfc3339

ON_POSTGRES = (
    "The store is PostgreSQL, which has its own tool: pg_dump --format=custom --file FILE URL, with the server running;"
    " docs/operations.md, Backup and restore, says how it is put back."
)


class BackupView(msgspec.Struct, frozen=True):
    """What is in the copy."""

    file: str
    bytes: int
    schema_version: int
    users: int
    devices: int
    newest_record: str


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; must not exist yet.")],
    *,
    json: JsonOption = False,
) -> None:
    """Copy the database to a new file while the server runs. The key is not in it: keep that elsewhere."""
    settings = settings_of(context)
    if settings.on_postgres:
        raise InvalidRequest(ON_POSTGRES)
    from push_service.store.sqlite.backup import BackupRefused, back_up  # noqa: PLC0415 - loads SQLite

    try:
        made = back_up(settings.database_file, file)
    except BackupRefused as refused:
        raise InvalidRequest(str(refused)) from refused
    newest = rfc3339(made.newest_record)
    if json:
        print_json(BackupView(made.file, made.bytes, made.schema_version, made.users, made.devices, newest))
        return
    tell(f"{made.file}: {made.bytes:,} bytes, {made.users:,} people, {made.devices:,} phones, up to {newest}.")
    if settings.key is None:
        say(f"The key is not in it: keep {settings.key_file} elsewhere.")
