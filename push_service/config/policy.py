"""What the operator decides about sign-ins: the numbers that rules are given, as settings."""

# Every pydantic model has an `Any` in the signatures that it inherits; none is written here.
# mypy: disable-error-code="explicit-any"

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from push_service.config.kinds import DAY, OneRate, Section, SomeCountries, SomeRates, lower
from push_service.model.policy import MAX_SIGN_IN_SECONDS, Confirm, Policy

_POLICY = Policy()


class PolicySettings(Section):
    """What the operator decides about sign-ins. Times are whole seconds; a rate is `COUNT/PERIOD` with s, m, h or d."""

    confirm: Annotated[Confirm, BeforeValidator(lower)] = Field(
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
        le=DAY,
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
    wrong_codes: OneRate = Field(
        default=_POLICY.wrong_codes,
        description="How many wrong codes one person may type, for each method.",
    )
    text_seconds: int = Field(
        default=_POLICY.text_seconds,
        ge=30,
        le=600,
        description="How long a code sent by text can be typed.",
    )
    send_again_seconds: int = Field(
        default=_POLICY.send_again_seconds,
        ge=0,
        le=600,
        description="The pause before a second text or call; each further pause is twice as long, up to 15 minutes.",
    )
    call_pin_digits: int = Field(
        default=_POLICY.call_pin_digits,
        ge=0,
        le=8,
        description="Digits of the page's number to key in before # in a call; 0 asks for # alone.",
    )
    phone_countries: SomeCountries = Field(
        default=_POLICY.phone_countries,
        description="Countries whose phone numbers people may register, as ISO 3166-1 codes; none allows all.",
    )
    fraud_mute_seconds: int = Field(
        default=_POLICY.fraud_mute_seconds,
        ge=0,
        le=30 * DAY,
        description="How long a person is not asked again after reporting fraud.",
    )
    reset_grace_seconds: int = Field(
        default=_POLICY.reset_grace_seconds,
        ge=0,
        le=30 * DAY,
        description="How long after an administrator's reset an enforced account may register anew.",
    )

    @field_validator("call_pin_digits")
    @classmethod
    def _call_pin_digits(cls, value: int) -> int:
        if value == 1:
            raise ValueError("must be 0, or 2 to 8: one digit could be the 0 that reports fraud")
        return value

    def to_policy(self) -> Policy:
        """What the rules are given."""
        return Policy(**{name: getattr(self, name) for name in Policy.__struct_fields__})
