"""Identifiers: opaque, unguessable, prefixed by what they name.

An id is `prefix_` and 18 random bytes in base64url (144 bits): no time order, nothing shared between processes. An id
alone opens nothing; what opens is a token, of which only a hash is stored.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import NewType

UserId = NewType("UserId", str)
SignInId = NewType("SignInId", str)
ChallengeId = NewType("ChallengeId", str)
DeviceId = NewType("DeviceId", str)
MethodId = NewType("MethodId", str)
ApplicationId = NewType("ApplicationId", str)
DecisionId = NewType("DecisionId", str)
ConnectionId = NewType("ConnectionId", str)
MessageId = NewType("MessageId", str)
AppPasswordId = NewType("AppPasswordId", str)
BrowserId = NewType("BrowserId", str)

ID_BYTES = 18
TOKEN_BYTES = 32


def user_id() -> UserId:
    """A fresh `usr_…`."""
    return UserId(_fresh("usr"))


def sign_in_id() -> SignInId:
    """A fresh `si_…`."""
    return SignInId(_fresh("si"))


def challenge_id() -> ChallengeId:
    """A fresh `ch_…`."""
    return ChallengeId(_fresh("ch"))


def device_id() -> DeviceId:
    """A fresh `dev_…`."""
    return DeviceId(_fresh("dev"))


def method_id() -> MethodId:
    """A fresh `mth_…`."""
    return MethodId(_fresh("mth"))


def application_id() -> ApplicationId:
    """A fresh `app_…`."""
    return ApplicationId(_fresh("app"))


def decision_id() -> DecisionId:
    """A fresh id of one committed decision, by which the audit records that belong together are found."""
    return DecisionId(_fresh("dcn"))


def connection_id() -> ConnectionId:
    """A fresh id of one socket of a device."""
    return ConnectionId(_fresh("con"))


def message_id(challenge: ChallengeId | None = None) -> MessageId:
    """The id of a message: its challenge's, or a fresh `msg_…`."""
    return MessageId(challenge or _fresh("msg"))


def notice_id(user: UserId, version: int, method: MethodId, about: str) -> MessageId:
    """The id of a notice that a rule writes: a rule draws nothing, but each version of a person is decided once."""
    return MessageId(f"msg_{digest(f'{user} {version} {method} {about}')}")


def app_password_id() -> AppPasswordId:
    """A fresh `apw_…`."""
    return AppPasswordId(_fresh("apw"))


def browser_id() -> BrowserId:
    """A fresh `brw_…`: a browser that is remembered."""
    return BrowserId(_fresh("brw"))


def secret_token(prefix: str) -> str:
    """A fresh bearer secret of 256 bits; only its `digest` is ever stored."""
    return f"{prefix}_{secrets.token_urlsafe(TOKEN_BYTES)}"


def digest(secret: str) -> str:
    """What is stored of a secret that is itself random: SHA-256, base64url without padding.

    Enough for secrets of 112 bits and more, which no one can try out (NIST SP 800-63B-4, 3.1.2.2); never for passwords.
    """
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).rstrip(b"=").decode()


def _fresh(prefix: str) -> str:
    return f"{prefix}_{secrets.token_urlsafe(ID_BYTES)}"
