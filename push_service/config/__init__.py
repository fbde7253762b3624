"""Every setting: typed, described, checked before anything starts.

Settings come from a TOML file (`--config FILE`, or PUSH_SERVICE_CONFIG) and from the environment (`PUSH_SERVICE_...`,
nested with `__`); the environment wins. A section a file.
Loading changes nothing on the disk; `make_data_dir` does, at a start. Called
by the command line, which hands the result to the composition root.
"""

from __future__ import annotations

from push_service.config.kinds import PREFIX, Endpoint, InvalidSettings, LogFormat, LogLevel
from push_service.config.loading import load, make_data_dir, names, unread_names
from push_service.config.settings import BETWEEN_PROCESSES, Settings, postgres_url

__all__ = [
    "BETWEEN_PROCESSES",
    "PREFIX",
    "Endpoint",
    "InvalidSettings",
    "LogFormat",
    "LogLevel",
    "Settings",
    "load",
    "make_data_dir",
    "names",
    "postgres_url",
    "unread_names",
]
