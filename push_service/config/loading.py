"""Reading the settings: from a TOML file and the environment, with a line for each thing that is wrong."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from push_service.config.kinds import FOR_EVERYONE, PREFIX, InvalidSettings
from push_service.config.settings import Settings
from push_service.config.showing import names_of

_URLS = frozenset({"bus_url", "database_url"})
"""Settings that are secret where they hold a password."""
_FOR_OTHERS = 0o077


def load(file: Path | None = None) -> Settings:
    """Read the file (default: what PUSH_SERVICE_CONFIG names, if set) and the environment. Raises InvalidSettings."""
    chosen = file or (Path(named) if (named := os.environ.get(f"{PREFIX}CONFIG")) else None)
    try:
        values = tomllib.loads(chosen.read_text(encoding="utf-8") if chosen else "")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{chosen}: can't be read: {getattr(error, 'strerror', None) or error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"{chosen}: is not valid TOML: {error}") from error
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise InvalidSettings(*_faults(error, chosen)) from error
    if chosen:
        secret = {name for name in _URLS if urlsplit(str(values.get(name, ""))).password}
        _refuse_shown_secrets(chosen, secret | values.keys() - _URLS | values.get("telephony", {}).keys())
    return settings


def make_data_dir(settings: Settings) -> None:
    """Make the data directory, for its owner alone. Raises InvalidSettings if it can't be, or if others can look in."""
    name, path = f"{PREFIX}DATA_DIR", settings.data_dir
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        mode = path.stat().st_mode
    except OSError as error:
        raise InvalidSettings(f"{name}: {path} can't be made: {error.strerror}") from error
    if mode & _FOR_OTHERS:
        raise InvalidSettings(f"{name}: {path} can be entered or read by others; chmod 700 it")


def names() -> tuple[str, ...]:
    """The environment name of every setting, in order."""
    return tuple(names_of(Settings, PREFIX))


def unread_names() -> tuple[str, ...]:
    """Variables that look like settings but are none: mostly slips of the pen, which would otherwise go unnoticed.

    They are told, not refused: container platforms put variables of their own under a service's name.
    """
    known = {*names(), f"{PREFIX}CONFIG"}
    return tuple(sorted(name for name in os.environ if name.startswith(PREFIX) and name.upper() not in known))


def _faults(error: ValidationError, file: Path | None) -> list[str]:
    """One line for each thing that is wrong, by the name under which whoever reads it wrote it."""
    return [
        _fault(each, file)
        for each in error.errors(include_url=False, include_input=False)
        if each["type"] != "default_factory_not_called"
    ]


def _fault(error: ErrorDetails, file: Path | None) -> str:
    place = [str(part) for part in error["loc"] if isinstance(part, str)]
    name = PREFIX + "__".join(place).upper()
    said = error["msg"].removeprefix("Value error, ")
    if not place:
        return said
    if file and not any(each.upper() == name for each in os.environ):
        name = f"{'.'.join(place)} in {file}"
    match error["type"]:
        case "extra_forbidden":
            return f"{name}: there is no such setting"
        case "model_type":
            return f"{name}: is a group of settings, not one"
        case _:
            return f"{name}: {said.replace('Input should be', 'must be', 1)}"


def _refuse_shown_secrets(file: Path, given: set[str]) -> None:
    """A file that holds a secret must not be for everyone to read (S-68)."""
    if {"encryption_key", "auth_token", *_URLS} & given and file.stat().st_mode & FOR_EVERYONE:
        raise InvalidSettings(f"{file}: holds a secret and can be read by everyone; chmod o-rwx it")
