"""`push-service serve`: the server itself."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from push_service.commands.running import ConfigOption, settings_of

WorkersOption = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Processes; instead of the setting WORKERS.")
]


def serve(context: typer.Context, config: ConfigOption = None, workers: WorkersOption = None) -> None:
    """Run the server until SIGTERM or Ctrl-C. One line with its address on stdout says that it is ready."""
    if workers is not None:  # a setting like any other, checked with the others, and known to every worker
        os.environ["PUSH_SERVICE_WORKERS"] = str(workers)
    settings = settings_of(context, config)
    from push_service.workers.seat import seat_taken  # noqa: PLC0415 - only the server needs this, and what follows

    seat = seat_taken()
    if seat is None and settings.workers > 1:
        from push_service.workers.supervisor import supervise  # noqa: PLC0415

        asyncio.run(supervise(settings))
    else:
        import uvloop  # noqa: PLC0415

        from push_service import app  # noqa: PLC0415

        uvloop.run(app.serve(settings, seat))
