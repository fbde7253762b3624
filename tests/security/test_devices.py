"""Binding a phone, and keeping it one's own: S-08 at activation, S-56 and S-57."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mobile_stub.keys import DeviceKey, base64url
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision, proof_claims
from mobile_stub.wire import Outcome
from push_service.model.user import User
from tests.conftest import MakeOffice, MakeService
from tests.support.browser import Browser, Json, Reply
from tests.support.people import PASSWORD, Office

from .support import (
    POLLING,
    REPLACED,
    activation_proof,
    audit,
    dump,
    jws,
    plain,
    proof,
    ready_socket,
    scene,
    whole_file,
)

DEVICES = "/v1/devices"
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1


@dataclass(frozen=True)
class Doorway:
    """Where phones are bound, seen by whoever has a code or would like to."""

    desk: Office
    browser: Browser

    async def code(self, user: User) -> str:
        """A fresh code of that person."""
        return (await self.desk.activation(user)).partition("#code=")[2]

    async def bind(self, code: str, key: DeviceKey, **changed: object) -> Reply:
        """Try to bind a key by a code; `changed` replaces members of an honest request, None takes one out."""
        body: Json = {
            "activation_code": code,
            "jwk": public(key),
            "name": "Phone",
            "platform": "stub",
            "proof": activation_proof(key, self.desk.service.url, code, time.time()),
        } | changed
        return await self.browser.request("POST", DEVICES, json={n: v for n, v in body.items() if v is not None})


def public(key: DeviceKey) -> Json:
    """A key's public half as it is sent."""
    jwk = key.jwk()
    return {"kty": jwk.kty, "crv": jwk.crv, "x": jwk.x, "y": jwk.y}


@pytest.fixture
async def doorway(desk: Office) -> AsyncIterator[Doorway]:
    """The shared server's."""
    async with desk.browser() as browser:
        yield Doorway(desk, browser)


# --- S-56: one code, one phone ----------------------------------------------------------------------------------------


@pytest.mark.security("S-56")
async def test_a_code_binds_one_phone_which_may_ask_again_and_no_other(doorway: Doorway) -> None:
    user = await doorway.desk.person(password=None)
    code, key = await doorway.code(user), DeviceKey.generate()
    first = await doorway.bind(code, key)
    assert (first.status, first.body["user"]["id"]) == (201, user.id)
    bound = dump(doorway.desk, user)
    again = await doorway.bind(code, key)
    assert (again.status, again.body) == (201, first.body)
    other = await doorway.bind(code, DeviceKey.generate())
    assert (other.status, other.code) == (400, "invalid_activation_code")
    assert first.body["totp"]["secret"] not in str(other.body)
    borrowed = await doorway.bind(code, DeviceKey.generate(), jwk=public(key))
    assert (borrowed.status, borrowed.code) == (401, "invalid_proof")
    assert dump(doorway.desk, user) == bound
    assert [each.kind for each in audit(doorway.desk, user)].count("device.added") == 1


@pytest.mark.security("S-56")
async def test_of_two_phones_with_one_code_at_once_one_is_bound(doorway: Doorway) -> None:
    for _ in range(8):
        user = await doorway.desk.person(password=None)
        code, keys = await doorway.code(user), [DeviceKey.generate() for _ in range(3)]
        # The first phone sends twice, as after a lost reply: both of its requests hear the same.
        replies = await asyncio.gather(*(doorway.bind(code, key) for key in (*keys, keys[0])))
        bound = {reply.body["device_id"] for reply in replies if reply.status == 201}
        assert len(bound) == 1
        assert {reply.code for reply in replies if reply.status != 201} == {"invalid_activation_code"}
        assert replies[0].status == replies[3].status
        assert [row[0] for row in dump(doorway.desk, user)["devices"]] == list(bound)


@pytest.mark.security("S-56")
async def test_every_code_that_is_not_open_gets_one_and_the_same_answer(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service()
    desk = await make_office(service)
    service.environment["PUSH_SERVICE_POLICY__ACTIVATION_SECONDS"] = "1"
    hasty = await make_office(service)  # an operator whose codes live a second
    async with desk.browser() as browser:
        doorway = Doorway(desk, browser)
        person, waiting = await desk.person(password=None), await desk.person()
        expired = await Doorway(hasty, browser).code(person)
        issued_at = time.time()
        other = await desk.person(password=None)
        replaced = await doorway.code(other)
        newer = await doorway.code(other)
        used = await doorway.code(await desk.person(password=None))
        assert (await doorway.bind(used, DeviceKey.generate())).status == 201
        sign_in = await browser.begin(waiting.username, PASSWORD)
        door = {"Authorization": f"Bearer {sign_in.body['registration']['token']}"}
        dead = (await browser.request("POST", "/v1/me/devices", headers=door)).body["code"]
        assert (await sign_in.cancel()).status == 200
        before = dump(desk, person, other, waiting)
        bodies = []
        for name, code in {
            "replaced by a newer one": replaced,
            "used by another phone": used,
            "of a sign-in that is over": dead,
            "never issued": "A" * 24,
            "in small letters": newer.lower(),
            "a letter short": newer[:-1],
            "a letter long": newer + "A",
            "padded": newer + "=",
            "with a space": f"{newer} ",
            "SQL": "' OR '1'='1",
            "the hash": "x" * 43,
        }.items():
            reply = await doorway.bind(code, DeviceKey.generate())
            assert (reply.status, reply.code) == (400, "invalid_activation_code"), name
            bodies.append(reply.body)
        assert dump(desk, person, other, waiting) == before
        await asyncio.sleep(
            max(0.0, issued_at + 1.1 - time.time())
        )  # a code's whole life: nobody tells that it is over
        bodies.append((await doorway.bind(expired, DeviceKey.generate())).body)
        assert all(each == bodies[0] for each in bodies)
        assert not dump(desk, person, other, waiting)["devices"]
        codes = (replaced, newer, used, dead, expired)
        places = [service.log, *(whole_file(desk, table) for table in ("audit", "activations", "users", "devices"))]
        for code in codes:
            assert len(code) * 5 >= 112
            assert all(code not in place for place in places)


@pytest.mark.security("S-56")
async def test_a_proof_for_one_code_opens_no_other(doorway: Doorway) -> None:
    alice, bob = await doorway.desk.person(password=None), await doorway.desk.person(password=None)
    hers, his, key = await doorway.code(alice), await doorway.code(bob), DeviceKey.generate()
    before = dump(doorway.desk, alice, bob)
    now, url = time.time(), doorway.desk.service.url
    for name, token in {
        "of another code": activation_proof(key, url, his, now),
        "of no code": activation_proof(key, url, "", now),
        "for another service": activation_proof(key, "https://evil.example", hers, now),
        "of an hour ago": activation_proof(key, url, hers, now - 3600),
        "by another key": activation_proof(DeviceKey.generate(), url, hers, now),
        "of another type": activation_proof(key, url, hers, now, typ="JWT"),
        "unsigned": activation_proof(key, url, hers, now).rpartition(".")[0] + ".",
    }.items():
        reply = await doorway.bind(hers, key, proof=token)
        assert (reply.status, reply.code) == (401, "invalid_proof"), name
        assert reply.body["server_time"]
    for member in ("activation_code", "jwk", "name", "platform", "proof"):
        reply = await doorway.bind(hers, key, **{member: None})
        assert (reply.status, reply.code) == (400, "invalid_request"), member
    for member, odd in {"user": bob.id, "device_id": "dev_x", "kid": "x"}.items():
        assert (await doorway.bind(hers, key, **{member: odd})).code == "invalid_request"
    assert dump(doorway.desk, alice, bob) == before
    assert (await doorway.bind(hers, key)).body["user"]["id"] == alice.id


@pytest.mark.security("S-08", "S-56")
async def test_a_key_that_is_no_public_point_of_p_256_or_is_bound_already_is_refused_and_the_code_stays_open(
    doorway: Doorway,
) -> None:
    async with scene(doorway.desk) as other:
        user = await doorway.desk.person(password=None)
        code, key = await doorway.code(user), DeviceKey.generate()
        good = public(key)
        before = dump(doorway.desk, user, other.user)
        for name, jwk in _bad_keys(good).items():
            reply = await doorway.bind(code, key, jwk=jwk)
            assert (reply.status, reply.code) in {(400, "invalid_key"), (400, "invalid_request")}, (name, reply)
            assert dump(doorway.desk, user, other.user) == before, name
        taken = await doorway.bind(code, other.phone.key)
        assert (taken.status, taken.code) == (400, "invalid_key")
        assert other.user.username not in str(taken.body)
        assert dump(doorway.desk, user, other.user) == before
        assert (await doorway.bind(code, key)).status == 201
        newer = await doorway.code(user)
        assert (await doorway.bind(newer, key)).code == "invalid_key"


def _bad_keys(good: Json) -> dict[str, object]:
    x, y = good["x"], good["y"]
    zero, prime = base64url(bytes(32)), base64url(P256_PRIME.to_bytes(32, "big"))
    bad: dict[str, object] = {
        "off the curve": good | {"y": x},
        "swapped": good | {"x": y, "y": x},
        "infinity as zeros": good | {"x": zero, "y": zero},
        "infinity as nothing": good | {"x": "", "y": ""},
        "x of the field's size": good | {"x": prime},
        "x and y of the field's size": good | {"x": prime, "y": prime},
        "all ones": good | {"x": base64url(b"\xff" * 32), "y": base64url(b"\xff" * 32)},
        "a byte short": good | {"x": base64url(bytes(31))},
        "a byte long": good | {"x": base64url(bytes(33))},
        "padded": good | {"x": f"{x}="},
        "not canonical": good | {"x": x[:-1] + ("B" if x[-1] == "A" else chr(ord(x[-1]) ^ 1))},
        "standard base64": good | {"x": "+/" + x[2:]},
        "with its private part": good | {"d": base64url(b"\1" * 32)},
        "with an empty private part": good | {"d": ""},
        "of the kind of a symmetric key": good | {"kty": "oct", "k": base64url(bytes(32))},
        "symmetric": {"kty": "oct", "k": base64url(bytes(32))},
        "without a curve": {name: value for name, value in good.items() if name != "crv"},
        "under another curve's name": good | {"crv": "P-384"},
        "under a small name": good | {"crv": "p-256"},
        "kty in small letters": good | {"kty": "ec"},
        "as a list": [good],
        "as a text": str(good),
        "as a set": {"keys": [good]},
        "as a number": 1,
        "empty": {},
        "x a number": good | {"x": 1},
        "x a list": good | {"x": [x]},
    }
    for curve in (ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()):
        point = ec.generate_private_key(curve).public_key().public_numbers()
        size = (curve.key_size + 7) // 8
        whole = {"x": base64url(point.x.to_bytes(size, "big")), "y": base64url(point.y.to_bytes(size, "big"))}
        name = {"secp384r1": "P-384", "secp521r1": "P-521"}.get(curve.name, curve.name)
        bad[f"of {name}"] = {"kty": "EC", "crv": name, **whole}
        bad[f"of {name}, said to be P-256"] = {"kty": "EC", "crv": "P-256", **whole}
    edwards = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    bad["Ed25519"] = {"kty": "OKP", "crv": "Ed25519", "x": base64url(edwards)}
    bad["RSA"] = {"kty": "RSA", "n": base64url(modulus.to_bytes(256, "big")), "e": "AQAB"}
    return bad


# --- S-57: a device is its own ----------------------------------------------------------------------------------------


@pytest.mark.security("S-57")
async def test_a_device_changes_by_its_own_proof_only(desk: Office) -> None:
    async with (
        scene(desk) as stage,
        scene(desk) as mallory,
        await desk.phone(stage.user, "Second", setup=POLLING) as second,
    ):
        before = stage.dump(mallory.user)
        forged = proof(mallory.phone, "PATCH", "/v1/device")
        for name, token in {
            "another person's key under this device's name": _renamed(mallory.phone, stage.phone.device_id),
            "the person's other phone under this device's name": _renamed(second, stage.phone.device_id),
            "an old proof": proof(stage.phone, "PATCH", "/v1/device", iat=int(time.time()) - 3600),
        }.items():
            for body in ({"push_token": "theirs"}, {"name": "Theirs"}):
                reply = await stage.call("PATCH", "/v1/device", proof=token, body=body)
                assert (reply.status, reply.code) == (401, "invalid_proof"), name
        for member in ("device_id", "id", "user_id", "key", "jwk", "state"):
            reply = await stage.call("PATCH", "/v1/device", phone=second, body={member: stage.phone.device_id})
            assert (reply.status, reply.code) == (400, "invalid_request"), member
        for path in (f"/v1/devices/{stage.phone.device_id}", f"/v1/device/{stage.phone.device_id}"):
            for method in ("PATCH", "DELETE", "PUT", "GET"):
                reply = await stage.call(method, path, phone=second, body={"name": "x"})
                assert reply.status in {404, 405}, (method, path)
        assert stage.dump(mallory.user) == before
        # What a device may change is its own.
        assert (await mallory.call("PATCH", "/v1/device", proof=forged, body={"push_token": "t"})).status == 200
        mine = [row for row in stage.dump(mallory.user)["devices"] if mallory.phone.device_id not in row]
        assert mine == [row for row in before["devices"] if mallory.phone.device_id not in row]


def _renamed(phone: Phone, device_id: str) -> str:
    """A proof by this phone's key, in the name of another device."""
    made = proof_claims("PATCH", phone.identity.issuer + "/v1/device", time.time())
    return jws({"alg": "ES256", "typ": "device-proof+jwt", "kid": device_id}, plain(made), phone.key)


@pytest.mark.security("S-57")
async def test_a_further_phone_displaces_none_and_the_last_one_can_not_vanish(desk: Office) -> None:
    async with scene(desk) as stage, ready_socket(stage.browser.session, stage.phone) as socket:
        before = stage.dump()["devices"]
        async with await desk.phone(stage.user, stage.phone.identity.name, setup=POLLING) as second:
            after = stage.dump()["devices"]
            assert [row for row in after if second.device_id not in row] == before
            sign_in, challenge = await stage.ask()
            assert (await socket.until("challenge"))["challenge"]["id"] == challenge.id
            assert await stage.phone.answer_by_http(challenge, Decision.VERIFY, sign_in.number) is Outcome.COMPLETED
            assert (await stage.call("DELETE", "/v1/device", phone=second)).status == 204
        left = stage.dump()
        last = await stage.call("DELETE", "/v1/device")
        assert (last.status, last.code) == (409, "last_method")
        assert stage.dump() == left
        added = [each.data["device"] for each in stage.audit() if each.kind == "device.added"]
        assert added == [stage.phone.device_id, second.device_id]
        assert stage.audit()[-1].code == "last_method"


@pytest.mark.security("S-57", "S-43")
async def test_a_devices_name_can_not_hide_what_it_imitates(desk: Office) -> None:
    async with scene(desk) as stage:
        disguises = {
            "Pix\u202eel": "Pixel",
            "\u200bPixel\u2066": "Pixel",
            "  Pixel \t\n 9 ": "Pixel 9",
            "Pixel\x1b[31m": "Pixel[31m",
        }
        for name, shown in disguises.items():
            reply = await stage.call("PATCH", "/v1/device", body={"name": name})
            assert (reply.status, reply.body["name"]) == (200, shown), name
        before = stage.dump()
        for odd in ("", " ", "\u200b", "x" * 65, "x" * 257, 1, ["x"]):
            reply = await stage.call("PATCH", "/v1/device", body={"name": odd})
            assert (reply.status, reply.code) == (400, "invalid_request"), odd
        assert stage.dump() == before


@pytest.mark.security("S-57", "S-64")
async def test_of_a_copied_key_on_two_sockets_the_newer_one_stays(desk: Office) -> None:
    async with (
        scene(desk) as stage,
        ready_socket(stage.browser.session, stage.phone) as older,
        ready_socket(stage.browser.session, stage.phone) as newer,
    ):
        assert (await older.close_code())[0] == REPLACED
        sign_in, _ = await stage.ask()
        assert (await newer.until("challenge"))["challenge"]["id"] == sign_in.body["challenge"]["id"]
