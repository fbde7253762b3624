"""The frames of the device socket, as bytes."""

from __future__ import annotations

import base64

import msgspec

from push_service.model.challenge import Challenge
from push_service.model.ids import ChallengeId
from push_service.model.sign_in import Reason

_encode = msgspec.json.Encoder().encode

PROTOCOL = 1

WITHDRAWN_REASONS: dict[Reason | None, str] = {
    Reason.OTHER_METHOD: "other_method",
    Reason.ASKED_AGAIN: "replaced",
    Reason.REPLACED: "replaced",
}
"""What a phone is told of a prompt that ended without any answer; every other reason is `cancelled`."""


class _Hello(msgspec.Struct, frozen=True, tag="hello"):
    nonce: str
    protocol: int


class _Ready(msgspec.Struct, frozen=True, tag="ready"):
    device_id: str
    heartbeat: int
    server_time: str


class _Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn"):
    challenge_id: str
    reason: str


class _Outcome(msgspec.Struct, frozen=True, tag="outcome", omit_defaults=True):
    ref: str | None
    challenge_id: str
    outcome: str
    state: str | None = None
    reported: bool | None = None


class _Error(msgspec.Struct, frozen=True, tag="error"):
    ref: str | None
    code: str


def hello(nonce: str) -> bytes:
    """The first frame, always."""
    return _encode(_Hello(nonce, PROTOCOL))


def ready(device_id: str, heartbeat: int, server_time: str) -> bytes:
    """The device is known; prompts follow. `heartbeat` in seconds."""
    return _encode(_Ready(device_id, heartbeat, server_time))


def challenge(asked: Challenge) -> bytes:
    """A prompt: the payload of the signed context, and the context itself to be bound by the answer."""
    return b'{"type":"challenge","challenge":%b}' % challenge_document(asked)


def challenge_document(asked: Challenge) -> bytes:
    """A challenge as devices see it. The context was made once, so its payload need not be made again."""
    payload = asked.context.split(".")[1]
    shown = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    return b'%b,"context":"%b"}' % (shown[:-1], asked.context.encode())


def withdrawn(challenge_id: ChallengeId, reason: str) -> bytes:
    """The prompt is not to be answered any more."""
    return _encode(_Withdrawn(challenge_id, reason))


def outcome(
    ref: str | None, challenge_id: str, value: str, *, state: str | None = None, reported: bool | None = None
) -> bytes:
    """What became of this device's answer."""
    return _encode(_Outcome(ref, challenge_id, value, state, reported))


def error(ref: str | None, code: str) -> bytes:
    """A frame that could not be heeded."""
    return _encode(_Error(ref, code))
