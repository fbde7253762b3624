"""The shapes that travel: bodies read and documents written. The OpenAPI document is made from these types."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from push_service.methods import ALL
from push_service.model.account_states import Credential, Purpose
from push_service.model.challenge import Challenge, ChallengeState, DeliveryState, MethodKind
from push_service.model.errors import Fault, InvalidRequest
from push_service.model.ids import MethodId
from push_service.model.instant import rfc3339
from push_service.model.method import Methods, PromptKind
from push_service.model.sign_in import Notice, Reason, SignInState
from push_service.model.user import Method, Password, User, UserState, usable_methods
from push_service.model.view import Seen, other_methods, wire_version

Text = Annotated[str, Meta(max_length=1024)]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
Token = Annotated[str, Meta(min_length=1, max_length=256)]
Address = Annotated[str, Meta(max_length=45, extra_json_schema={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})]
Jws = Annotated[str, Meta(min_length=1, max_length=8192)]

LABELS: dict[MethodKind, str] = {
    MethodKind.APP_NOTIFICATION: "Notification from my app",
    MethodKind.APP_CODE: "Code from my app",
    MethodKind.TEXT_MOBILE: "Text code to my mobile phone",
    MethodKind.CALL_MOBILE: "Call my mobile phone",
    MethodKind.CALL_OFFICE: "Call my office phone",
    MethodKind.RECOVERY_CODE: "Recovery code from my list",
    MethodKind.BYPASS: "One-time code from my administrator",
}


class ClientBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The browser that an application asks for."""

    ip: Address | None = None
    user_agent: Text | None = None


class BeginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/sign-ins`."""

    username: Annotated[str, Meta(min_length=1, max_length=256)]
    application: Id | None = None
    password: Password | None = None
    client: ClientBody | None = None
    replaces: Token | None = None
    nonce: Annotated[str, Meta(max_length=256)] | None = None


class ClientSignInBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/client-sign-ins`."""

    username: Annotated[str, Meta(min_length=1, max_length=256)]
    password: Password
    purpose: Purpose
    client: ClientBody | None = None


class ChooseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/sign-ins/{id}/challenges`."""

    method_id: Id
    instead_of: Id | None = None


class CodeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/sign-ins/{id}/code`."""

    code: Annotated[str, Meta(min_length=6, max_length=64, pattern="^[0-9A-Za-z -]+$")]
    """Six digits; or a code from a list, as it is printed."""


class PromptWire(msgspec.Struct, frozen=True):
    """What the person does to answer.

    `number` is there while it is to be typed on the phone, or keyed in; `digits` says how many a code has that is typed
    in the page, 0 for a code from a list.
    """

    kind: PromptKind
    number: str | None = None
    digits: int | UnsetType = UNSET


class ChallengeWire(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge as the browser sees it."""

    id: str
    method_id: str
    method: MethodKind
    state: ChallengeState
    reason: Reason | None
    code: str | None
    """Why it could not be delivered, where it could not."""
    delivery: str
    prompt: PromptWire
    target: str
    expires_at: str


class MethodWire(msgspec.Struct, frozen=True, kw_only=True):
    """A registered method; its target is masked."""

    id: MethodId
    method: MethodKind
    target: str
    label: str
    primary: bool


class RegistrationWire(msgspec.Struct, frozen=True):
    """Where, and with what, whoever has nothing registered yet registers."""

    url: str
    token: str


class SignInWire(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in as its browser sees it."""

    id: str
    version: int
    state: SignInState
    reason: Reason | None
    notice: Notice | None
    application: str
    expires_at: str
    challenge: ChallengeWire | None
    methods: tuple[MethodWire, ...]
    browser_token: str | UnsetType = UNSET
    result: str | UnsetType | None = UNSET
    registration: RegistrationWire | UnsetType = UNSET


class ProofKey(msgspec.Struct, frozen=True):
    """An EC P-256 public key as JWK (RFC 7517); other members that say nothing secret are ignored."""

    kty: str
    crv: str
    x: Annotated[str, Meta(max_length=64)]
    y: Annotated[str, Meta(max_length=64)]
    d: str | UnsetType = UNSET


class ActivateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/devices`."""

    activation_code: Annotated[str, Meta(min_length=1, max_length=64)]
    jwk: ProofKey
    name: Annotated[str, Meta(min_length=1, max_length=256)]
    platform: Annotated[str, Meta(min_length=1, max_length=32, pattern="^[ -~]+$")]
    proof: Jws
    push_token: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


class UserWire(msgspec.Struct, frozen=True):
    """Whose device it is."""

    id: str
    username: str


class TotpWire(msgspec.Struct, frozen=True):
    """What the app needs for its codes (RFC 6238)."""

    secret: str
    algorithm: str = "SHA1"
    digits: int = 6
    period: int = 30


class DeviceWire(msgspec.Struct, frozen=True, kw_only=True):
    """A device as it sees itself, and as its owner sees it."""

    id: str
    name: str
    platform: str
    activated_at: str


class ChangeDeviceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PATCH /v1/device`."""

    name: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    push_token: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


class AnswerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/device/challenges/{id}/answer`."""

    answer: Jws


class OutcomeWire(msgspec.Struct, frozen=True):
    """What the answering device is told."""

    outcome: str


class ActivationWire(msgspec.Struct, frozen=True):
    """An activation code, as text and as picture."""

    code: str
    uri: str
    expires_at: str
    qr_svg: str


class NothingBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/me/devices`: there is nothing to say, and nothing else may be said."""


class PrimaryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /v1/me/primary-method`."""

    method_id: Id


class SuggestedWire(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers that the operator knows, masked: they can be enrolled without being typed."""

    mobile: str | None
    office: str | None


class AppPasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/me/app-passwords`."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]


class AppPasswordWire(msgspec.Struct, frozen=True, kw_only=True):
    """An app password as its owner sees it listed."""

    id: str
    name: str
    created_at: str
    last_used_at: str | None
    """To within some minutes."""
    last_used_from: str | None


class AppPasswordListWire(msgspec.Struct, frozen=True):
    """A person's app passwords, oldest first."""

    app_passwords: tuple[AppPasswordWire, ...]


class MadeAppPasswordWire(msgspec.Struct, frozen=True, kw_only=True):
    """A new app password: the only answer with its letters in it."""

    id: str
    name: str
    created_at: str
    password: str


class ClientSignInWire(msgspec.Struct, frozen=True, kw_only=True):
    """A client is let in; `name` is the app password's, if it showed one."""

    allowed: bool
    """Always true: whoever is not let in is refused with a problem document."""
    user: UserWire
    credential: Credential
    name: str | UnsetType = UNSET


class MeWire(msgspec.Struct, frozen=True, kw_only=True):
    """A person's own settings."""

    id: str
    username: str
    state: UserState
    methods: tuple[MethodWire, ...]
    devices: tuple[DeviceWire, ...]
    suggested: SuggestedWire


def checked_address(client: ClientBody | None) -> str | None:
    """The browser's address, in its one form. Raises InvalidRequest."""
    if client is None or client.ip is None:
        return None
    try:
        parsed = ipaddress.ip_address(client.ip)
    except ValueError:
        fault = Fault("/client/ip", "is not an IP address")
        raise InvalidRequest("/client/ip is not an IP address.", faults=(fault,)) from None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def method_wire(method: Method, primary: MethodId | None) -> MethodWire:
    """A method as listed."""
    return MethodWire(
        id=method.id,
        method=method.kind,
        target=method.target,
        label=LABELS[method.kind],
        primary=method.id == primary,
    )


def own_methods(user: User, methods: Methods) -> tuple[MethodWire, ...]:
    """All methods that a person can verify by, as they see them."""
    return tuple(method_wire(each, user.guard.primary) for each in usable_methods(user.guard, methods))


def challenge_wire(challenge: Challenge, delivery: DeliveryState, expires_at: str) -> ChallengeWire:
    """A challenge as shown."""
    return ChallengeWire(
        id=challenge.id,
        method_id=challenge.method_id,
        method=challenge.kind,
        state=challenge.state,
        reason=challenge.reason,
        code=challenge.code,
        delivery=_DELIVERY[delivery],
        prompt=prompt_wire(challenge),
        target=challenge.target,
        expires_at=expires_at,
    )


def prompt_wire(challenge: Challenge) -> PromptWire:
    """What is to be done to answer. A code that is typed in the page is never told to the page."""
    kind = ALL[challenge.kind].prompt
    if kind is PromptKind.ENTER_CODE:
        return PromptWire(kind, digits=challenge.digits)
    return PromptWire(kind, challenge.secret if challenge.state is ChallengeState.PENDING else None)


def sign_in_wire(
    seen: Seen,
    application: str,
    methods: Methods,
    *,
    browser_token: str | UnsetType = UNSET,
    result: str | UnsetType | None = UNSET,
    registration: RegistrationWire | UnsetType = UNSET,
) -> SignInWire:
    """A sign-in as shown."""
    sign_in = seen.sign_in
    expires_at = rfc3339(sign_in.expires_at)
    primary = seen.user.guard.primary
    return SignInWire(
        id=sign_in.id,
        version=wire_version(seen),
        state=sign_in.state,
        reason=sign_in.reason,
        notice=sign_in.notice,
        application=application,
        expires_at=expires_at,
        challenge=challenge_wire(seen.challenge, seen.delivery, expires_at) if seen.challenge else None,
        methods=tuple(method_wire(each, primary) for each in other_methods(seen, methods)),
        browser_token=browser_token,
        result=result,
        registration=registration,
    )


_DELIVERY = {each: each.name.lower() for each in DeliveryState}
