"""How texts are sent and calls placed, as settings."""

# Every pydantic model has an `Any` in the signatures that it inherits; none is written here.
# mypy: disable-error-code="explicit-any"

from __future__ import annotations

from pydantic import Field, SecretStr

from push_service.config.kinds import Section


class TelephonySettings(Section):
    """Texts and calls by a telephony provider. Accepted already; no method uses it yet."""

    account_sid: str | None = Field(default=None, description="The provider's account. Not used yet.")
    auth_token: SecretStr | None = Field(default=None, description="The account's secret. Not used yet.")
    from_: str | None = Field(
        default=None, alias="from", description="The number that texts and calls come from. Not used yet."
    )
    base_url: str | None = Field(default=None, description="Another address than the provider's. Not used yet.")

    @property
    def is_set_up(self) -> bool:
        """Whether texts can be sent and calls placed."""
        return self.account_sid is not None
