"""How single values are read: rates, networks, endpoints. Used by the sections and by the settings themselves."""

# Every pydantic model has an `Any` in the signatures that it inherits; none is written here.
# mypy: disable-error-code="explicit-any"

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainValidator

from push_service.model.phone_number import all_countries
from push_service.model.policy import Rate

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

PREFIX = "PUSH_SERVICE_"
FOR_EVERYONE = 0o007
"""Rights that nobody but owner and group should have to a file that holds a secret."""
DAY = 86400
_LARGEST_PORT = 65535


class InvalidSettings(Exception):
    """The settings can't be used. `faults` has a line for each thing that is wrong, beginning with its name."""

    def __init__(self, *faults: str) -> None:
        """Name the faults."""
        super().__init__("\n".join(faults))
        self.faults = faults


class LogLevel(StrEnum):
    """From which weight on something is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line is written."""

    JSON = "json"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port to listen on; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """The form that the setting has: `host:port`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint(value: object) -> Endpoint:
    """Read `host:port`. Raises ValueError."""
    if isinstance(value, Endpoint):
        return value
    host, colon, port = str(value).strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    fits = colon and host and port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT
    if not fits or bracketed != (":" in host):
        raise ValueError("must be host:port, such as 127.0.0.1:8400 or [::1]:8400")
    return Endpoint(host=host.strip("[]"), port=int(port))


def items(value: object) -> object:
    """A list as the environment has it, comma-separated; a file may have a real one."""
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


def _rate(value: object) -> Rate:
    if isinstance(value, Rate):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a rate such as 30/5m")  # noqa: TRY004 - pydantic collects ValueError only
    return Rate.parse(value)


def _rates(value: object) -> tuple[Rate, ...]:
    found = items(value)
    rates = tuple(_rate(each) for each in found) if isinstance(found, list | tuple) else ()
    if not rates:
        raise ValueError("must be one or more rates such as 5/5m,10/1d")
    return rates


def networks(value: object) -> Networks:
    """Read networks, a list or comma-separated. Raises ValueError."""
    found = items(value)
    if not isinstance(found, list | tuple):
        raise ValueError("must be networks such as 10.0.0.0/8,fd00::/8")  # noqa: TRY004
    return tuple(ipaddress.ip_network(each) for each in found)


def _countries(value: object) -> tuple[str, ...]:
    found = items(value)
    codes = tuple(str(each).upper() for each in found) if isinstance(found, list | tuple) else ("",)
    if set(codes) - all_countries():
        raise ValueError("must be ISO 3166-1 codes of countries such as CH,DE")
    return codes


def lower(value: object) -> object:
    """A word of a closed set, however it is spelt."""
    return value.strip().lower() if isinstance(value, str) else value


OneRate = Annotated[Rate, PlainValidator(_rate)]
SomeRates = Annotated[tuple[Rate, ...], PlainValidator(_rates)]
SomeCountries = Annotated[tuple[str, ...], PlainValidator(_countries)]
SomeNetworks = Annotated[Networks, PlainValidator(networks)]


class Section(BaseModel):
    """A group of settings: a table of the file, `PREFIX_TABLE__NAME` in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")
