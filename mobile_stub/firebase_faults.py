"""What the stub's Firebase may be told to do wrong: for one phone or all, for a time or a number of requests.

Each error is answered as Google words it; the other faults are those of networks and of a provider in trouble. Told by
tests (`Faults.add`) or over HTTP (`firebase_routes.py`), asked at each request by `firebase.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from mobile_stub.instructions import Instruction, Instructions

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


class FaultKind(StrEnum):
    """The first seven are FCM's own error codes."""

    UNREGISTERED = "UNREGISTERED"
    SENDER_ID_MISMATCH = "SENDER_ID_MISMATCH"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"
    THIRD_PARTY_AUTH_ERROR = "THIRD_PARTY_AUTH_ERROR"
    BAD_GATEWAY = "bad_gateway"
    """A page of HTML with status 502, as a proxy on the way writes it."""
    LATE = "late"
    """The right answer, and the delivery, `late` seconds later."""
    SILENT = "silent"
    """No answer at all; the connection stays open."""
    DRIBBLE = "dribble"
    """The right answer, a byte a second."""
    LOST = "lost"
    """Accepted, and never delivered."""


class Endpoint(StrEnum):
    """Where it goes wrong."""

    SEND = "send"
    TOKEN = "token"  # noqa: S105 - the endpoint's name


class Fault(Instruction, kw_only=True, forbid_unknown_fields=True):
    """One instruction. `token` None means every phone."""

    kind: FaultKind
    endpoint: Endpoint = Endpoint.SEND
    token: str | None = None
    retry_after: int | None = None
    """The Retry-After header of the refusal, in seconds."""
    late: float = 1.0


class Answer(NamedTuple):
    """How FCM words a refusal: HTTP status, the status' name, and a sentence."""

    http: int
    status: str
    sentence: str


ANSWERS: Final[dict[FaultKind, Answer]] = {
    FaultKind.UNREGISTERED: Answer(404, "NOT_FOUND", "Requested entity was not found."),
    FaultKind.SENDER_ID_MISMATCH: Answer(403, "PERMISSION_DENIED", "SenderId mismatch"),
    FaultKind.INVALID_ARGUMENT: Answer(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    FaultKind.QUOTA_EXCEEDED: Answer(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Messages'."),
    FaultKind.UNAVAILABLE: Answer(503, "UNAVAILABLE", "The service is currently unavailable."),
    FaultKind.INTERNAL: Answer(500, "INTERNAL", "Internal error encountered."),
    FaultKind.THIRD_PARTY_AUTH_ERROR: Answer(401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service"),
}


class Faults(Instructions[Fault]):
    """The instructions in force, oldest first."""

    def next(self, endpoint: Endpoint, token: str | None = None) -> Fault | None:
        """What is to go wrong with this request, if anything; counts it."""
        return self.take(lambda fault: fault.endpoint is endpoint and fault.token in {None, token})


class _Violation(msgspec.Struct, frozen=True):
    field: str
    description: str


class _Detail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str = msgspec.field(name="@type")
    error_code: str | None = msgspec.field(name="errorCode", default=None)
    violations: tuple[_Violation, ...] = msgspec.field(name="fieldViolations", default=())


class _Error(msgspec.Struct, frozen=True):
    code: int
    message: str
    status: str
    details: tuple[_Detail, ...] = ()


class _Refused(msgspec.Struct, frozen=True):
    error: _Error


def refusal(kind: FaultKind, *violation: str) -> bytes:
    """The body of FCM's refusal; `violation` is a field's path and what is wrong with it."""
    answer = ANSWERS[kind]
    details = [_Detail(type=FCM_ERROR, error_code=kind.value)]
    if violation:
        details.insert(0, _Detail(type=BAD_REQUEST, violations=(_Violation(*violation),)))
    sentence = violation[1] if violation else answer.sentence
    return msgspec.json.encode(_Refused(_Error(answer.http, sentence, answer.status, tuple(details))))


def unauthenticated() -> bytes:
    """The body that refuses a bearer token which isn't good, or no longer."""
    sentence = "Request had invalid authentication credentials. Expected OAuth 2 access token."
    return msgspec.json.encode(_Refused(_Error(401, sentence, "UNAUTHENTICATED")))
