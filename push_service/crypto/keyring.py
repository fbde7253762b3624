"""The service's own signing keys, their rotation, and the set of public ones that others verify with (RFC 7517).

The newest key signs. An older one stays in the published set until every token that it signed is over.
"""

from __future__ import annotations

import secrets

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from push_service.crypto import jws
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.instant import Instant, after
from push_service.model.policy import MAX_SIGN_IN_SECONDS
from push_service.ports import SIGNING_KEYS, Bus, Store, StoredKey

KEPT_SECONDS = 2 * MAX_SIGN_IN_SECONDS
"""How long a retired key still verifies: the longest-lived token is a challenge's context."""


class PublicJwk(msgspec.Struct, frozen=True, kw_only=True):
    """A public key as published."""

    kty: str = "EC"
    crv: str = "P-256"
    x: str
    y: str
    kid: str
    alg: str = jws.ALGORITHM
    use: str = "sig"


class JwkSet(msgspec.Struct, frozen=True):
    """What `/.well-known/jwks.json` answers."""

    keys: tuple[PublicJwk, ...]


class Keyring:
    """Holds the keys in memory; `refresh` reads them again when the bell says that they were rotated."""

    def __init__(self, store: Store, bus: Bus) -> None:
        """Keep keys in this store."""
        self._store, self._bus = store, bus
        self._stored: list[StoredKey] = []
        self._private: ec.EllipticCurvePrivateKey | None = None
        self._headers: dict[str, str] = {}
        self._public: dict[str, PublicJwk] = {}

    async def open(self) -> None:
        """Read the keys; make the first one in an empty store."""
        await self.refresh()
        if not self._stored:
            await self.rotate()

    async def refresh(self) -> None:
        """Read the keys again."""
        stored = await self._store.signing_keys()
        if stored and stored != self._stored:
            self._private = _load(stored[0])
            self._headers = {}
            self._public = {key.kid: _public(key) for key in stored}
        self._stored = stored

    async def rotate(self) -> StoredKey:
        """Make a new key that signs from now on; the one before it goes on verifying."""
        now = await self._store.now()
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        made = StoredKey(kid=f"key_{secrets.token_urlsafe(12)}", pem=pem, created_at=now)
        retired = [msgspec.structs.replace(key, retired_at=key.retired_at or now) for key in await self.list()]
        audit = Audit(kind=AuditKind.KEY_ROTATED, actor=Actor.OPERATOR, data={"kid": made.kid})
        await self._store.put_signing_keys([made, *retired], audit)
        await self.refresh()
        await self._bus.ring((SIGNING_KEYS,))
        return made

    async def list(self) -> list[StoredKey]:
        """All keys, newest first."""
        return await self._store.signing_keys()

    def sign(self, claims: bytes, typ: str) -> str:
        """See ports.TokenSigner."""
        if self._private is None:
            msg = "the keyring was not opened"
            raise RuntimeError(msg)
        header = self._headers.get(typ)
        if header is None:
            header = self._headers[typ] = jws.encode_header(typ, self._stored[0].kid)
        return jws.sign(claims, self._private, header)

    def published(self, now: Instant) -> JwkSet:
        """The keys that tokens alive at `now` can have been signed with."""
        return JwkSet(
            tuple(
                self._public[key.kid]
                for key in self._stored
                if key.retired_at is None or now < after(key.retired_at, KEPT_SECONDS)
            )
        )


def _load(key: StoredKey) -> ec.EllipticCurvePrivateKey:
    loaded = load_pem_private_key(key.pem.encode(), None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        msg = f"signing key {key.kid} is not an EC key"
        raise TypeError(msg)
    return loaded


def _public(key: StoredKey) -> PublicJwk:
    public = jws.public_key_of(_load(key))
    return PublicJwk(x=public.x, y=public.y, kid=key.kid)
