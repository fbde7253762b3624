"""Signers that lie: what an attacker would put where a phone's signature belongs.

Each is a `keys.Signer`, so `proofs.sign_proof` and `proofs.sign_answer` take it as it is. Nothing but tests uses them.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from mobile_stub.keys import COORDINATE_BYTES, DeviceKey, base64url, unbase64url

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class Unsigned:
    """`alg: none` with an empty signature (RFC 8725, section 2.1)."""

    alg: str = "none"

    def sign(self, signing_input: bytes) -> bytes:  # noqa: ARG002 - that's the lie
        """Nothing at all."""
        return b""


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """HS256 with something public as the secret: the classic confusion of a verification key with a shared one."""

    secret: bytes
    alg: str = "HS256"

    def sign(self, signing_input: bytes) -> bytes:
        """HMAC-SHA256."""
        return hmac.digest(self.secret, signing_input, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class FixedSignature:
    """A given signature under whatever text: zeros, a copied one, a wrong length."""

    signature: bytes
    alg: str = "ES256"

    def sign(self, signing_input: bytes) -> bytes:  # noqa: ARG002 - that's the lie
        """The same bytes always."""
        return self.signature


@dataclass(frozen=True, slots=True)
class DerSignature:
    """The right signature in the wrong clothes: DER where 64 raw bytes are due."""

    key: DeviceKey
    alg: str = "ES256"

    def sign(self, signing_input: bytes) -> bytes:
        """The device's own signature, re-encoded."""
        raw = self.key.sign(signing_input)
        return encode_dss_signature(
            int.from_bytes(raw[:COORDINATE_BYTES], "big"), int.from_bytes(raw[COORDINATE_BYTES:], "big")
        )


@dataclass(frozen=True, slots=True)
class MislabelledAlgorithm:
    """A right ES256 signature under a header that names another algorithm."""

    key: DeviceKey
    alg: str

    def sign(self, signing_input: bytes) -> bytes:
        """The device's own signature."""
        return self.key.sign(signing_input)


def high_s_twin(token: str) -> str:
    """The same JWS with S replaced by n - S: other bytes, equally valid for ECDSA."""
    signing_input, _, signature = token.rpartition(".")
    raw = unbase64url(signature)
    s = P256_ORDER - int.from_bytes(raw[COORDINATE_BYTES:], "big")
    return f"{signing_input}.{base64url(raw[:COORDINATE_BYTES] + s.to_bytes(COORDINATE_BYTES, 'big'))}"
