"""What the parts around the core are set to: password hashes, PostgreSQL, traces."""

# Every pydantic model has an `Any` in the signatures that it inherits; none is written here.
# mypy: disable-error-code="explicit-any"

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from push_service.config.kinds import Section


class Argon2Settings(Section):
    """What one password hash costs, at least the OWASP minimum. Existing hashes keep the costs they were made with."""

    memory_kib: int = Field(default=19456, ge=19456, le=4 * 1024 * 1024, description="Memory of one hash, in KiB.")
    time_cost: int = Field(default=2, ge=2, le=100, description="Passes over that memory.")
    parallelism: int = Field(default=1, ge=1, le=64, description="Lanes, each its own thread while hashing.")


class PostgresSettings(Section):
    """What a process takes of a PostgreSQL server, where that is the store."""

    connections: int = Field(default=8, ge=2, le=100, description="Connections of each process.")
    statement_seconds: float = Field(
        default=1.5, ge=0.1, le=1.7, description="How long a statement may take before it is given up."
    )
    allow_asynchronous_commit: bool = Field(
        default=False,
        description="Start although synchronous_commit is off: acknowledged answers may then be lost in a crash.",
    )


class TelemetrySettings(Section):
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
