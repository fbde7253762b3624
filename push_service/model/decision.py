"""What a rule decides: the reply, and everything that is to be written with it in one transaction.

A rule is `(Snapshot, now) → Decision`. It may run more than once; only the run whose changes were committed is told to
anyone.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from push_service.model.app_password import AppPassword
from push_service.model.challenge import Challenge, Delivery
from push_service.model.device import Device, UsedActivation
from push_service.model.errors import ServiceError
from push_service.model.ids import AppPasswordId, DeviceId, MethodId, SignInId, UserId
from push_service.model.instant import Instant
from push_service.model.message import Message
from push_service.model.sign_in import SignIn
from push_service.model.user import Snapshot, User

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class AuditKind(StrEnum):
    """Subject and action of a record, `subject.action`."""

    SIGN_IN_BEGUN = "sign_in.begun"
    SIGN_IN_ASKED = "sign_in.asked"
    SIGN_IN_OUTCOME = "sign_in.outcome"
    SIGN_IN_REFUSED = "sign_in.refused"
    CHALLENGE_UNDELIVERED = "challenge.undelivered"
    ANSWER_REFUSED = "answer.refused"
    SECOND_STEP_LEFT_OUT = "sign_in.second_step_left_out"
    FRAUD_REPORTED = "fraud.reported"
    ACTIVATION_ISSUED = "activation.issued"
    ACTIVATION_REFUSED = "activation.refused"
    DEVICE_ADDED = "device.added"
    DEVICE_CHANGED = "device.changed"
    DEVICE_REMOVED = "device.removed"
    DEVICE_REFUSED = "device.refused"
    PUSH_TOKEN_RETIRED = "push_token.retired"  # noqa: S105 - a kind of record
    ENROLMENT_BEGUN = "enrolment.begun"
    ENROLMENT_REFUSED = "enrolment.refused"
    METHOD_ADDED = "method.added"
    METHOD_REMOVED = "method.removed"
    PRIMARY_CHANGED = "method.primary_changed"
    METHOD_DISABLED = "method.disabled"
    METHODS_RESET = "method.all_reset"
    WEBHOOK_REFUSED = "webhook.refused"
    APP_PASSWORD_ADDED = "app_password.added"  # noqa: S105 - a kind of record
    APP_PASSWORD_REMOVED = "app_password.removed"  # noqa: S105 - a kind of record
    APP_PASSWORD_REFUSED = "app_password.refused"  # noqa: S105 - a kind of record
    CLIENT_REFUSED = "client.refused"
    BROWSER_REMEMBERED = "browser.remembered"
    BROWSER_REFUSED = "browser.refused"
    BROWSER_COPIED = "browser.copied"
    BROWSERS_FORGOTTEN = "browser.all_forgotten"
    RECOVERY_CODES_ISSUED = "recovery_codes.issued"
    BYPASS_ISSUED = "bypass.issued"
    BYPASS_REFUSED = "bypass.refused"
    USER_ADDED = "user.added"
    USER_CHANGED = "user.changed"
    USER_REMOVED = "user.removed"
    APPLICATION_ADDED = "application.added"
    APPLICATION_CHANGED = "application.changed"
    APPLICATION_REMOVED = "application.removed"
    KEY_ROTATED = "key.rotated"


class Actor(StrEnum):
    """Who brought it about."""

    BROWSER = "browser"
    APPLICATION = "application"
    DEVICE = "device"
    PHONE = "phone"
    """A telephone, by the provider's word."""
    OPERATOR = "operator"
    TIME = "time"


class Audit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record of who did what, from where, to which sign-in, with which result. Never a secret."""

    kind: AuditKind
    actor: Actor
    user_id: UserId | None = None
    sign_in_id: SignInId | None = None
    code: str | None = None
    """The result: an error code, a state, or a reason."""
    source: str | None = None
    """An address, a device id or an application id."""
    data: dict[str, str] = {}


class Remembered(msgspec.Struct, frozen=True):
    """The answer kept for an `Idempotency-Key`: sealed, with a keyed hash of the body that it belongs to."""

    caller: str
    route: str
    key_hash: str
    body_mac: str
    answer: bytes
    until: Instant


class MethodSecret(msgspec.Struct, frozen=True):
    """What a method needs that nobody else may read: a phone's number, or an authenticator app's secret (base32).

    It never changes; it goes with its method.
    """

    method_id: MethodId
    value: str
    """Sealed in the store."""


class Decision(msgspec.Struct, Generic[R_co], frozen=True, kw_only=True):
    """A reply with its changes. Rows are whole rows: new ones are inserted, known ones replaced.

    A sign-in of version 1 is new, and so is a challenge that has not ended: a decision that makes one does not also
    move it on.
    """

    reply: R_co
    user: User | None = None
    """The user with what changed (guard, state, password, …); None keeps the row but for its version."""
    sign_ins: tuple[SignIn, ...] = ()
    challenges: tuple[Challenge, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    messages: tuple[Message, ...] = ()
    method_secrets: tuple[MethodSecret, ...] = ()
    removed_methods: tuple[MethodId, ...] = ()
    """Methods and enrolments that are gone, and with them their secrets and every result of a sign-in that they
    approved."""
    app_password: AppPassword | None = None
    removed_app_passwords: tuple[AppPasswordId, ...] = ()
    device: Device | None = None
    removed_devices: tuple[DeviceId, ...] = ()
    """Devices that are gone, and with them every result of a sign-in that they approved."""
    within: SignInId | None = None
    """The settings session in which this is done: removing what approved it doesn't close it."""
    activation: UsedActivation | None = None
    withhold_results_since: Instant | None = None
    """Take back the results of sign-ins approved since then."""
    remove_user: bool = False
    devices_know: bool = False
    """The only device concerned is the one that caused this: there is nobody to ring."""
    audit: tuple[Audit, ...] = ()
    remembered: Remembered | None = None
    refusal: ServiceError | None = None
    """Raised to whoever asked, in place of the reply, once the changes are committed."""
    until: Instant | None = None
    """The decision may only be committed before this instant of the store's clock."""

    @property
    def changes(self) -> bool:
        """Whether anything is to be written."""
        rows = self.sign_ins or self.challenges or self.deliveries or self.messages or self.audit
        secrets = self.method_secrets or self.removed_methods or self.app_password or self.removed_app_passwords
        besides = self.device or self.removed_devices or self.activation or self.remembered
        withheld = self.withhold_results_since is not None
        return bool(self.user or self.remove_user or rows or secrets or besides or withheld)


Rule = Callable[[Snapshot, Instant], Decision[R]]
