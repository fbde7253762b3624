"""The people of a benchmark: made and registered before anything is measured, through the doors that anybody has.

A CSV import makes the accounts, the command line an application that may vouch for them. Then each person signs in
once with the password, is asked to register, activates a phone with the code and is left with a device key: two
argon2id hashes a person, which is most of the time that it takes (about 25 people a second and core). Called by every
benchmark of the service.
"""

import asyncio
import base64
import csv
import hashlib
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from bench.machine import cores
from bench.processes import run_command, service
from bench.signing import Header, Jwk, Signer, base64url, jwk
from bench.wire import Address, HttpConnection, Response, request

AT_ONCE = 8
"""Registrations under way at once: enough to keep every core hashing."""

_encode = msgspec.json.Encoder().encode
_Body = TypeVar("_Body", bound=msgspec.Struct)


class Vouching(msgspec.Struct, frozen=True):
    """An application that may vouch for the password, and its secret."""

    client_id: str
    client_secret: str


@dataclass(frozen=True)
class Person:
    """Somebody with a password and one registered phone."""

    number: int
    username: str
    password: str
    device_id: str
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class People:
    """Everybody, and the application that vouches for them."""

    vouching: Vouching
    persons: Sequence[Person]


class RegistrationError(Exception):
    """The service refused a step of the preparation; the text says which and how."""


class _Registration(msgspec.Struct):
    token: str


class _SignIn(msgspec.Struct):
    id: str
    state: str
    browser_token: str
    registration: _Registration | None = None


class _Activation(msgspec.Struct):
    code: str


class _Activated(msgspec.Struct):
    device_id: str


class _Credentials(msgspec.Struct):
    username: str
    password: str


class _Proof(msgspec.Struct):
    htm: str
    htu: str
    iat: int
    jti: str
    ach: str


class _Activate(msgspec.Struct):
    activation_code: str
    jwk: Jwk
    name: str
    platform: str
    proof: str


def prepare(data: Path, count: int, settings: Mapping[str, str] | None = None) -> People:
    """Make that many people, each with a password and a phone, in this data directory or where the settings say.

    The service runs meanwhile, on every core, and has ended when this returns. Raises `RegistrationError` or
    `StartError`.
    """
    credentials = [_Credentials(f"bench-{number:05d}", secrets.token_urlsafe(15)) for number in range(count)]
    table = data.parent / "people.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["username", "password", "state", "admin", "mobile", "office", "extension"])
        writer.writerows([who.username, who.password, "enabled", "", "", "", ""] for who in credentials)
    run_command(data, "user", "import", str(table), settings=settings)
    table.unlink()
    added = run_command(data, "application", "add", "bench", "--may-vouch", "--json", settings=settings)
    vouching = msgspec.json.decode(added, type=Vouching)
    with service(data, cores().everyone, settings) as server:
        return People(vouching, uvloop.run(_register_all(server.address, vouching, credentials)))


async def _register_all(address: Address, vouching: Vouching, credentials: Sequence[_Credentials]) -> Sequence[Person]:
    waiting = iter(enumerate(credentials))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_register_some(address, vouching, waiting)) for _ in range(AT_ONCE)]
    return sorted((person for task in tasks for person in task.result()), key=lambda person: person.number)


async def _register_some(
    address: Address, vouching: Vouching, waiting: Iterator[tuple[int, _Credentials]]
) -> Sequence[Person]:
    desk = _Desk(address, await HttpConnection.open(address), vouching)
    persons = [await desk.register(number, who) for number, who in waiting]
    desk.close()
    return persons


class _Desk:
    """Registers one person after the other over one connection."""

    def __init__(self, address: Address, http: HttpConnection, vouching: Vouching) -> None:
        self._address = address
        self._http = http
        secret = f"{vouching.client_id}:{vouching.client_secret}".encode()
        self._basic = "Basic " + base64.b64encode(secret).decode()

    def close(self) -> None:
        self._http.close()

    async def register(self, number: int, who: _Credentials) -> Person:
        """First sign-in, activation of a phone, and the rest of that sign-in withdrawn."""
        sign_in = _expect(201, await self._send("POST", "/v1/sign-ins", self._basic, _encode(who)), _SignIn)
        if sign_in.registration is None:
            raise RegistrationError(f"{who.username} was not asked to register, but is {sign_in.state}")
        bearer = f"Bearer {sign_in.registration.token}"
        activation = _expect(201, await self._send("POST", "/v1/me/devices", bearer), _Activation)
        key = ec.generate_private_key(ec.SECP256R1())
        activate = _encode(self._activation(key, activation.code))
        activated = _expect(201, await self._send("POST", "/v1/devices", None, activate), _Activated)
        browser = f"Bearer {sign_in.browser_token}"
        _expect(200, await self._send("DELETE", f"/v1/sign-ins/{sign_in.id}", browser), _Any)
        return Person(number, who.username, who.password, activated.device_id, key)

    def _activation(self, key: ec.EllipticCurvePrivateKey, code: str) -> _Activate:
        proof = _Proof(
            htm="POST",
            htu=self._address.url + "/v1/devices",
            iat=int(time.time()),
            jti=secrets.token_urlsafe(16),
            ach=base64url(hashlib.sha256(code.encode()).digest()).decode(),
        )
        signed = Signer(key, Header("device-proof+jwt")).sign(proof).decode()
        return _Activate(code, jwk(key), "Bench phone", "android", signed)

    async def _send(self, method: str, target: str, authorization: str | None, body: bytes = b"") -> Response:
        headers = {"Authorization": authorization} if authorization else {}
        return await self._http.send(request(method, target, self._address, headers, body))


class _Any(msgspec.Struct):
    """A body of which nothing is needed."""


def _expect(status: int, answer: Response, body: type[_Body]) -> _Body:
    if answer.status != status:
        raise RegistrationError(f"{status} expected, {answer.status} came: {answer.body[:300]!r}")
    return msgspec.json.decode(answer.body, type=body)
