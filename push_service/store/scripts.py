"""The numbered SQL files that bring a database up to date, forward only: a folder for each dialect.

Both folders have the same numbers, and afterwards the same tables and columns.
"""

from __future__ import annotations

import re
from enum import StrEnum
from importlib import resources

_NUMBERED = re.compile(r"(\d{4})_\w+\.sql")


class Dialect(StrEnum):
    """Whose SQL."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


def migrations(dialect: Dialect) -> list[tuple[int, str]]:
    """Each migration's number and script, in order."""
    found = []
    for file in resources.files("push_service.store").joinpath("migrations", dialect.value).iterdir():
        match = _NUMBERED.fullmatch(file.name)
        if match:
            found.append((int(match.group(1)), file.read_text()))
    return sorted(found)
