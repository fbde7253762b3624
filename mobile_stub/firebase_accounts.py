"""Google's half of a service account: the file that a sender is given, and the access tokens that it buys with it.

A sender signs an assertion with the file's key (RFC 7523), the token endpoint checks it and sells a bearer token for an
hour, and the send endpoint takes no other. Used by `firebase.py`.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

AUDIENCE: Final = "https://oauth2.googleapis.com/token"
"""What every assertion names as its audience, wherever the file's `token_uri` leads."""
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_SECONDS = 3599
LONGEST_ASSERTION_SECONDS = 3600
_KEY_BITS = 2048


class BadAssertion(Exception):
    """The token endpoint won't sell a token for this; the message is what Google's `error_description` would say."""


class AccountFile(msgspec.Struct, frozen=True, kw_only=True):
    """A service account's JSON file."""

    type: str = "service_account"
    project_id: str
    private_key_id: str
    private_key: str
    client_email: str
    client_id: str
    token_uri: str


class SoldToken(msgspec.Struct, frozen=True, kw_only=True):
    """What the token endpoint answers."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - the kind, not a token


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    iat: int
    exp: int
    scope: str = ""


class ServiceAccount:
    """One service account of one project, and the tokens that are good for it now."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        self._key_id = secrets.token_hex(20)
        self._email = f"push@{project_id}.iam.gserviceaccount.com"
        self._sold: dict[str, float] = {}

    def file(self, token_uri: str) -> bytes:
        """The JSON file, with the token endpoint that it leads to."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return msgspec.json.encode(
            AccountFile(
                project_id=self.project_id,
                private_key_id=self._key_id,
                private_key=pem.decode(),
                client_email=self._email,
                client_id="100000000000000000001",
                token_uri=token_uri,
            )
        )

    def sell(self, assertion: str, seconds: int = TOKEN_SECONDS) -> SoldToken:
        """A bearer token for an assertion by this account's key. BadAssertion for any other."""
        try:
            if jwt.get_unverified_header(assertion).get("kid") != self._key_id:
                raise BadAssertion("Invalid JWT: the key id is not one of this account.")
            decoded = jwt.decode(
                assertion, self._key.public_key(), algorithms=["RS256"], audience=AUDIENCE, issuer=self._email
            )
            claims = msgspec.convert(decoded, _Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise BadAssertion(f"Invalid JWT: {error}") from error
        if not 0 < claims.exp - claims.iat <= LONGEST_ASSERTION_SECONDS:
            raise BadAssertion("Invalid JWT: it must be short-lived (60 minutes).")
        if not any(scope.endswith(("/cloud-platform", "/firebase.messaging")) for scope in claims.scope.split()):
            raise BadAssertion("Invalid JWT: no scope of it lets a message be sent.")
        token = f"ya29.{secrets.token_urlsafe(64)}"
        self._sold[token] = time.monotonic() + seconds
        return SoldToken(access_token=token, expires_in=seconds)

    def accepts(self, authorization: str) -> bool:
        """Whether this `Authorization` header holds a token that was sold here and is still good."""
        scheme, _, token = authorization.partition(" ")
        return scheme == "Bearer" and time.monotonic() < self._sold.get(token, 0.0)

    def revoke(self) -> None:
        """No token that was sold so far is good any more."""
        self._sold.clear()
