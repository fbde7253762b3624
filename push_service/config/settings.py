"""All settings, put together from their sections. Made by `loading.load`."""

# Every pydantic model has an `Any` in the signatures that it inherits; none is written here.
# mypy: disable-error-code="explicit-any"

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import msgspec
from pydantic import BeforeValidator, Field, PlainValidator, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from push_service.config.firebase import FirebaseSettings
from push_service.config.kinds import PREFIX, Endpoint, LogFormat, LogLevel, SomeNetworks, endpoint, lower
from push_service.config.parts import Argon2Settings, PostgresSettings, TelemetrySettings
from push_service.config.policy import PolicySettings
from push_service.config.showing import shown
from push_service.config.telephony import TelephonySettings
from push_service.crypto.sealing import key_from_text
from push_service.model.network import without
from push_service.model.policy import Policy
from push_service.model.web_address import origin

BETWEEN_PROCESSES: tuple[str, ...] = ("redis://", "rediss://", "redis+cluster://", "rediss+cluster://")
"""How the address of a bus begins that other processes hear."""

_POSTGRES = ("postgresql://", "postgres://")


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

    listen: Annotated[Endpoint, PlainValidator(endpoint)] = Field(
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
    trusted_proxies: SomeNetworks = Field(
        default=(),
        description="Networks (CIDR) of the reverse proxies whose X-Forwarded-For is believed.",
    )
    log_level: Annotated[LogLevel, BeforeValidator(lower)] = Field(
        default=LogLevel.INFO, description="From which weight on is logged."
    )
    log_format: Annotated[LogFormat, BeforeValidator(lower)] = Field(
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

    @model_validator(mode="after")
    def _trusted_networks_are_no_proxies(self) -> Settings:
        for each in self.policy.trusted_networks:
            if not without((each,), self.trusted_proxies):
                raise ValueError(f"{PREFIX}POLICY__TRUSTED_NETWORKS: {each} is of TRUSTED_PROXIES")
        return self

    def to_policy(self) -> Policy:
        """What the rules are given. A proxy's own address is nobody's: whoever seems to be there is not trusted."""
        policy = self.policy.to_policy()
        return msgspec.structs.replace(policy, trusted_networks=without(policy.trusted_networks, self.trusted_proxies))

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
        return shown(self, PREFIX)
