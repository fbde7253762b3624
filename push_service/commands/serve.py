"""`push-service serve`: the server itself."""

from __future__ import annotations

import typer

from push_service.commands.running import ConfigOption, settings_of


def serve(context: typer.Context, config: ConfigOption = None) -> None:
    """Run the server until SIGTERM or Ctrl-C. One line with its address on stdout says that it is ready."""
    settings = settings_of(context, config)
    import uvloop  # noqa: PLC0415 - only the server needs it, and all that it serves with

    from push_service import app  # noqa: PLC0415

    uvloop.run(app.serve(settings))
