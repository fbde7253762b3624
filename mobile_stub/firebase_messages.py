"""The body of `messages:send`, and everything that Google's endpoint finds wrong with one.

Checked as strictly as the real one: unknown members, wrong types, more than one addressee, times and priorities that
aren't any, reserved or too much data. What is wrong is told by the field's path. Used by `firebase.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

MAX_DATA_BYTES = 4096
MAX_TTL_SECONDS = 28 * 86400
_SECONDS = re.compile(r"(\d{1,12})(\.\d{1,9})?s")
_PLACE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_RESERVED = re.compile(r"from|message_type|google.*|gcm.*")


class BadMessage(Exception):
    """A body that is refused with INVALID_ARGUMENT: which field, and what is wrong with it."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.field, self.description = field, description


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown members are refused, as Google does."""


class AndroidConfig(_Strict, frozen=True, kw_only=True):
    """How an Android phone is reached."""

    collapse_key: str | None = None
    priority: str | None = None
    ttl: str | None = None
    restricted_package_name: str | None = None
    data: dict[str, str] = {}
    notification: dict[str, object] | None = None
    fcm_options: dict[str, object] | None = None
    direct_boot_ok: bool = False


class ApnsConfig(_Strict, frozen=True, kw_only=True):
    """How an iPhone is reached."""

    headers: dict[str, str] = {}
    payload: dict[str, object] = {}
    fcm_options: dict[str, object] | None = None
    live_activity_token: str | None = None


class Message(_Strict, frozen=True, kw_only=True):
    """A message; exactly one of the first four says to whom."""

    token: str | None = None
    fid: str | None = None
    topic: str | None = None
    condition: str | None = None
    name: str | None = None
    data: dict[str, str] = {}
    notification: dict[str, object] | None = None
    android: AndroidConfig = AndroidConfig()
    apns: ApnsConfig = ApnsConfig()
    webpush: dict[str, object] | None = None
    fcm_options: dict[str, object] | None = None

    @property
    def to(self) -> str:
        """The phone that it is for, named by its push token or by the app's installation."""
        return self.token or self.fid or ""

    @property
    def time_to_live(self) -> float:
        """Seconds until an Android phone need not be told any more."""
        found = _SECONDS.fullmatch(self.android.ttl) if self.android.ttl else None
        return float(self.android.ttl[:-1]) if found and self.android.ttl else float(MAX_TTL_SECONDS)


class SendRequest(_Strict, frozen=True, kw_only=True):
    """The whole body."""

    message: Message
    validate_only: bool = False


def read(body: bytes) -> SendRequest:
    """The body as its type. BadMessage for what Google would refuse."""
    try:
        request = msgspec.json.decode(body, type=SendRequest)
    except msgspec.ValidationError as error:
        found = _PLACE.search(str(error))
        raise BadMessage(found["path"] if found else "", _PLACE.sub("", str(error))) from error
    except msgspec.DecodeError as error:
        raise BadMessage("", f"Invalid JSON payload received: {error}") from error
    _check(request.message)
    return request


def _check(message: Message) -> None:
    addressees = [each for each in (message.token, message.fid, message.topic, message.condition) if each is not None]
    if len(addressees) != 1 or not addressees[0]:
        raise BadMessage("message", "Exactly one of token, fid, topic and condition must be given.")
    if not message.to:
        raise BadMessage("message", "This project has no topics.")
    _check_data("message.data", message.data)
    _check_data("message.android.data", message.android.data)
    if message.android.priority not in {None, "normal", "high", "NORMAL", "HIGH"}:
        raise BadMessage("message.android.priority", "Must be normal or high.")
    if message.android.ttl is not None:
        found = _SECONDS.fullmatch(message.android.ttl)
        if not found:
            raise BadMessage("message.android.ttl", "Illegal duration format; duration must end with 's'.")
        if int(found[1]) > MAX_TTL_SECONDS:
            raise BadMessage("message.android.ttl", "TTL must be in the range of 0 to 28 days.")
    expiration = message.apns.headers.get("apns-expiration")
    if expiration is not None and not expiration.isdecimal():
        raise BadMessage("message.apns.headers", "apns-expiration is seconds since 1970.")
    if len(message.apns.headers.get("apns-collapse-id", "").encode()) > 64:  # noqa: PLR2004 - Apple's limit
        raise BadMessage("message.apns.headers", "apns-collapse-id has at most 64 bytes.")
    if message.apns.payload and not isinstance(message.apns.payload.get("aps"), dict):
        raise BadMessage("message.apns.payload", "It must hold an aps dictionary.")


def _check_data(field: str, data: Mapping[str, str]) -> None:
    for key in data:
        if _RESERVED.fullmatch(key):
            raise BadMessage(field, f"Invalid data payload key: {key}.")
    if sum(len(key.encode()) + len(value.encode()) for key, value in data.items()) > MAX_DATA_BYTES:
        raise BadMessage(field, "The message is too big.")
