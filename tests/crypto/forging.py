"""Tokens put together by hand, right or wrong in exactly one place."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from push_service.crypto.jws import base64url

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the base point of P-256 (SEC 2, 2.4.2)."""


def part(value: object) -> str:
    """One part of a token: bytes as they are, everything else as JSON."""
    return base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


def numbers(key: ec.EllipticCurvePrivateKey, signed: str) -> tuple[int, int]:
    """An ES256 signature as its two numbers."""
    return utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))


def raw(r: int, s: int) -> bytes:
    """The two numbers as JWS has them (RFC 7518, 3.4)."""
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def token(key: ec.EllipticCurvePrivateKey, header: object, claims: object) -> str:
    """A compact JWS with any header, really signed."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{base64url(raw(*numbers(key, signed)))}"


def without(claims: dict[str, Any], name: str) -> dict[str, Any]:
    """The claims but for one."""
    return {key: value for key, value in claims.items() if key != name}
