"""The command line: a file for each group of commands, put together here.

A command reads its arguments, makes one call of a use case and prints what came of it; no rule is here. It works on the
store itself, beside a running server or without one. What is heavy to import is imported by the command that needs it.
"""

from __future__ import annotations

import typer

from push_service.commands import (
    application,
    config,
    doctor,
    keys,
    serve,
    store,
    store_backup,
    store_copy,
    user,
    user_import,
)
from push_service.commands.running import ConfigOption

app = typer.Typer(
    help="Multi-factor sign-in verification: the server, and what an administrator does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def every_command(config: ConfigOption = None) -> None:
    """Take what goes before any command; `running.settings_of` looks there."""


app.command()(serve.serve)
app.add_typer(config.app, name="config")
app.command()(doctor.doctor)
user.app.command("import")(user_import.import_users)
app.add_typer(user.app, name="user")
app.add_typer(application.app, name="application")
app.add_typer(keys.app, name="keys")
store.app.command("backup")(store_backup.backup)
store.app.command("copy")(store_copy.copy)
app.add_typer(store.app, name="store")
