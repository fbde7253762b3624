"""The one form of token that is read: everything else is refused before anybody asks what it says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from push_service.crypto import jws
from push_service.crypto.jws import BadToken, base64url, from_base64url
from push_service.model.device import PublicKey
from tests.crypto.forging import ORDER, numbers, part, raw, token

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = jws.public_key_of(KEY)
TYP = "device-answer+jwt"
HEADER = {"alg": "ES256", "kid": "dev_1", "typ": TYP}
CLAIMS = {"decision": "verify", "number": "42"}
GOOD = token(KEY, HEADER, CLAIMS)


def accepted(text: str, key: PublicKey = PUBLIC) -> bytes:
    return jws.verify(jws.parse(text, TYP), jws.load_key(key))


def test_the_example_of_the_standard_verifies() -> None:
    """RFC 7515, appendix A.3."""
    header = "eyJhbGciOiJFUzI1NiJ9"
    payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    key = jws.load_key(
        PublicKey("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
    )
    example = jws.Unverified(
        jws.Header("ES256", TYP), from_base64url(payload), f"{header}.{payload}".encode(), from_base64url(signature)
    )
    assert json.loads(jws.verify(example, key)) == {
        "iss": "joe",
        "exp": 1300819380,
        "http://example.com/is_root": True,
    }
    other = jws.Unverified(example.header, example.payload, example.signed + b"A", example.signature)
    with pytest.raises(BadToken):
        jws.verify(other, key)


def test_what_is_signed_here_verifies_here_and_by_another_library() -> None:
    mine = jws.sign(json.dumps(CLAIMS).encode(), KEY, jws.encode_header(TYP, "dev_1"))
    assert json.loads(accepted(mine)) == CLAIMS
    assert json.loads(accepted(GOOD)) == CLAIMS
    stranger = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": PUBLIC.x, "y": PUBLIC.y})
    from joserfc import jws as other  # noqa: PLC0415 - beside ours of the same name

    assert json.loads(other.deserialize_compact(mine, stranger, ["ES256"]).payload) == CLAIMS


@pytest.mark.security("S-07")
def test_another_key_verifies_nothing() -> None:
    with pytest.raises(BadToken):
        accepted(GOOD, jws.public_key_of(ec.generate_private_key(ec.SECP256R1())))


@pytest.mark.security("S-02")
@pytest.mark.parametrize("typ", ["device-proof+jwt", "sign-in-context+jwt", "JWT", "", "Device-Answer+JWT", f"{TYP} "])
def test_a_token_of_another_kind_is_refused_whatever_it_says(typ: str) -> None:
    with pytest.raises(BadToken):
        jws.parse(token(KEY, {**HEADER, "typ": typ}, CLAIMS), TYP)


ALGORITHMS = (
    "none",
    "None",
    "nOnE",
    "HS256",
    "ES384",
    "ES256K",
    "RS256",
    "PS256",
    "EdDSA",
    "es256",
    "",
    256,
    None,
    ["ES256"],
)


@pytest.mark.security("S-05")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_there_is_one_algorithm_and_the_token_does_not_choose_it(algorithm: object) -> None:
    """Even with a signature by the right key."""
    with pytest.raises(BadToken):
        accepted(token(KEY, {**HEADER, "alg": algorithm}, CLAIMS))


@pytest.mark.security("S-05")
def test_a_token_without_an_algorithm_is_refused() -> None:
    with pytest.raises(BadToken):
        accepted(token(KEY, {"kid": "dev_1", "typ": TYP}, CLAIMS))


def _shared_secrets() -> list[bytes]:
    public = KEY.public_key()
    encoding, form = serialization.Encoding, serialization.PublicFormat
    return [
        public.public_bytes(encoding.PEM, form.SubjectPublicKeyInfo),
        public.public_bytes(encoding.DER, form.SubjectPublicKeyInfo),
        public.public_bytes(encoding.X962, form.UncompressedPoint),
        json.dumps({"kty": "EC", "crv": "P-256", "x": PUBLIC.x, "y": PUBLIC.y}).encode(),
    ]


@pytest.mark.security("S-05")
@pytest.mark.parametrize("algorithm", ["HS256", "ES256"])
@pytest.mark.parametrize("secret", _shared_secrets(), ids=["pem", "der", "point", "jwk"])
def test_the_public_key_is_no_shared_secret(algorithm: str, secret: bytes) -> None:
    signed = f"{part({**HEADER, 'alg': algorithm})}.{part(CLAIMS)}"
    for digest in ("sha256", "sha512"):
        signature = hmac.new(secret, signed.encode(), digest).digest()
        with pytest.raises(BadToken):
            accepted(f"{signed}.{base64url(signature)}")


def _edwards(signed: bytes) -> bytes:
    return ed25519.Ed25519PrivateKey.generate().sign(signed)


def _rsa(signed: bytes) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def _p384(signed: bytes) -> bytes:
    return ec.generate_private_key(ec.SECP384R1()).sign(signed, ec.ECDSA(hashes.SHA256()))


@pytest.mark.security("S-05", "S-08")
@pytest.mark.parametrize("sign", [_edwards, _rsa, _p384])
def test_signatures_of_other_kinds_are_refused(sign: Callable[[bytes], bytes]) -> None:
    signed = f"{part(HEADER)}.{part(CLAIMS)}"
    with pytest.raises(BadToken):
        accepted(f"{signed}.{base64url(sign(signed.encode()))}")


SHAPES: dict[str, Callable[[str, str, str], str]] = {
    "two parts": lambda h, p, _: f"{h}.{p}",
    "no signature": lambda h, p, _: f"{h}.{p}.",
    "four parts": lambda h, p, s: f"{h}.{p}.{s}.{s}",
    "five parts": lambda h, p, s: f"{h}..{p}.{s}.{s}",
    "six parts": lambda h, p, s: f"{h}.{p}.{s}.{h}.{p}.{s}",
    "empty": lambda *_: "",
    "dots": lambda *_: "..",
    "no payload": lambda h, _, s: f"{h}..{s}",
    "no header": lambda _, p, s: f".{p}.{s}",
    "padded header": lambda h, p, s: f"{h}=.{p}.{s}",
    "padded payload": lambda h, p, s: f"{h}.{p}=.{s}",
    "padded signature": lambda h, p, s: f"{h}.{p}.{s}==",
    "newline at the end": lambda h, p, s: f"{h}.{p}.{s}\n",
    "newline inside": lambda h, p, s: f"{h}.\n{p}.{s}",
    "space before": lambda h, p, s: f" {h}.{p}.{s}",
    "NUL": lambda h, p, s: f"{h}.{p}\0.{s}",
    "standard alphabet": lambda h, p, s: f"{h}.{p}.{s[:-2]}+/",
    "not ASCII": lambda h, p, s: f"{h}.{p}.{s[:-1]}é",
    "half a surrogate pair": lambda h, p, s: f"{h}.\udc80{p}.{s}",
    "full-width dots": lambda h, p, s: f"{h}．{p}．{s}",  # noqa: RUF001 - the look-alike is the point
    "a byte more": lambda h, p, s: f"{h}.{p}.{s}AA",
    "a byte less": lambda h, p, s: f"{h}.{p}.{s[:-2]}",
    "JSON": lambda h, p, s: json.dumps({"payload": p, "protected": h, "signature": s}),
    "JSON with many": lambda h, p, s: json.dumps({"payload": p, "signatures": [{"protected": h, "signature": s}]}),
    "JSON with none": lambda _, p, __: json.dumps({"payload": p, "signatures": []}),
}


@pytest.mark.security("S-06")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_token_has_one_shape(shape: str) -> None:
    text = SHAPES[shape](*GOOD.split("."))
    with pytest.raises(BadToken):
        accepted(text)


HEADERS: dict[str, object] = {
    "crit": {**HEADER, "crit": ["exp"], "exp": 1},
    "crit of nothing": {**HEADER, "crit": []},
    "payload not encoded": {**HEADER, "b64": False, "crit": ["b64"]},
    "payload not encoded, quietly": {**HEADER, "b64": False},
    "jku": {**HEADER, "jku": "https://evil.example/keys"},
    "x5u": {**HEADER, "x5u": "https://evil.example/cert"},
    "x5c": {**HEADER, "x5c": ["MIIB"]},
    "x5t": {**HEADER, "x5t": "abc"},
    "cty": {**HEADER, "cty": "JWT"},
    "zip": {**HEADER, "zip": "DEF"},
    "unknown": {**HEADER, "more": 1},
    "no typ": {"alg": "ES256", "kid": "dev_1"},
    "typ of another type": {**HEADER, "typ": [TYP]},
    "kid of another type": {**HEADER, "kid": 1},
    "alg twice": b'{"alg":"none","alg":"ES256","kid":"dev_1","typ":"device-answer+jwt"}',
    "alg twice in disguise": b'{"alg":"ES256","\\u0061lg":"ES256","kid":"dev_1","typ":"device-answer+jwt"}',
    "a list": [HEADER],
    "a text": "ES256",
    "null": None,
    "not JSON": b"alg=ES256",
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(HEADER).encode(),
    "UTF-16": json.dumps(HEADER).encode("utf-16"),
    "trailing": json.dumps(HEADER).encode() + b"{}",
    "nested without end": b"[" * 3000,
    "large": {**HEADER, "kid": "x" * 8192},
}


@pytest.mark.security("S-06", "S-07")
@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_says_algorithm_kind_and_key_and_nothing_else(kind: str) -> None:
    """Really signed, each of them."""
    with pytest.raises(BadToken):
        accepted(token(KEY, HEADERS[kind], CLAIMS))


@pytest.mark.security("S-06")
def test_a_megabyte_is_refused_unread() -> None:
    for text in ("A" * 2**20, f"{'A' * 2**20}.e30.{'A' * 86}", "." * 2**20):
        with pytest.raises(BadToken):
            jws.parse(text, TYP)


@pytest.mark.security("S-06")
def test_one_signature_has_one_text() -> None:
    """64 bytes leave four bits over in the last character: of its sixteen readings, one is accepted."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    start, last = GOOD[:-1], GOOD[-1]
    same = [char for char in alphabet if alphabet.index(char) >> 4 == alphabet.index(last) >> 4]
    assert len(same) == 16
    readings = []
    for char in alphabet:
        try:
            readings.append(accepted(start + char))
        except BadToken:
            continue
    assert len(readings) == 1


def _der(r: int, s: int) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature  # noqa: PLC0415

    return encode_dss_signature(r, s)


SIGNATURES: dict[str, Callable[[int, int], bytes]] = {
    "r is zero": lambda _, s: raw(0, s),
    "s is zero": lambda r, _: raw(r, 0),
    "both are zero": lambda *_: raw(0, 0),
    "r is the order": lambda _, s: raw(ORDER, s),
    "s is the order": lambda r, _: raw(r, ORDER),
    "both are the order": lambda *_: raw(ORDER, ORDER),
    "r is one more round": lambda r, s: raw((r + ORDER) % 2**256, s),
    "swapped": lambda r, s: raw(s, r),
    "negative r": lambda r, s: raw(ORDER - r, s),
    "DER": _der,
    "63 bytes": lambda r, s: raw(r, s)[:-1],
    "65 bytes": lambda r, s: raw(r, s) + b"\0",
    "65 bytes before": lambda r, s: b"\0" + raw(r, s),
    "all ones": lambda *_: b"\xff" * 64,
}


@pytest.mark.security("S-08")
@pytest.mark.parametrize("kind", SIGNATURES)
def test_a_signature_is_two_numbers_of_their_range_and_length(kind: str) -> None:
    signed = f"{part(HEADER)}.{part(CLAIMS)}"
    with pytest.raises(BadToken):
        accepted(f"{signed}.{base64url(SIGNATURES[kind](*numbers(KEY, signed)))}")


@pytest.mark.security("S-08")
def test_the_twin_of_a_signature_says_the_same_and_nothing_more() -> None:
    """Whoever sees (r, s) can write (r, n - s): that is why an answer is known by what it says, not by its bytes."""
    signed = f"{part(HEADER)}.{part(CLAIMS)}"
    r, s = numbers(KEY, signed)
    assert accepted(f"{signed}.{base64url(raw(r, s))}") == accepted(f"{signed}.{base64url(raw(r, ORDER - s))}")


def _coordinates(x: int, y: int) -> PublicKey:
    return PublicKey(base64url(x.to_bytes(32, "big")), base64url(y.to_bytes(32, "big")))


_POINT = KEY.public_key().public_numbers()
FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
KEYS: dict[str, PublicKey] = {
    "infinity": _coordinates(0, 0),
    "off the curve": _coordinates(_POINT.x, (_POINT.y + 1) % FIELD),
    "swapped": _coordinates(_POINT.y, _POINT.x),
    "x beyond the field": _coordinates(FIELD, _POINT.y),
    "all ones": _coordinates(2**256 - 1, 2**256 - 1),
    "of P-384": PublicKey(base64url(b"\1" * 48), base64url(b"\1" * 48)),
    "31 bytes": PublicKey(base64url(b"\1" * 31), PUBLIC.y),
    "33 bytes": PublicKey(base64url(b"\0" + from_base64url(PUBLIC.x)), PUBLIC.y),
    "empty": PublicKey("", ""),
    "padded": PublicKey(PUBLIC.x + "=", PUBLIC.y),
    "not base64url": PublicKey(PUBLIC.x[:-1] + "+", PUBLIC.y),
}


@pytest.mark.security("S-08")
@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_a_point_of_the_curve(kind: str) -> None:
    with pytest.raises(BadToken):
        jws.load_key(KEYS[kind])


def test_a_thumbprint_is_what_another_library_computes() -> None:
    """RFC 7638."""
    for _ in range(20):
        key = jws.public_key_of(ec.generate_private_key(ec.SECP256R1()))
        other = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": key.x, "y": key.y})
        assert jws.thumbprint(key) == other.thumbprint()
    # And by hand, from the members in the order of the standard (section 3.3).
    members = {"crv": "P-256", "kty": "EC", "x": PUBLIC.x, "y": PUBLIC.y}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest()
    assert from_base64url(jws.thumbprint(PUBLIC)) == digest


@given(st.binary(min_size=1, max_size=100))
def test_bytes_come_back_from_their_text(data: bytes) -> None:
    assert from_base64url(base64url(data)) == data
    assert base64url(data) == base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.security("S-06")
@given(st.text(alphabet="ABab01-_", min_size=1, max_size=12))
def test_every_text_that_is_read_is_the_one_text_of_its_bytes(text: str) -> None:
    try:
        data = from_base64url(text)
    except BadToken:
        return
    assert base64url(data) == text


@pytest.mark.parametrize(
    "text", ["", "A", "AB", "AAAAA", "QQ==", "QR", "QUJ", "a b", "QQ\n", "QQ+", "QQ/", "é", "QQ\0"]
)
def test_what_is_not_canonical_base64url_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        from_base64url(text)


@given(st.text(max_size=200) | st.lists(st.text(max_size=60), min_size=3, max_size=3).map(".".join))
def test_no_text_whatever_makes_more_than_a_refusal(text: str) -> None:
    with pytest.raises(BadToken):
        accepted(text)
