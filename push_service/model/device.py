"""A phone that was activated: its key, its name, and where it can be reached."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from push_service.model.ids import DeviceId, SignInId, UserId
from push_service.model.instant import Instant


class PublicKey(msgspec.Struct, frozen=True):
    """An EC P-256 public key, as in RFC 7518, 6.2.1; the coordinates in base64url."""

    x: str
    y: str


class DeviceState(StrEnum):
    """Removed devices stay, so that their last answers are still explained."""

    ACTIVE = "active"
    REMOVED = "removed"


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device's row."""

    id: DeviceId
    user_id: UserId
    key: PublicKey
    thumbprint: str
    """RFC 7638, SHA-256: no two devices share a key."""
    name: str
    platform: str
    push_token: str | None = None
    """Sealed in the store."""
    push_token_at: Instant | None = None
    """When the device last said that it is pushed to by this token."""
    totp_secret: str | None = None
    """Base32; sealed in the store."""
    state: DeviceState = DeviceState.ACTIVE
    activated_at: Instant


class UsedActivation(msgspec.Struct, frozen=True):
    """An activation code by which a user is found, and, once used, the device that it made."""

    code_hash: str
    user_id: UserId
    expires_at: Instant
    sign_in_id: SignInId | None = None
    thumbprint: str | None = None
    device_id: DeviceId | None = None
