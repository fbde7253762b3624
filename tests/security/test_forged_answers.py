"""Answers whose algorithm, shape, key or signature is not what a device makes: S-05 to S-08."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import io
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mobile_stub.forgeries import (
    P256_ORDER,
    DerSignature,
    FixedSignature,
    MislabelledAlgorithm,
    SharedSecret,
    Unsigned,
    high_s_twin,
)
from mobile_stub.keys import DeviceKey, Signer, base64url
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.wire import Challenge
from tests.support.people import Office

from .support import (
    POLLING,
    answer_path,
    claims,
    header,
    jws,
    refused_all,
    scene,
)


@dataclass(frozen=True)
class _Foreign:
    """A real signature by a real key of another kind."""

    alg: str
    make: Callable[[bytes], bytes]

    def sign(self, signing_input: bytes) -> bytes:
        return self.make(signing_input)


def _raw_ecdsa(key: ec.EllipticCurvePrivateKey, digest_by: hashes.HashAlgorithm, size: int) -> Callable[[bytes], bytes]:
    def make(text: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(digest_by)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return make


def _hs512(secret: bytes, text: bytes) -> bytes:
    return hmac.digest(secret, text, hashlib.sha512)


def _public_forms(key: DeviceKey) -> dict[str, bytes]:
    """Everything that a verifier might mistake for a shared secret."""
    loaded = serialization.load_pem_private_key(key.to_pem().encode(), password=None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    public, jwk = loaded.public_key(), key.jwk()
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    text = {"crv": jwk.crv, "kty": jwk.kty, "x": jwk.x, "y": jwk.y}
    return {
        "PEM": public.public_bytes(pem, info),
        "PEM without its last newline": public.public_bytes(pem, info).rstrip(),
        "DER": public.public_bytes(der, info),
        "JWK text": json.dumps(text, separators=(",", ":")).encode(),
        "JWK text with spaces": json.dumps(text).encode(),
        "raw point": public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
        "compressed point": public.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        ),
        "x": jwk.x.encode(),
        "nothing": b"",
    }


def _confused_algorithms(phone: Phone, challenge: Challenge, number: str) -> dict[str, str]:
    said, key = claims(phone, challenge, number), phone.key
    forged: dict[str, str] = {}
    for alg in ("none", "None", "nOnE", "NONE", ""):
        forged[f"alg {alg!r} unsigned"] = jws(header(phone, alg=alg), said, Unsigned())
        forged[f"alg {alg!r} signed"] = jws(header(phone, alg=alg), said, key)
    for form, secret in _public_forms(key).items():
        forged[f"HS256 keyed with {form}"] = jws(header(phone, alg="HS256"), said, SharedSecret(secret))
        forged[f"ES256 by name, HMAC with {form}"] = jws(header(phone), said, SharedSecret(secret))
        twice = _Foreign("HS512", functools.partial(_hs512, secret))
        forged[f"HS512 of 64 bytes with {form}"] = jws(header(phone), said, twice)
    p384, k1 = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256K1())
    edwards, big = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    for signer in (
        _Foreign("ES384", _raw_ecdsa(p384, hashes.SHA384(), 48)),
        _Foreign("ES256K", _raw_ecdsa(k1, hashes.SHA256(), 32)),
        _Foreign("EdDSA", edwards.sign),
        _Foreign("RS256", lambda text: big.sign(text, padding.PKCS1v15(), hashes.SHA256())),
        _Foreign("PS256", lambda text: big.sign(text, pss, hashes.SHA256())),
    ):
        forged[f"{signer.alg} by a key of its kind"] = jws(header(phone, alg=signer.alg), said, signer)
        forged[f"{signer.alg} said to be ES256"] = jws(header(phone), said, signer)
        forged[f"{signer.alg} by name only"] = jws(header(phone, alg=signer.alg), said, key)
    forged["ES256 over another digest"] = jws(
        header(phone), said, _Foreign("ES256", _raw_ecdsa(_private(key), hashes.SHA384(), 32))
    )
    for alg in ("es256", "ES256 ", "ES256\n", "HS256", "RS256", "ES512"):
        forged[f"alg {alg!r}"] = jws(header(phone, alg=alg), said, MislabelledAlgorithm(key, alg))
    for odd in (["ES256"], 256, True, {"alg": "ES256"}):
        forged[f"alg {odd!r}"] = jws(header(phone, alg=odd), said, key)
    forged["no alg"] = jws(header(phone, alg=None), said, key)
    forged["alg null"] = jws({**header(phone), "alg": None}, said, key)
    return forged


def _private(key: DeviceKey) -> ec.EllipticCurvePrivateKey:
    loaded = serialization.load_pem_private_key(key.to_pem().encode(), password=None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


@pytest.mark.security("S-05")
async def test_the_algorithm_comes_from_the_stored_key_and_never_from_the_token(desk: Office) -> None:
    async with scene(desk) as stage:
        await refused_all(stage, _confused_algorithms)


def _odd_shapes(phone: Phone, challenge: Challenge, number: str) -> dict[str, str]:
    said, key = claims(phone, challenge, number), phone.key
    token = phone.sign(challenge, Decision.VERIFY, number)
    head, body, signature = token.split(".")
    text, kid = json.dumps(said), phone.device_id
    flat = {"protected": head, "payload": body, "signature": signature}
    twice = f'{{"alg":"ES256","typ":"device-answer+jwt","kid":"{kid}","kid":"{kid}"}}'.encode()
    alg_twice = f'{{"alg":"none","alg":"ES256","typ":"device-answer+jwt","kid":"{kid}"}}'.encode()
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = signature[:-1] + last[last.index(signature[-1]) ^ 1]
    other_claims = base64url(json.dumps(said | {"number": "00"}).encode())
    spoilt_body = _non_canonical(body)
    return {
        "flattened JSON": json.dumps(flat),
        "general JSON": json.dumps({"payload": body, "signatures": [{"protected": head, "signature": signature}]}),
        "no signatures": json.dumps({"payload": body, "signatures": []}),
        "unprotected header": json.dumps(flat | {"header": {"alg": "ES256"}}),
        "alg in the unprotected header": json.dumps(
            {"payload": body, "header": {"alg": "ES256", "kid": kid}, "signature": signature}
        ),
        "unknown crit": jws(header(phone, crit=["x"], x=1), said, key),
        "empty crit": jws(header(phone, crit=[]), said, key),
        "crit exp": jws(header(phone, crit=["exp"], exp=1), said, key),
        "b64 false": jws(header(phone, b64=False, crit=["b64"]), said, key),
        "b64 false, not critical": jws(header(phone, b64=False), said, key),
        "b64 true": jws(header(phone, b64=True), said, key),
        "zip": jws(header(phone, zip="DEF"), said, key),
        "kid twice": jws(twice, said, key),
        "alg twice": jws(alg_twice, said, key),
        "decision twice": jws(header(phone), text.replace("{", '{"decision":"deny",', 1).encode(), key),
        "number twice": jws(header(phone), text.replace("{", '{"number":"00",', 1).encode(), key),
        "escaped name twice": jws(header(phone), text.replace("{", '{"\\u0064ecision":"deny",', 1).encode(), key),
        "claims as a list": jws(header(phone), [said], key),
        "claims as a text": jws(header(phone), json.dumps(text).encode(), key),
        "claims with a byte order mark": jws(header(phone), b"\xef\xbb\xbf" + text.encode(), key),
        "claims in UTF-16": jws(header(phone), text.encode("utf-16"), key),
        "claims not UTF-8": jws(header(phone), text.encode()[:-1] + b',"x":"\xff"}', key),
        "no claims": jws(header(phone), b"", key),
        "NaN": jws(header(phone), text.replace("{", '{"x":NaN,', 1).encode(), key),
        "deep claims": jws(header(phone), text.replace("{", '{"x":' + "[" * 2000 + "]" * 2000 + ",", 1).encode(), key),
        "header as a list": jws(b'["ES256"]', said, key),
        "empty header": jws(b"{}", said, key),
        "one part": body,
        "two parts": f"{head}.{body}",
        "an empty signature": f"{head}.{body}.",
        "four parts": f"{token}.{signature}",
        "five parts": f"{head}.{signature}.{body}.{signature}.{signature}",
        "six parts": f"{token}.{token}",
        "an empty part before": f".{token}",
        "an empty part after": f"{token}.",
        "dots": "..",
        "padding": f"{head}.{body}.{signature}==",
        "padded header": f"{head}{'=' * (-len(head) % 4) or '='}.{body}.{signature}",
        "newline after": f"{token}\n",
        "newline inside": f"{head}.\n{body}.{signature}",
        "space before": f" {token}",
        "NUL after": f"{token}\0",
        "full-width dot": token.replace(".", "\uff0e", 1),
        "standard base64": f"{head}.{body}.{_other_alphabet(signature)}",
        "another last character of the signature": f"{head}.{body}.{twin}",
        "another last character of the claims": f"{head}.{spoilt_body}.{signature}",
        "other claims under the signature": f"{head}.{other_claims}.{signature}",
        "other header under the signature": f"{base64url(json.dumps(header(phone)).encode())}x.{body}.{signature}",
        "a header of 60 KB": jws(header(phone, x="x" * 45_000), said, key),
        "claims of 60 KB": jws(header(phone), said | {"x": "x" * 45_000}, key),
        "empty": "",
    }


def _non_canonical(part: str) -> str:
    """The same bytes by another last character, where that can be; else a character too many."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return part + "A" if len(part) % 4 == 0 else part[:-1] + alphabet[alphabet.index(part[-1]) ^ 1]


def _other_alphabet(part: str) -> str:
    swapped = part.replace("-", "+").replace("_", "/")
    return swapped if swapped != part else "+" + part[1:]


@pytest.mark.security("S-06")
async def test_one_text_has_one_reading_and_any_other_shape_is_refused(desk: Office) -> None:
    async with scene(desk) as stage:
        await refused_all(stage, _odd_shapes)


@pytest.mark.security("S-06")
async def test_an_answer_that_is_no_text_or_a_mebibyte_is_refused_before_it_is_read(desk: Office) -> None:
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        before = stage.dump()
        huge = jws(
            header(stage.phone, x="x" * 1_048_576), claims(stage.phone, challenge, sign_in.number), stage.phone.key
        )
        path = answer_path(challenge.id)
        reply = await stage.browser.request(
            "POST",
            path,
            headers={
                "Authorization": f"Proof {stage.phone.api.proof('POST', path)}",
                "Content-Type": "application/json",
            },
            data=io.BytesIO(json.dumps({"answer": huge}).encode()),
        )
        assert (reply.status, reply.code) == (413, "body_too_large")
        for odd in (None, 1, True, [], ["a"], {}, {"payload": "", "signatures": []}):
            reply = await stage.post(challenge.id, odd)
            assert (reply.status, reply.code) == (400, "invalid_request"), odd
        honest = stage.phone.sign(challenge, Decision.VERIFY, sign_in.number)
        for body in ({}, {"answer": honest, "number": "42"}, {"answers": [honest]}):
            reply = await stage.call("POST", path, body=body)
            assert (reply.status, reply.code) == (400, "invalid_request"), body
        assert stage.dump() == before


@pytest.mark.security("S-07")
async def test_no_key_is_found_by_what_the_token_says_about_keys(desk: Office) -> None:
    called = asyncio.Event()

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        writer.close()

    trap = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{trap.sockets[0].getsockname()[1]}/keys.json"
    async with (
        trap,
        scene(desk) as stage,
        scene(desk) as other,
        await desk.phone(stage.user, "Second", setup=POLLING) as second,
    ):

        def forge(phone: Phone, challenge: Challenge, number: str) -> dict[str, str]:
            said, stray = claims(phone, challenge, number), DeviceKey.generate()
            own = {"kty": "EC", "crv": "P-256", "x": stray.jwk().x, "y": stray.jwk().y}
            forged = {
                "kid of the person's other phone": jws(header(phone, kid=second.device_id), said, phone.key),
                "signed by the person's other phone": jws(header(phone), said, second.key),
                "both of the other phone": jws(header(phone, kid=second.device_id), said, second.key),
                "kid of another person's phone": jws(header(phone, kid=other.phone.device_id), said, phone.key),
                "all of another person's phone": jws(header(phone, kid=other.phone.device_id), said, other.phone.key),
                "no kid": jws(header(phone, kid=None), said, phone.key),
                "kid null": jws({**header(phone), "kid": None}, said, phone.key),
                "jwk": jws(header(phone, jwk=own), said, stray),
                "jwk under the phone's own signature": jws(header(phone, jwk=own), said, phone.key),
                "jku": jws(header(phone, jku=url), said, stray),
                "x5u": jws(header(phone, x5u=url), said, stray),
                "x5c": jws(header(phone, x5c=["MIIB"]), said, stray),
                "x5t": jws(header(phone, **{"x5t#S256": "AAAA"}), said, stray),
                "jku under the phone's own signature": jws(header(phone, jku=url), said, phone.key),
                "a key of no one": jws(header(phone), said, stray),
            }
            for kid in (
                "",
                "../../../dev/null",
                "/etc/hostname",
                "' OR '1'='1",
                f"{phone.device_id}' --",
                f"{phone.device_id}\0",
                f"{phone.device_id} ",
                phone.device_id.upper(),
                "x" * 5000,
                url,
            ):
                forged[f"kid {kid[:40]!r}"] = jws(header(phone, kid=kid), said, phone.key)
            for odd in (["a"], 1, {"kid": phone.device_id}):
                forged[f"kid {odd!r}"] = jws(header(phone, kid=odd), said, phone.key)
            return forged

        await refused_all(stage, forge)
    assert not called.is_set()


def _bent_signatures(phone: Phone, challenge: Challenge, number: str) -> dict[str, str]:
    said, key = claims(phone, challenge, number), phone.key
    zero, order, one = bytes(32), P256_ORDER.to_bytes(32, "big"), (1).to_bytes(32, "big")
    top = b"\xff" * 32
    bent: dict[str, Signer] = {
        f"r {r_name}, s {s_name}": FixedSignature(r + s)
        for (r_name, r), (s_name, s) in itertools.product(
            {"0": zero, "n": order, "1": one, "2^256-1": top}.items(), repeat=2
        )
    }
    bent |= {
        "DER": DerSignature(key),
        "63 bytes": _Foreign("ES256", lambda text: key.sign(text)[:63]),
        "65 bytes": _Foreign("ES256", lambda text: key.sign(text) + b"\0"),
        "65 bytes with a zero before": _Foreign("ES256", lambda text: b"\0" + key.sign(text)),
        "r and s swapped": _Foreign("ES256", lambda text: key.sign(text)[32:] + key.sign(text)[:32]),
        "r right, s 0": _Foreign("ES256", lambda text: key.sign(text)[:32] + zero),
        "r 0, s right": _Foreign("ES256", lambda text: zero + key.sign(text)[32:]),
        "signature of something else": FixedSignature(key.sign(b"something else")),
        "no signature": FixedSignature(b""),
    }
    return {name: jws(header(phone), said, signer) for name, signer in bent.items()}


@pytest.mark.security("S-08")
async def test_a_signature_is_two_numbers_of_the_curve_in_64_bytes(desk: Office) -> None:
    async with scene(desk) as stage:
        await refused_all(stage, _bent_signatures)


@pytest.mark.security("S-08", "S-01")
async def test_the_high_s_twin_of_a_used_answer_is_the_same_answer(desk: Office) -> None:
    async with scene(desk) as stage:
        sign_in, challenge = await stage.ask()
        token = stage.phone.sign(challenge, Decision.DENY)
        assert (await stage.post(challenge.id, token)).body == {"outcome": "denied"}
        before = stage.dump()
        assert (await stage.post(challenge.id, high_s_twin(token))).body == {"outcome": "denied"}
        assert stage.dump() == before
        assert (await sign_in.look())["state"] == "denied"
