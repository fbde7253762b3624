"""Compact JWS signatures by a phone's key (RFC 7515, ES256), with the header encoded once and no library in between.

The load side signs one answer a sign-in on the same core as everything else it does; a JWT library would double that.
Used by the clients of the service and of the prototype.
"""

import base64

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

_ALGORITHM = ec.ECDSA(hashes.SHA256())
_encode = msgspec.json.Encoder().encode


def base64url(data: bytes) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Jwk(msgspec.Struct):
    """A P-256 public key as RFC 7517 and 7518 write it."""

    kty: str
    crv: str
    x: str
    y: str


class Header(msgspec.Struct, omit_defaults=True):
    """A JOSE header: the type of the token, and by whom it is signed."""

    typ: str
    kid: str = ""
    alg: str = ""


def jwk(key: ec.EllipticCurvePrivateKey) -> Jwk:
    """The public half of a phone's key."""
    numbers = key.public_key().public_numbers()
    return Jwk("EC", "P-256", base64url(numbers.x.to_bytes(32)).decode(), base64url(numbers.y.to_bytes(32)).decode())


class Signer:
    """Signs tokens of one type with one key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, header: Header) -> None:
        self._key = key
        self._head = base64url(_encode(msgspec.structs.replace(header, alg="ES256"))) + b"."

    def sign(self, claims: msgspec.Struct) -> bytes:
        """A compact JWS over the claims."""
        signed = self._head + base64url(_encode(claims))
        r, s = decode_dss_signature(self._key.sign(signed, _ALGORITHM))
        return signed + b"." + base64url(r.to_bytes(32) + s.to_bytes(32))
