"""`push-service keys`: the keys that results and contexts are signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import typer

from push_service.commands.running import JsonOption, print_columns, print_json, with_core
from push_service.model.instant import rfc3339

if TYPE_CHECKING:
    from push_service.ports import StoredKey

app = typer.Typer(help="Signing keys.", no_args_is_help=True)


class KeyView(msgspec.Struct, frozen=True):
    """What of a key may be seen: never the key."""

    kid: str
    created_at: str
    retired_at: str | None


class KeyList(msgspec.Struct, frozen=True):
    """All keys, newest first."""

    keys: list[KeyView]


@app.command()
def rotate(context: typer.Context, *, json: JsonOption = False) -> None:
    """Make a new key that signs from now on. The old one still verifies until everything that it signed is over."""
    made = _view(with_core(context, lambda core: core.keyring.rotate()))
    if json:
        print_json(made)
    else:
        typer.echo(f"{made.kid} signs from now on.")


@app.command("list")
def list_keys(context: typer.Context, *, json: JsonOption = False) -> None:
    """List the keys, newest first; the newest signs."""
    keys = [_view(each) for each in with_core(context, lambda core: core.keyring.list())]
    if json:
        print_json(KeyList(keys))
        return
    print_columns(
        ("KID", "CREATED", "RETIRED"), [(each.kid, each.created_at, each.retired_at or "signs now") for each in keys]
    )


def _view(key: StoredKey) -> KeyView:
    return KeyView(key.kid, rfc3339(key.created_at), None if key.retired_at is None else rfc3339(key.retired_at))
