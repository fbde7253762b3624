"""Encryption of single columns at rest: AES-256-GCM, bound to the table, the column and the row.

Bound, so that a value copied into another person's row does not open there. The key comes from a file of its own or the
environment, never from the database: whoever reads a backup has nothing usable.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from push_service.crypto.jws import base64url, from_base64url

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


class SealBroken(Exception):
    """A sealed value does not open: another key, another row, or tampering."""


class Sealer:
    """Seals and opens with one key, and makes keyed hashes with another that is derived from it."""

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes. Raises ValueError for any other length."""
        if len(key) != KEY_BYTES:
            msg = f"the encryption key must have {KEY_BYTES} bytes"
            raise ValueError(msg)
        self._aead = AESGCM(_derived(key, b"columns"))
        self._mac_key = _derived(key, b"keyed hashes")

    def seal(self, text: str, place: str) -> bytes:
        """Seal for one place, such as `devices.totp:dev_…`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, text.encode(), place.encode())

    def open(self, sealed: bytes, place: str) -> str:
        """Open what was sealed for this very place. Raises SealBroken."""
        if sealed[:1] != _VERSION or len(sealed) <= _NONCE_BYTES:
            raise SealBroken(place)
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, body, place.encode()).decode()
        except InvalidTag:
            raise SealBroken(place) from None

    def mac(self, data: bytes) -> str:
        """A keyed hash, for what must be compared but not guessed at from the database."""
        mac = hmac.HMAC(self._mac_key, hashes.SHA256())
        mac.update(data)
        return base64url(mac.finalize())


def key_from_file(path: Path, *, group_may_read: bool = False) -> bytes:
    """Read the key, made at first use, mode 0600. Raises ValueError where others may read it or it is no key.

    `group_may_read` is for systemd's credentials: an access list for the service's user alone shows as a group's right.
    """
    if not path.exists():
        _make_key_file(path)
    if stat.S_IMODE(path.stat().st_mode) & (0o037 if group_may_read else 0o077):
        msg = f"{path} can be read by others; make it mode 0600"
        raise ValueError(msg)
    return key_from_text(path.read_text())


def _make_key_file(path: Path) -> None:
    """Put a fresh key in place whole: whoever starts at the same time, or after a crash, finds all of it or none."""
    descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(base64url(secrets.token_bytes(KEY_BYTES)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another was first; theirs is the key
            os.link(made, path)
    finally:
        Path(made).unlink()


def key_from_text(text: str) -> bytes:
    """Read a key of 32 bytes in base64url. Raises ValueError."""
    try:
        key = from_base64url(text.strip().rstrip("="))
    except Exception as problem:
        msg = "the encryption key is not base64url"
        raise ValueError(msg) from problem
    if len(key) != KEY_BYTES:
        msg = f"the encryption key must have {KEY_BYTES} bytes"
        raise ValueError(msg)
    return key


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(algorithm=hashes.SHA256(), length=KEY_BYTES, info=purpose).derive(key)
