"""What Firebase answered, as one of its own library's errors, and what that means for a wake.

=============================================  =========================================================
UNREGISTERED, SENDER_ID_MISMATCH               the token is dead (if not all are: delivery/losses.py)
QUOTA_EXCEEDED, 429                            once more, as late as it says, or in a minute
UNAVAILABLE, INTERNAL, any other 5xx           once more, as late as it says
everything else                                nothing that waiting would change: somebody has to look
=============================================  =========================================================

A 404 or 403 that does not name the token's own error is about the project or the address, never about a phone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import msgspec
from firebase_admin import exceptions, messaging

from push_service.ports import WakeOutcome, WakeReport

QUOTA_SECONDS = 60.0
"""How long a quota is left alone where the answer doesn't say (Firebase's documentation asks for a minute at least)."""
LONGEST_RETRY_SECONDS = 3600.0
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"

_Make = Callable[[str], exceptions.FirebaseError]

_BY_CODE: dict[str, _Make] = {
    "UNREGISTERED": messaging.UnregisteredError,
    "SENDER_ID_MISMATCH": messaging.SenderIdMismatchError,
    "QUOTA_EXCEEDED": messaging.QuotaExceededError,
    "THIRD_PARTY_AUTH_ERROR": messaging.ThirdPartyAuthError,
    "APNS_AUTH_ERROR": messaging.ThirdPartyAuthError,
    "INVALID_ARGUMENT": exceptions.InvalidArgumentError,
    "UNAVAILABLE": exceptions.UnavailableError,
    "INTERNAL": exceptions.InternalError,
}
_BY_STATUS: dict[int, _Make] = {
    HTTPStatus.BAD_REQUEST: exceptions.InvalidArgumentError,
    HTTPStatus.UNAUTHORIZED: exceptions.UnauthenticatedError,
    HTTPStatus.FORBIDDEN: exceptions.PermissionDeniedError,
    HTTPStatus.NOT_FOUND: exceptions.NotFoundError,
    HTTPStatus.TOO_MANY_REQUESTS: exceptions.ResourceExhaustedError,
}


class _Detail(msgspec.Struct, frozen=True):
    type: str = msgspec.field(name="@type", default="")
    code: str = msgspec.field(name="errorCode", default="")


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    details: tuple[_Detail, ...] = ()


class _Answer(msgspec.Struct, frozen=True):
    error: _Error = _Error()


_read = msgspec.json.Decoder(_Answer).decode


def error_of(status: int, body: bytes) -> exceptions.FirebaseError:
    """The answer as an error: by the code that FCM gives, else by the HTTP status."""
    try:
        error = _read(body).error
    except msgspec.DecodeError:  # a page of a proxy on the way
        error = _Error()
    code = next((each.code for each in error.details if each.type == _FCM_ERROR), "")
    if (make := _BY_CODE.get(code)) is None:
        in_trouble = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        make = exceptions.UnavailableError if in_trouble else _BY_STATUS.get(status, exceptions.UnknownError)
    return make(error.message or f"HTTP status {status}")


def report_of(error: exceptions.FirebaseError, retry_after: float | None) -> WakeReport:
    """What the error means for the wake. `retry_after` is the answer's own wish, in seconds."""
    match error:
        case messaging.UnregisteredError():
            return WakeReport(WakeOutcome.DEAD_TOKEN, "unregistered")
        case messaging.SenderIdMismatchError():
            return WakeReport(WakeOutcome.DEAD_TOKEN, "sender_id_mismatch")
        case messaging.ThirdPartyAuthError():
            return WakeReport(WakeOutcome.REFUSED, "third_party_auth_error")
        case exceptions.ResourceExhaustedError():
            return WakeReport(
                WakeOutcome.RETRY, "quota_exceeded", QUOTA_SECONDS if retry_after is None else retry_after
            )
        case exceptions.UnavailableError() | exceptions.InternalError():
            return WakeReport(WakeOutcome.RETRY, error.code.lower(), retry_after)
        case _:
            return WakeReport(WakeOutcome.REFUSED, error.code.lower())


def retry_after(header: str | None) -> float | None:
    """The seconds of a Retry-After header (RFC 9110, 10.2.3): a number, or a date; None where it is neither."""
    if header is None:
        return None
    if header.strip().isdecimal():
        seconds = float(header)
    else:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(0.0, seconds), LONGEST_RETRY_SECONDS)
