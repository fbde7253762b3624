"""What a phone keeps when it is switched off: who it is, its key, the service's keys, its one-time code secret.

One JSON file a phone, readable by its owner only. Read and written by `Phone.load` and `Phone.save`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import msgspec

from mobile_stub.errors import ActivationUriError
from mobile_stub.keys import DeviceKey, Jwks
from mobile_stub.totp import TotpSettings
from mobile_stub.wire import User

if TYPE_CHECKING:
    from pathlib import Path

ACTIVATION_PATH = "/activate"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An activated phone. `address` is where the service is reached, `issuer` the PUBLIC_URL that proofs name."""

    device_id: str
    name: str
    platform: str
    issuer: str
    address: str
    user: User
    jwks: Jwks
    totp: TotpSettings
    key_pem: str
    push_token: str | None = None

    def key(self) -> DeviceKey:
        """The signing key."""
        return DeviceKey.from_pem(self.key_pem)


class ActivationUri(msgspec.Struct, frozen=True):
    """The two halves of what the settings page shows as text and QR code."""

    public_url: str
    code: str

    @classmethod
    def parse(cls, text: str) -> ActivationUri:
        """Take ``PUBLIC_URL/activate#code=CODE`` apart; ActivationUriError for anything else."""
        try:
            parts = urlsplit(text.strip())
            codes = parse_qs(parts.fragment).get("code", [])
        except ValueError as error:
            message = "this is not an activation address"
            raise ActivationUriError(message) from error
        right_shape = parts.scheme in {"http", "https"} and parts.netloc and parts.path.endswith(ACTIVATION_PATH)
        if not right_shape or len(codes) != 1:
            message = "an activation address looks like https://…/activate#code=…"
            raise ActivationUriError(message)
        path = parts.path.removesuffix(ACTIVATION_PATH)
        return cls(public_url=f"{parts.scheme}://{parts.netloc}{path}", code=codes[0])


def write(identity: Identity, path: Path) -> None:
    """Write the file, whole or not at all."""
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(identity)))
    beside.replace(path)


def read(path: Path) -> Identity:
    """Read the file back; OSError if there is none, msgspec.DecodeError if it isn't one."""
    return msgspec.json.decode(path.read_bytes(), type=Identity)
