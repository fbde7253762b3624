"""`push-service config`: whether the settings are valid, and what they are."""

from __future__ import annotations

import msgspec
import typer

from push_service.commands.running import ConfigOption, JsonOption, print_json, say, settings_of

app = typer.Typer(help="Check and show the settings.", no_args_is_help=True)


class Checked(msgspec.Struct, frozen=True):
    """The settings are valid; these variables look like settings and are none."""

    valid: bool
    unread: tuple[str, ...]


class Shown(msgspec.Struct, frozen=True):
    """Every setting's effective value by its environment name."""

    settings: dict[str, str]


@app.command()
def check(context: typer.Context, config: ConfigOption = None, *, json: JsonOption = False) -> None:
    """Check every setting. Whatever is wrong has a line on stderr that begins with the setting's name."""
    settings_of(context, config)
    unread = _warn_of_slips()
    if json:
        print_json(Checked(valid=True, unread=unread))
    else:
        typer.echo("The settings are valid.")


@app.command()
def show(context: typer.Context, config: ConfigOption = None, *, json: JsonOption = False) -> None:
    """Print the effective value of every setting, secrets masked."""
    values = settings_of(context, config).shown()
    _warn_of_slips()
    if json:
        print_json(Shown(values))
        return
    for name, value in values.items():
        typer.echo(f"{name}={value}")


def _warn_of_slips() -> tuple[str, ...]:
    from push_service.config import unread_names  # noqa: PLC0415 - settings are imported by commands that read them

    unread = unread_names()
    for name in unread:
        say(f"push-service: {name} is set but is no setting")
    return unread
