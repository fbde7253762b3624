"""How phones are woken, as settings."""

# Every pydantic model has an `Any` in the signatures that it inherits; none is written here.
# mypy: disable-error-code="explicit-any"

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from push_service.config.kinds import FOR_EVERYONE, Section
from push_service.delivery.firebase.settings import GOOGLE, FirebaseOptions
from push_service.model.web_address import origin


class FirebaseSettings(Section):
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
        if path.exists() and path.stat().st_mode & FOR_EVERYONE:
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
