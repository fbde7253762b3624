"""Every setting: typed, described, checked before anything starts.

Settings come from a TOML file (`--config FILE`, or PUSH_SERVICE_CONFIG) and from the environment (`PUSH_SERVICE_...`,
nested with `__`); the environment wins. Loading changes nothing on the disk; `make_data_dir` does, at a start. Called
by the command line, which hands the result to the composition root.
"""

# Every pydantic model has an `Any` in the signatures that it inherits; none is written here.
# mypy: disable-error-code="explicit-any"

from __future__ import annotations

import ipaddress
import os
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from push_service.crypto.sealing import key_from_text
from push_service.delivery.firebase.settings import GOOGLE, FirebaseOptions
from push_service.model.policy import MAX_SIGN_IN_SECONDS, Confirm, Policy, Rate
from push_service.model.web_address import origin

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

PREFIX = "PUSH_SERVICE_"
BETWEEN_PROCESSES: tuple[str, ...] = ("redis://", "rediss://", "redis+cluster://", "rediss+cluster://")
"""How the address of a bus begins that other processes hear."""
_MASK = "********"
_URLS = frozenset({"bus_url", "database_url"})
"""Settings that are secret where they hold a password."""

_POSTGRES = ("postgresql://", "postgres://")
_LARGEST_PORT = 65535
_FOR_EVERYONE = 0o007
_FOR_OTHERS = 0o077
_DAY = 86400


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


def _endpoint(value: object) -> Endpoint:
    if isinstance(value, Endpoint):
        return value
    host, colon, port = str(value).strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    fits = colon and host and port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT
    if not fits or bracketed != (":" in host):
        raise ValueError("must be host:port, such as 127.0.0.1:8400 or [::1]:8400")
    return Endpoint(host=host.strip("[]"), port=int(port))


def _items(value: object) -> object:
    """A list as the environment has it, comma-separated; a file may have a real one."""
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


def _rate(value: object) -> Rate:
    if isinstance(value, Rate):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a rate such as 30/5m")  # noqa: TRY004 - pydantic collects ValueError only
    return Rate.parse(value)


def _rates(value: object) -> tuple[Rate, ...]:
    items = _items(value)
    rates = tuple(_rate(each) for each in items) if isinstance(items, list | tuple) else ()
    if not rates:
        raise ValueError("must be one or more rates such as 5/5m,10/1d")
    return rates


def _networks(value: object) -> Networks:
    items = _items(value)
    if not isinstance(items, list | tuple):
        raise ValueError("must be networks such as 10.0.0.0/8,fd00::/8")  # noqa: TRY004
    return tuple(ipaddress.ip_network(each) for each in items)


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _default_data_dir() -> Path:
    """Where a person's programs keep their data (XDG Base Directory): the same wherever a command is started."""
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "push-service"


def _beside_event_loops(workers: int) -> int:
    """Hashes leave a processor to everything else, or those who wait for an answer would wait for hashes, too."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(256, max(1, (processors - 1) // workers))


def postgres_url(value: str) -> str:
    """The address of a PostgreSQL database, as it is. Raises ValueError for anything else."""
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if not value.startswith(_POSTGRES):
        raise ValueError("must be postgresql://USER@HOST/DATABASE")
    if not parts.path.strip("/"):
        raise ValueError("must name a database: postgresql://USER@HOST/DATABASE")
    if "password" in parse_qs(parts.query):
        raise ValueError("must have its password before the host, where it is known to be one")
    return value


OneRate = Annotated[Rate, PlainValidator(_rate)]
SomeRates = Annotated[tuple[Rate, ...], PlainValidator(_rates)]

_POLICY = Policy()


class _Section(BaseModel):
    """A group of settings: a table of the file, `PREFIX_TABLE__NAME` in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PolicySettings(_Section):
    """What the operator decides about sign-ins. Times are whole seconds; a rate is `COUNT/PERIOD` with s, m, h or d."""

    confirm: Annotated[Confirm, BeforeValidator(_lower)] = Field(
        default=_POLICY.confirm,
        description="How a sign-in is confirmed on the phone: by typing the browser's number, or by a tap.",
    )
    number_digits: int = Field(
        default=_POLICY.number_digits,
        ge=2,
        le=8,
        description="Digits of the number to type; 6 meets NIST SP 800-63B-4.",
    )
    sign_in_seconds: int = Field(
        default=_POLICY.sign_in_seconds,
        ge=1,
        le=MAX_SIGN_IN_SECONDS,
        description="How long a sign-in waits for its answer.",
    )
    registration_seconds: int = Field(
        default=_POLICY.registration_seconds,
        ge=1,
        le=MAX_SIGN_IN_SECONDS,
        description="How long a first sign-in waits for the person to register.",
    )
    activation_seconds: int = Field(
        default=_POLICY.activation_seconds,
        ge=1,
        le=_DAY,
        description="How long an activation code can be used.",
    )
    pending_per_person: int = Field(
        default=_POLICY.pending_per_person,
        ge=1,
        le=20,
        description="How many sign-ins of one person may wait at once.",
    )
    begins_per_person: OneRate = Field(
        default=_POLICY.begins_per_person,
        description="How often sign-ins of one person may be begun, after a right password.",
    )
    begins_per_address: OneRate = Field(
        default=_POLICY.begins_per_address,
        description="How often sign-ins may be begun from one address.",
    )
    prompts_unanswered: SomeRates = Field(
        default=_POLICY.prompts_unanswered,
        description="How often a person may be asked since the last success; several rates, all of which hold.",
    )
    wrong_passwords: OneRate = Field(
        default=_POLICY.wrong_passwords,
        description="How many wrong passwords one person may give from one address.",
    )
    wrong_numbers: OneRate = Field(
        default=_POLICY.wrong_numbers,
        description="How many wrong numbers one person may type.",
    )
    fraud_mute_seconds: int = Field(
        default=_POLICY.fraud_mute_seconds,
        ge=0,
        le=30 * _DAY,
        description="How long a person is not asked again after reporting fraud.",
    )
    reset_grace_seconds: int = Field(
        default=_POLICY.reset_grace_seconds,
        ge=0,
        le=30 * _DAY,
        description="How long after an administrator's reset an enforced account may register anew.",
    )

    def to_policy(self) -> Policy:
        """What the rules are given."""
        return Policy(**{name: getattr(self, name) for name in Policy.__struct_fields__})


class Argon2Settings(_Section):
    """What one password hash costs, at least the OWASP minimum. Existing hashes keep the costs they were made with."""

    memory_kib: int = Field(default=19456, ge=19456, le=4 * 1024 * 1024, description="Memory of one hash, in KiB.")
    time_cost: int = Field(default=2, ge=2, le=100, description="Passes over that memory.")
    parallelism: int = Field(default=1, ge=1, le=64, description="Lanes, each its own thread while hashing.")


class PostgresSettings(_Section):
    """What a process takes of a PostgreSQL server, where that is the store."""

    connections: int = Field(default=8, ge=2, le=100, description="Connections of each process.")
    statement_seconds: float = Field(
        default=1.5, ge=0.1, le=1.7, description="How long a statement may take before it is given up."
    )
    allow_asynchronous_commit: bool = Field(
        default=False,
        description="Start although synchronous_commit is off: acknowledged answers may then be lost in a crash.",
    )


class FirebaseSettings(_Section):
    """Wake-ups by Firebase Cloud Messaging, where credentials are given."""

    credentials: Path | None = Field(
        default=None, description="Service-account JSON file. Without it no phone is woken: it connects, or asks."
    )
    base_url: str = Field(default=GOOGLE, description="Where messages are sent; another than Google's for trials.")
    timeout_seconds: float = Field(
        default=3.0, ge=0.1, le=10.0, description="How long one call may take, the wait for an access token included."
    )
    concurrency: int = Field(default=64, ge=1, le=1000, description="Prompts that each process sends for at once.")
    waiting: int = Field(
        default=1000,
        ge=0,
        le=100_000,
        description="Prompts that may wait for their turn; beyond that they wait in the store.",
    )
    token_days: int = Field(
        default=270, ge=1, le=3650, description="After so long without a word from its phone a push token is deleted."
    )

    @field_validator("credentials")
    @classmethod
    def _credentials(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        path = value.expanduser().absolute()
        if path.exists() and path.stat().st_mode & _FOR_EVERYONE:
            raise ValueError(f"{path} holds a secret and can be read by everyone; chmod o-rwx it")
        return path

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        return origin(value)

    def to_options(self) -> FirebaseOptions | None:
        """What the bridge is given; None where Firebase is not set up."""
        if self.credentials is None:
            return None
        return FirebaseOptions(
            credentials=self.credentials,
            base_url=self.base_url,
            timeout_seconds=self.timeout_seconds,
            concurrency=self.concurrency,
            waiting=self.waiting,
        )


class TelephonySettings(_Section):
    """Texts and calls by a telephony provider. Accepted already; no method uses it yet."""

    account_sid: str | None = Field(default=None, description="The provider's account. Not used yet.")
    auth_token: SecretStr | None = Field(default=None, description="The account's secret. Not used yet.")
    from_: str | None = Field(
        default=None, alias="from", description="The number that texts and calls come from. Not used yet."
    )
    base_url: str | None = Field(default=None, description="Another address than the provider's. Not used yet.")


class TelemetrySettings(_Section):
    """Traces by OpenTelemetry, for whoever collects them."""

    traces_endpoint: str | None = Field(
        default=None,
        description="Where traces go, by OTLP over HTTP: http://collector:4318/v1/traces. Default: nowhere.",
    )
    traces_share: float = Field(default=1.0, ge=0.0, le=1.0, description="The share of sign-ins that are traced.")

    @field_validator("traces_endpoint")
    @classmethod
    def _traces_endpoint(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
            raise ValueError("must be a URL such as http://localhost:4318/v1/traces")
        return value


class Settings(BaseSettings):
    """All settings of the service, checked. Made by `load`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        enable_decoding=False,
        extra="forbid",
        frozen=True,
    )

    listen: Annotated[Endpoint, PlainValidator(_endpoint)] = Field(
        default=Endpoint(host="127.0.0.1", port=8400),
        description="Where to listen, host:port. Port 0 takes a free one.",
    )
    public_url: str | None = Field(
        default=None,
        description="The address that browsers and phones use, without path. Default: http://localhost:PORT of LISTEN.",
    )
    data_dir: Path = Field(
        default_factory=_default_data_dir,
        validate_default=True,
        description="Where database and keys are kept; made with mode 0700, refused if others can read it.",
    )
    database_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['data_dir']}/push-service.db",
        validate_default=True,
        repr=False,  # it may hold a password
        description="The store: sqlite:///PATH, a relative path inside DATA_DIR; or postgresql://USER@HOST/DATABASE.",
    )
    bus_url: str = Field(
        default="local:",
        description="The bell between processes: local: for one, redis://, rediss:// or redis+cluster:// for many.",
    )
    workers: int = Field(default=1, ge=1, le=256, description="Server processes. More than one needs a redis:// bus.")
    drain_seconds: int = Field(
        default=0,
        ge=0,
        le=300,
        description="How long, told to end, it goes on serving while it says that it is not ready.",
    )
    trusted_proxies: Annotated[Networks, PlainValidator(_networks)] = Field(
        default=(),
        description="Networks (CIDR) of the reverse proxies whose X-Forwarded-For is believed.",
    )
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        default=LogLevel.INFO, description="From which weight on is logged."
    )
    log_format: Annotated[LogFormat, BeforeValidator(_lower)] = Field(
        default=LogFormat.JSON, description="One JSON object a line, or text for a terminal."
    )
    encryption_key_file: Path | None = Field(
        default=None,
        description="File with the key that secrets are sealed by. Default: secret.key in DATA_DIR, made at first use.",
    )
    encryption_key: SecretStr | None = Field(
        default=None, description="The key itself instead of a file: 32 bytes in base64url."
    )
    password_hash_concurrency: int = Field(
        default_factory=lambda data: _beside_event_loops(data.get("workers", 1)),
        ge=1,
        le=256,
        description="Passwords hashed at once by each process. Default: all processors but one, shared among WORKERS.",
    )
    password_hash_waiting: int = Field(
        default=64,
        ge=0,
        le=100_000,
        description="Passwords that may wait for their turn; the next is told to come again.",
    )
    postgres: PostgresSettings = Field(default=PostgresSettings(), description="What a process takes of PostgreSQL.")
    argon2: Argon2Settings = Field(default=Argon2Settings(), description="What one password hash costs.")
    policy: PolicySettings = Field(default=PolicySettings(), description="What the operator decides about sign-ins.")
    firebase: FirebaseSettings = Field(default=FirebaseSettings(), description="Wake-ups by Firebase.")
    telephony: TelephonySettings = Field(default=TelephonySettings(), description="Texts and calls.")
    telemetry: TelemetrySettings = Field(default=TelemetrySettings(), description="Traces.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class names the parameters
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose values `load` passes as arguments. Nothing else is read."""
        return env_settings, init_settings

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        return None if value is None else origin(value)

    @field_validator("data_dir", "encryption_key_file")
    @classmethod
    def _absolute_path(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: str) -> str:
        if value.startswith(_POSTGRES):
            return postgres_url(value)
        path = value.removeprefix("sqlite:///")
        if path == value or not path.strip("/"):
            raise ValueError("must be sqlite:///PATH or postgresql://USER@HOST/DATABASE")
        if path.startswith(":memory:") or set(path) & set("?#"):
            raise ValueError("must be sqlite:///PATH of a plain file: commands and server share it")
        return value

    @field_validator("bus_url")
    @classmethod
    def _bus_url(cls, value: str) -> str:
        if value != "local:":
            from push_service.bus.redis.address import parse  # noqa: PLC0415 - most commands start without Redis

            parse(value)
        return value

    @field_validator("workers")
    @classmethod
    def _several_hear_one_another(cls, value: int, others: ValidationInfo) -> int:
        bus = others.data.get("bus_url")  # absent where it is wrong itself, which is told then
        if value > 1 and bus is not None and not bus.startswith(BETWEEN_PROCESSES):
            raise ValueError(f"more than one needs a bus between processes: {PREFIX}BUS_URL=redis://...")
        return value

    @field_validator("encryption_key")
    @classmethod
    def _encryption_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            key_from_text(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _one_key(self) -> Settings:
        if self.encryption_key is not None and self.encryption_key_file is not None:
            raise ValueError(f"{PREFIX}ENCRYPTION_KEY: give the key or ENCRYPTION_KEY_FILE, not both")
        return self

    @property
    def on_postgres(self) -> bool:
        """Whether PostgreSQL is the store."""
        return self.database_url.startswith(_POSTGRES)

    @property
    def database_file(self) -> Path:
        """The file of the SQLite store."""
        return self.data_dir / self.database_url.removeprefix("sqlite:///")

    @property
    def key_file(self) -> Path:
        """The file that the encryption key is read from, or made in, unless `key` is given."""
        return self.encryption_key_file or self.data_dir / "secret.key"

    @property
    def key(self) -> bytes | None:
        """The encryption key, if it was given itself rather than in a file."""
        return None if self.encryption_key is None else key_from_text(self.encryption_key.get_secret_value())

    def shown(self) -> dict[str, str]:
        """The effective value of each setting by environment name, in order; secrets masked, what is unset empty."""
        return _shown(self, PREFIX)


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
    return tuple(_names(Settings, PREFIX))


def unread_names() -> tuple[str, ...]:
    """Variables that look like settings but are none: mostly slips of the pen, which would otherwise go unnoticed.

    They are told, not refused: container platforms put variables of their own under a service's name.
    """
    known = {*names(), f"{PREFIX}CONFIG"}
    return tuple(sorted(name for name in os.environ if name.startswith(PREFIX) and name.upper() not in known))


def _names(section: type[BaseModel], prefix: str) -> list[str]:
    found: list[str] = []
    for name, field in section.model_fields.items():
        full = f"{prefix}{field.alias or name}".upper()
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, _Section):
            found += _names(inner, f"{full}__")
        else:
            found.append(full)
    return found


def _shown(section: BaseModel, prefix: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, field in type(section).model_fields.items():
        full, value = f"{prefix}{field.alias or name}".upper(), getattr(section, name)
        if isinstance(value, _Section):
            values |= _shown(value, f"{full}__")
        else:
            values[full] = _text(value)
    return values


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return _MASK
        case tuple():
            return ",".join(str(each) for each in value)
        case str() if "://" in value and (password := urlsplit(value).password):
            return value.replace(f":{password}@", f":{_MASK}@")
        case _:
            return str(value)


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
    if {"encryption_key", "auth_token", *_URLS} & given and file.stat().st_mode & _FOR_EVERYONE:
        raise InvalidSettings(f"{file}: holds a secret and can be read by everyone; chmod o-rwx it")
