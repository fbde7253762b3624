"""A person, and everything about them that must be exact under concurrency.

The user's row carries the version that every decision compares and swaps. What rules count or require one of (methods,
failures, prompts, the open activation) lives beside it in `Guard`, one typed value that is read and written whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from push_service.model.challenge import Challenge, MethodKind
from push_service.model.errors import InvalidRequest
from push_service.model.ids import AppPasswordId, BrowserId, ChallengeId, DeviceId, MethodId, SignInId, UserId
from push_service.model.instant import Instant
from push_service.model.sign_in import Reason, SignIn

MAX_USERNAME = 256

_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Letters and marks that nothing is seen of (Unicode, Default_Ignorable_Code_Point), and the blank Braille cell."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""General categories of what can't be seen."""


class UserState(StrEnum):
    """What a sign-in asks of the account: see docs/security.md, account states."""

    DISABLED = "disabled"
    ENABLED = "enabled"
    ENFORCED = "enforced"


class Method(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One registered, confirmed way to verify."""

    id: MethodId
    kind: MethodKind
    target: str
    """Masked, for people: a device's name, or a number's last digits."""
    device_id: DeviceId | None = None
    twin: MethodId | None = None
    """The other method by the same phone: a mobile one takes texts and calls."""
    disabled: bool = False
    """Off after too many failures in a row, until registered anew."""


class EnrolledDevice(msgspec.Struct, frozen=True):
    """A device as the rules see it: which key it answers with."""

    id: DeviceId
    thumbprint: str
    name: str


class Failures(msgspec.Struct, frozen=True, omit_defaults=True):
    """Wrong tries of one method: how many in a row, and when the latest were."""

    in_a_row: int = 0
    at: tuple[Instant, ...] = ()


class Activation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one activation code that is open. A newer one takes its place."""

    code_hash: str
    expires_at: Instant
    sign_in_id: SignInId | None = None
    """The sign-in in `registration_required` that it serves; the code dies with it."""


class PhoneKind(StrEnum):
    """Which of a person's phones."""

    MOBILE = "mobile"
    OFFICE = "office"


class Enrolment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A phone or an authenticator app on its way to becoming a method: it must be used once before."""

    id: MethodId
    """What its method will be called; also where its number or secret is kept."""
    kind: MethodKind
    """By which it is confirmed."""
    twin: MethodId | None = None
    """A mobile phone's other method, which is confirmed along."""
    target: str
    expires_at: Instant
    sign_in_id: SignInId
    """The settings session in which it was begun, or the sign-in that waits for the registration."""
    registering: bool = False
    """The latter, with which it dies."""
    challenge_id: ChallengeId
    """The question by which it is confirmed."""
    undelivered: Reason | None = None
    """Why its text or call did not reach the phone."""


class TotpUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of an authenticator app: the latest step used, and by how many its clock is off."""

    step: int
    drift: int = 0


class AppPasswordKey(msgspec.Struct, frozen=True):
    """An app password that opens: its id and name, and the keyed hash that it is found by."""

    id: AppPasswordId
    mac: str
    name: str
    """Also where it is listed; here, so that a use is answered by one read."""


class Bypass(msgspec.Struct, frozen=True, kw_only=True):
    """A one-time bypass that an administrator issued."""

    id: MethodId
    mac: str
    expires_at: Instant


class RememberedBrowser(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A browser that may skip the second step for a while. Its token changes with every use."""

    id: BrowserId
    token_hash: str
    former_hash: str | None = None
    """Of the token before: who comes with it has a copy."""
    label: str
    expires_at: Instant


class Guard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the rules count. Every field's default means "nothing yet"."""

    methods: tuple[Method, ...] = ()
    primary: MethodId | None = None
    devices: tuple[EnrolledDevice, ...] = ()
    activation: Activation | None = None
    failures: dict[MethodKind, Failures] = {}
    prompts: tuple[Instant, ...] = ()
    """When the person was asked since the last success."""
    muted_until: Instant = Instant(0)
    begins_tat: Instant = Instant(0)
    """Counter of begins with the right password (see throttle.spend)."""
    blocked: bool = False
    sent: dict[MethodKind, tuple[Instant, ...]] = {}
    """When texts were sent and calls placed lately, since the last success."""
    told: tuple[Instant, ...] = ()
    """When notices were sent."""
    enrolments: tuple[Enrolment, ...] = ()
    totp: dict[MethodId, TotpUse] = {}
    app_passwords: tuple[AppPasswordKey, ...] = ()
    recovery: tuple[str, ...] = ()
    """Keyed hashes of the recovery codes that are left."""
    bypass: Bypass | None = None
    browsers: tuple[RememberedBrowser, ...] = ()
    ever_registered: bool = False
    reset_at: Instant | None = None
    """When an administrator last reset the methods."""

    def remembering(self, method_id: MethodId, use: TotpUse) -> Guard:
        """The guard, with the latest step used of an authenticator app."""
        return msgspec.structs.replace(self, totp={**self.totp, method_id: use})


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user's row."""

    id: UserId
    name_key: str
    username: str
    password_hash: str | None
    """None: this person is only ever vouched for."""
    state: UserState
    admin: bool
    version: int
    guard: Guard
    mobile: str | None = None
    """E.164; sealed in the store."""
    office: str | None = None
    """E.164, with `;ext=N` where there is an extension (RFC 3966); sealed in the store."""


class Pending(msgspec.Struct, frozen=True):
    """A live sign-in with its present challenge, if it has one."""

    sign_in: SignIn
    challenge: Challenge | None


class Snapshot(msgspec.Struct, frozen=True):
    """What a rule reads: the user and their live sign-ins, as of one moment."""

    user: User
    live: tuple[Pending, ...]


def usable_methods(guard: Guard, offered: Mapping[MethodKind, object]) -> tuple[Method, ...]:
    """The methods that a sign-in can be verified by now: registered, not switched off, and offered by this service."""
    return tuple(method for method in guard.methods if method.kind in offered and not method.disabled)


def primary_method(guard: Guard, usable: tuple[Method, ...]) -> Method | None:
    """The method that is asked first: the chosen one, else the first usable."""
    return next((method for method in usable if method.id == guard.primary), usable[0] if usable else None)


def name_key(username: str) -> str:
    """The one form in which a name is compared: NFKC, case folded (RFC 8265, UsernameCaseMapped, in substance).

    Raises InvalidRequest for names that are empty, too long, or hold what can't be seen: control and format characters,
    spaces other than single inner ones, unassigned or private code points.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())
    hidden = _BLANK.search(folded) or any(unicodedata.category(char) in _HIDDEN for char in folded)
    if hidden or not folded or len(username) > MAX_USERNAME or folded != " ".join(folded.split()):
        raise InvalidRequest("The username is empty, too long, or holds characters that can't be seen.")
    return folded


def registrable_name_key(username: str) -> str:
    """`name_key`, for a new user: also refuses names that mix scripts, the usual disguise of a look-alike."""
    key = name_key(username)
    scripts = {unicodedata.name(char, "").split(" ")[0] for char in key if char.isalpha()}
    if len(scripts & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}) > 1:
        raise InvalidRequest("The username mixes letters of several scripts.")
    return key


Password = Annotated[str, msgspec.Meta(max_length=1024)]
"""Passwords are compared whole, whatever their length up to this many characters."""


def normal_password(password: str) -> str:
    """The form that is hashed: NFC, so that one keyboard's composed and another's decomposed letters are the same."""
    return unicodedata.normalize("NFC", password)
