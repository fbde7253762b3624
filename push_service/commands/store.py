"""`push-service store`: the database as a whole. A file for each of its commands."""

from __future__ import annotations

import typer

app = typer.Typer(help="The database as a whole.", no_args_is_help=True)


@app.callback()
def every_store_command() -> None:
    """Make it a group, however few commands it has."""
