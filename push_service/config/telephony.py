"""How texts are sent and calls placed, as settings."""

# Every pydantic model has an `Any` in the signatures that it inherits; none is written here.
# mypy: disable-error-code="explicit-any"

from __future__ import annotations

import re
from typing import Annotated, assert_never

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from push_service.config.kinds import Section, SomeRates, lower
from push_service.delivery.telephony.settings import TWILIO, Language, Provider, SpendLimits, TelephonyOptions
from push_service.model.policy import Rate
from push_service.model.web_address import origin, redirect_uri

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER = re.compile(r"MG[0-9a-fA-F]{32}|[0-9]{3,8}|[A-Za-z0-9 ]{1,11}")
"""Besides numbers: a messaging service, a short code, or a name."""
HOUR, DAY = 3600, 86400


class TelephonySettings(Section):
    """Texts and calls by a telephony provider, where the account's secret is given."""

    provider: Annotated[Provider, BeforeValidator(lower)] = Field(
        default=Provider.TWILIO, description="Whose interface is spoken: Twilio's, or that of a gateway of your own."
    )
    account_sid: str | None = Field(default=None, description="The provider's account.")
    auth_token: SecretStr | None = Field(
        default=None, description="The account's secret; a gateway's shared one. Without it nothing is sent."
    )
    from_: str | None = Field(
        default=None, alias="from", description="Whom texts come from: a number, a name, or a messaging service."
    )
    call_from: str | None = Field(default=None, description="The number that calls come from. Default: FROM.")
    base_url: str | None = Field(
        default=None, description="Where requests go. Default: Twilio; of a gateway the whole address."
    )
    timeout_seconds: float = Field(default=3.0, ge=0.1, le=10.0, description="How long one request may take.")
    concurrency: int = Field(default=32, ge=1, le=1000, description="Requests of each process at once.")
    machine_detection: bool = Field(
        default=False, description="Whether the provider listens who answered a call; costs time and money."
    )
    language: Annotated[Language, BeforeValidator(lower)] = Field(
        default=Language.EN, description="What texts are written and calls spoken in."
    )
    limit_number: SomeRates = Field(
        default=(Rate(30, HOUR), Rate(100, DAY)), description="Texts and calls to one number."
    )
    limit_prefix: SomeRates = Field(
        default=(Rate(200, HOUR), Rate(1000, DAY)),
        description="Texts and calls to all numbers with the same first seven digits.",
    )
    limit_country: SomeRates = Field(
        default=(Rate(1000, HOUR), Rate(5000, DAY)), description="Texts and calls to one country."
    )
    limit_total: SomeRates = Field(
        default=(Rate(2000, HOUR), Rate(10000, DAY)), description="Texts and calls to anyone."
    )

    @field_validator("from_")
    @classmethod
    def _from(cls, value: str | None) -> str | None:
        if value is not None and not (_NUMBER.fullmatch(value) or _SENDER.fullmatch(value)):
            raise ValueError("must be a number such as +441632960123, a name, or a messaging service (MG...)")
        return value

    @field_validator("call_from")
    @classmethod
    def _call_from(cls, value: str | None) -> str | None:
        if value is not None and not _NUMBER.fullmatch(value):
            raise ValueError("must be a number such as +441632960123")
        return value

    @model_validator(mode="after")
    def _whole(self) -> TelephonySettings:
        if self.base_url is not None:
            address = redirect_uri if self.provider is Provider.WEBHOOK and self.base_url.count("/") > 2 else origin  # noqa: PLR2004 - a path
            try:
                address(self.base_url)
            except ValueError as problem:
                raise ValueError(f"BASE_URL: {problem}") from problem
        if self.auth_token is None:
            return self
        match self.provider:
            case Provider.TWILIO:
                missing = [
                    name for name, value in (("ACCOUNT_SID", self.account_sid), ("FROM", self.from_)) if not value
                ]
            case Provider.WEBHOOK:
                missing = [] if self.base_url else ["BASE_URL"]
            case _:
                assert_never(self.provider)
        if missing:
            raise ValueError(f"besides AUTH_TOKEN, {' and '.join(missing)} must be given")
        return self

    @property
    def is_set_up(self) -> bool:
        """Whether texts can be sent and calls placed."""
        return self.auth_token is not None

    def to_options(self, public_url: str, pin_digits: int) -> TelephonyOptions | None:
        """What the adapters are given; None where no provider is set up."""
        if self.auth_token is None:
            return None
        return TelephonyOptions(
            provider=self.provider,
            base_url=self.base_url or TWILIO,
            public_url=public_url,
            account_sid=self.account_sid or "",
            auth_token=self.auth_token.get_secret_value(),
            sender=self.from_ or "",
            caller=self.call_from or (self.from_ if _NUMBER.fullmatch(self.from_ or "") else None) or "",
            timeout_seconds=self.timeout_seconds,
            concurrency=self.concurrency,
            machine_detection=self.machine_detection,
            language=self.language,
            pin_digits=pin_digits,
            limits=SpendLimits(
                number=self.limit_number,
                prefix=self.limit_prefix,
                country=self.limit_country,
                total=self.limit_total,
            ),
        )
