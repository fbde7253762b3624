"""The phone's signing key: EC P-256, made on the phone and never sent; and JSON Web Signatures by it (RFC 7515, ES256).

`Signer` is all that a signature needs, so that a test can hand in one that lies (`forgeries.py`).
Called by `proofs.py` for every proof and answer, and by `state.py` to keep the key.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

COORDINATE_BYTES = 32


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    """The bytes of an unpadded base64url text; ValueError if it isn't one."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def digest(text: str) -> str:
    """Base64url of the SHA-256 of a text: names an activation code (`ach`) or a context (`ctx`) without saying it."""
    return base64url(hashlib.sha256(text.encode()).digest())


class Jwk(msgspec.Struct, frozen=True, omit_defaults=True):
    """A public EC key as JSON (RFC 7517); the service's keys also carry `kid`."""

    kty: str
    crv: str = ""
    x: str = ""
    y: str = ""
    kid: str | None = None
    use: str | None = None
    alg: str | None = None


class Jwks(msgspec.Struct, frozen=True):
    """A set of public keys."""

    keys: tuple[Jwk, ...] = ()


class JoseHeader(msgspec.Struct, frozen=True, omit_defaults=True):
    """The protected header; a member that is None is left out."""

    alg: str
    typ: str
    kid: str | None = None


class Signer(Protocol):
    """Whatever puts a signature under bytes."""

    @property
    def alg(self) -> str:
        """The `alg` of the header (RFC 7518, section 3.1)."""

    def sign(self, signing_input: bytes) -> bytes:
        """The signature over the JWS signing input."""


class DeviceKey:
    """An EC P-256 private key that signs ES256."""

    alg = "ES256"

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> DeviceKey:
        """A new random key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: str) -> DeviceKey:
        """The key of an unencrypted PKCS#8 PEM; ValueError for anything else than an EC P-256 key."""
        private = serialization.load_pem_private_key(pem.encode(), password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise ValueError("the saved key is not an EC P-256 key")  # noqa: TRY004 - the text is at fault, not its type
        return cls(private)

    def to_pem(self) -> str:
        """The private key as unencrypted PKCS#8 PEM: a stub keeps no secrets worth more than its own phone."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def jwk(self) -> Jwk:
        """The public half, as it is registered at activation."""
        point = self._private.public_key().public_numbers()
        return Jwk(
            kty="EC",
            crv="P-256",
            x=base64url(point.x.to_bytes(COORDINATE_BYTES, "big")),
            y=base64url(point.y.to_bytes(COORDINATE_BYTES, "big")),
        )

    def sign(self, signing_input: bytes) -> bytes:
        """R and S, 32 bytes each (RFC 7518, section 3.4), not the DER that the library makes."""
        r, s = decode_dss_signature(self._private.sign(signing_input, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")


def compact(header: bytes, payload: bytes, signer: Signer) -> str:
    """A JWS in compact form over exactly these bytes, well formed or not (RFC 7515, section 3.1)."""
    signing_input = f"{base64url(header)}.{base64url(payload)}"
    return f"{signing_input}.{base64url(signer.sign(signing_input.encode()))}"


def sign(header: JoseHeader, claims: msgspec.Struct, signer: Signer) -> str:
    """A JWS in compact form over typed claims."""
    return compact(msgspec.json.encode(header), msgspec.json.encode(claims), signer)
