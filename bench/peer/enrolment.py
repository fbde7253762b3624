"""privacyIDEA's people: accounts from a file, the policies that push needs, and a phone for each.

A phone is a smartphone push token: the server makes a key pair for it (RSA, 4096 bits, which takes about a second) and
the phone brings its own. The token's PIN is the person's password. Called by `bench.peer.comparison`.
"""

import asyncio
import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.exchange import ExchangeError
from bench.peer.interface import ANYTHING, SESSION, YES_OR_NO, Detail, Peer
from bench.peer.server import ADMINISTRATOR

REALM = "bench"
PHONE_KEY_BITS = 2048
"""What its own app makes."""

_AT_ONCE = 2


@dataclass(frozen=True)
class Enrolled:
    """Somebody with a PIN and one phone."""

    username: str
    pin: str
    serial: str
    key: rsa.RSAPrivateKey
    server_key: rsa.RSAPublicKey
    """With which the server signs what it asks this phone."""


@dataclass(frozen=True)
class Population:
    """Everybody, and the session of an administrator who may begin a sign-in without the PIN."""

    session: str
    persons: Sequence[Enrolled]


async def enrol(peer: Peer, folder: Path, password: str, count: int) -> Population:
    """Make that many people on a fresh server. Raises `ExchangeError` or `OSError`."""
    names = [f"bench-{number:05d}" for number in range(count)]
    accounts = folder / "accounts"
    accounts.write_text("".join(f"{name}:x:{2000 + at}:100:Bench,,,:/:/bin/false\n" for at, name in enumerate(names)))
    signed_in = await peer.post(SESSION, "/auth", {"username": ADMINISTRATOR, "password": password})
    if signed_in.result.value is None:
        raise ExchangeError("no session for the administrator")
    session = signed_in.result.value.token
    for path, form in (
        ("/resolver/local", {"type": "passwdresolver", "fileName": str(accounts)}),
        (f"/realm/{REALM}", {"resolvers": "local"}),
        (f"/defaultrealm/{REALM}", {}),
        (
            "/policy/enrolment",
            {
                "scope": "enrollment",
                "action": "push_firebase_configuration=poll only, push_ttl=10, "
                f"push_registration_url={peer.url}/ttype/push",
            },
        ),
        (
            "/policy/authentication",
            {"scope": "authentication", "action": "challenge_response=push, push_allow_polling=allow"},
        ),
    ):
        await peer.post(ANYTHING, path, form, session)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> Enrolled:
        async with gate:
            return await _phone(peer, session, name)

    async with asyncio.TaskGroup() as group:
        phones = [group.create_task(one(name)) for name in names]
    return Population(session, [phone.result() for phone in phones])


async def _phone(peer: Peer, session: str, username: str) -> Enrolled:
    """Both steps of an enrolment: the administrator's, and the phone's own."""
    pin = secrets.token_urlsafe(15)
    form = {"type": "push", "genkey": "1", "user": username, "realm": REALM, "pin": pin}
    begun = (await peer.post(YES_OR_NO, "/token/init", form, session)).detail or Detail()
    key = rsa.generate_private_key(65537, PHONE_KEY_BITS)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    answer = {
        "serial": begun.serial,
        "enrollment_credential": begun.enrollment_credential,
        "fbtoken": "",  # it will poll
        "pubkey": base64.urlsafe_b64encode(public).decode(),
    }
    enrolled = (await peer.post(YES_OR_NO, "/ttype/push", answer)).detail or Detail()
    return Enrolled(username, pin, begun.serial, key, server_key(enrolled.public_key))


def server_key(text: str) -> rsa.RSAPublicKey:
    """The server's key for a phone, which comes as PKCS #1 in base64 without the PEM lines around it."""
    key = serialization.load_der_public_key(base64.b64decode(text))
    if not isinstance(key, rsa.RSAPublicKey):
        raise ExchangeError("the server's key for a phone is not RSA")
    return key
