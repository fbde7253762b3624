"""The device protocol's bodies and frames as types: what comes in is checked here once, and nowhere else.

Members and frames that the protocol may gain later are ignored, as it asks of clients. Times are aware datetimes (RFC
3339).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from mobile_stub.errors import ProtocolError
from mobile_stub.keys import Jwk, Jwks
from mobile_stub.totp import TotpSettings

Body = TypeVar("Body")


class Outcome(StrEnum):
    """What became of an answer."""

    COMPLETED = "completed"
    DENIED = "denied"
    FRAUD_REPORTED = "fraud_reported"
    WRONG_NUMBER = "wrong_number"
    TOO_LATE = "too_late"


class Confirm(StrEnum):
    """What the person must do to verify: type the number the browser shows, or only press the button."""

    NUMBER = "number"
    TAP = "tap"


class WithdrawalReason(StrEnum):
    """Why a challenge isn't asked any more; reasons that this phone doesn't know yet are OTHER."""

    ANSWERED_ELSEWHERE = "answered_elsewhere"
    OTHER_METHOD = "other_method"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    ENDED_WHILE_AWAY = "ended_while_away"
    """The phone's own word: after a reconnect the challenge was not in the list any more."""
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> WithdrawalReason | None:
        return cls.OTHER if isinstance(value, str) else None


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """One question: what is asking, from where, and what `context` signs of it. `digits` is how long the number is."""

    id: str
    nonce: str
    username: str
    application: str
    requested_at: datetime
    expires_at: datetime
    context: str
    confirm: Confirm = Confirm.NUMBER
    digits: int | None = None
    ip: str | None = None
    location: str | None = None
    browser: str | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The service's reply to an answer; `state` is where a too late one found the challenge or sign-in.

    `reported` tells that a report of fraud was taken down although the outcome had fallen before.
    """

    outcome: Outcome
    state: str | None = None
    reported: bool = False


# --- bodies -----------------------------------------------------------------------------------------------------------


class User(msgspec.Struct, frozen=True):
    """Whom the phone belongs to."""

    id: str | None = None
    username: str | None = None


class ActivationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of POST /v1/devices."""

    activation_code: str
    jwk: Jwk
    name: str
    platform: str
    proof: str
    push_token: str | None = None


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to POST /v1/devices."""

    device_id: str
    issuer: str
    jwks: Jwks
    totp: TotpSettings
    user: User | str = User()

    def owner(self) -> User:
        """The user as a structure, whether the service named the id, the name or both."""
        if isinstance(self.user, User):
            return self.user
        return User(id=self.user) if self.user.startswith("usr_") else User(username=self.user)


class ChallengeList(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to GET /v1/device/challenges; `version` goes into the next `after`."""

    challenges: tuple[Challenge, ...]
    version: int
    server_time: datetime


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to GET and PATCH /v1/device, as far as a phone cares."""

    name: str
    device_id: str | None = None
    id: str | None = None
    platform: str | None = None


class DeviceChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of PATCH /v1/device."""

    name: str | None = None
    push_token: str | None = None


class AnswerRequest(msgspec.Struct, frozen=True):
    """Body of POST /v1/device/challenges/{id}/answer."""

    answer: str


# --- socket frames ----------------------------------------------------------------------------------------------------


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A JSON text frame; its `type` is the tag."""


class Hello(Frame, frozen=True, kw_only=True, tag="hello"):
    """Server: first, always."""

    nonce: str
    protocol: int


class Authenticate(Frame, frozen=True, kw_only=True, tag="authenticate"):
    """Device: a proof over the hello's nonce."""

    proof: str


class Ready(Frame, frozen=True, kw_only=True, tag="ready"):
    """Server: authenticated; every pending challenge follows. `heartbeat` is the seconds between the server's pings."""

    device_id: str
    heartbeat: float
    server_time: datetime


class ChallengeFrame(Frame, frozen=True, kw_only=True, tag="challenge"):
    """Server: a question."""

    challenge: Challenge


class Received(Frame, frozen=True, kw_only=True, tag="received"):
    """Device: the question has arrived."""

    challenge_id: str


class Answer(Frame, frozen=True, kw_only=True, tag="answer"):
    """Device: the signed answer; `ref` comes back with the outcome."""

    ref: str
    answer: str


class OutcomeFrame(Frame, frozen=True, kw_only=True, tag="outcome"):
    """Server: what became of the answer with this `ref`."""

    ref: str
    outcome: Outcome
    challenge_id: str | None = None
    state: str | None = None
    reported: bool = False


class ErrorFrame(Frame, frozen=True, kw_only=True, tag="error"):
    """Server: the frame with this `ref` was refused."""

    code: str
    ref: str | None = None


class Withdrawn(Frame, frozen=True, kw_only=True, tag="withdrawn"):
    """Server: the question isn't asked any more."""

    challenge_id: str
    reason: WithdrawalReason


ServerFrame = Hello | Ready | ChallengeFrame | OutcomeFrame | ErrorFrame | Withdrawn
DeviceFrame = Authenticate | Received | Answer


class _AnyFrame(msgspec.Struct, frozen=True):
    type: str


_KNOWN: Final = frozenset({"hello", "ready", "challenge", "outcome", "error", "withdrawn"})
_frames: Final = msgspec.json.Decoder(ServerFrame)
_any_frame: Final = msgspec.json.Decoder(_AnyFrame)


def decode_frame(text: str | bytes) -> ServerFrame | None:
    """A frame by the server; None for one of an unknown type. ProtocolError for what isn't a frame."""
    try:
        frame: ServerFrame = _frames.decode(text)
    except msgspec.DecodeError as error:
        try:
            unknown = _any_frame.decode(text).type not in _KNOWN
        except msgspec.DecodeError:
            unknown = False
        if unknown:
            return None
        message = f"not a frame of the device protocol: {error}"
        raise ProtocolError(message) from error
    return frame


def decode_body(body: bytes, kind: type[Body]) -> Body:
    """A response body as its type; ProtocolError if it isn't one."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        message = f"not the body that the device protocol promises: {error}"
        raise ProtocolError(message) from error
