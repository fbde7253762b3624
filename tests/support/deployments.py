"""How the service is deployed in a story: on which store and bus, and in how many processes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from .service import Service


class Deployment(StrEnum):
    """Store, bus, and number of processes."""

    EMBEDDED = "sqlite-1"

    def service(self, folder: Path, **settings: str) -> Service:
        """A service deployed so, with its data in `folder`; not started yet."""
        return Service(folder, **settings)


EVERY = tuple(Deployment)
