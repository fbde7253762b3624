"""What a phone signs, checked with another JOSE library; and its one-time codes against the RFC's own vectors."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from mobile_stub.forgeries import (
    DerSignature,
    FixedSignature,
    MislabelledAlgorithm,
    SharedSecret,
    Unsigned,
    high_s_twin,
)
from mobile_stub.keys import DeviceKey, JoseHeader, Signer, base64url, compact, digest, unbase64url
from mobile_stub.proofs import AnswerClaims, proof_claims, sign_answer, sign_proof
from mobile_stub.totp import TotpSettings, totp

KEY = DeviceKey.generate()
PUBLIC = ECKey.import_key(msgspec.to_builtins(KEY.jwk()))
URL = "https://mfa.example/v1/devices"
ANSWER = AnswerClaims(challenge_id="ch_1", nonce="n", decision="verify", number="42", ctx="c", iat=1)


def opened(token: str) -> tuple[dict[str, object], dict[str, object]]:
    verified = jws.deserialize_compact(token, PUBLIC, algorithms=["ES256"])
    return verified.headers(), json.loads(verified.payload)


def seed(hexadecimal: str) -> str:
    return base64.b32encode(bytes.fromhex(hexadecimal)).decode().rstrip("=")


SEEDS = {
    "SHA1": seed("3132333435363738393031323334353637383930"),
    "SHA256": seed("3132333435363738393031323334353637383930313233343536373839303132"),
    "SHA512": seed(
        "3132333435363738393031323334353637383930313233343536373839303132"
        "3334353637383930313233343536373839303132333435363738393031323334"
    ),
}


@pytest.mark.parametrize(
    ("at", "sha1", "sha256", "sha512"),
    [
        (59, "94287082", "46119246", "90693936"),
        (1111111109, "07081804", "68084774", "25091201"),
        (1111111111, "14050471", "67062674", "99943326"),
        (1234567890, "89005924", "91819424", "93441116"),
        (2000000000, "69279037", "90698825", "38618901"),
        (20000000000, "65353130", "77737706", "47863826"),
    ],
)
def test_codes_are_those_of_rfc_6238_appendix_b(at: int, sha1: str, sha256: str, sha512: str) -> None:
    for algorithm, code in (("SHA1", sha1), ("SHA256", sha256), ("SHA512", sha512)):
        settings = TotpSettings(secret=SEEDS[algorithm], algorithm=algorithm, digits=8)
        assert totp(settings, at) == code
        assert totp(msgspec.structs.replace(settings, digits=6), at) == code[2:]


def test_a_digest_is_that_of_a_published_pkce_example() -> None:
    # RFC 7636, appendix B: the same transformation of a text
    assert digest("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_proof_at_activation_names_method_url_time_and_the_code_by_its_digest_and_has_no_kid() -> None:
    header, claims = opened(sign_proof(proof_claims("POST", URL, 1000.9, activation_code="abc"), KEY))
    jti = claims.pop("jti")
    assert header == {"alg": "ES256", "typ": "device-proof+jwt"}
    assert claims == {"htm": "POST", "htu": URL, "iat": 1000, "ach": digest("abc")}
    assert len(str(jti)) >= 16


def test_a_later_proof_names_its_device_and_on_the_socket_the_nonce() -> None:
    header, claims = opened(sign_proof(proof_claims("GET", URL, 1, nonce="hello"), KEY, "dev_1"))
    assert (header["kid"], claims["nonce"], "ach" in claims) == ("dev_1", "hello", False)


def test_no_two_proofs_share_their_jti() -> None:
    assert len({proof_claims("GET", URL, 1).jti for _ in range(1000)}) == 1000


def test_an_answer_says_what_was_decided_about_what_was_shown_and_leaves_out_a_number_nobody_asked_for() -> None:
    header, claims = opened(sign_answer(ANSWER, KEY, "dev_1"))
    assert header == {"alg": "ES256", "typ": "device-answer+jwt", "kid": "dev_1"}
    assert claims == {
        "challenge_id": "ch_1",
        "nonce": "n",
        "decision": "verify",
        "number": "42",
        "ctx": "c",
        "iat": 1,
    }
    assert "number" not in opened(sign_answer(msgspec.structs.replace(ANSWER, number=None), KEY, "dev_1"))[1]


def test_a_key_comes_back_from_its_pem_and_a_key_of_another_kind_does_not() -> None:
    assert DeviceKey.from_pem(KEY.to_pem()).jwk() == KEY.jwk()
    with pytest.raises(ValueError, match="P-256"):
        DeviceKey.from_pem(ECKey.generate_key("P-384").as_pem(private=True).decode())


def test_the_public_key_holds_nothing_private() -> None:
    assert set(msgspec.to_builtins(KEY.jwk())) == {"kty", "crv", "x", "y"}


@pytest.mark.parametrize(
    "liar",
    [
        Unsigned(),
        SharedSecret(b"public key as a secret"),
        FixedSignature(bytes(64)),
        DerSignature(KEY),
        MislabelledAlgorithm(KEY, "ES384"),
        DeviceKey.generate(),
    ],
)
def test_no_forgery_passes_for_the_real_thing(liar: Signer) -> None:
    with pytest.raises(JoseError):
        opened(sign_answer(ANSWER, liar, "dev_1"))


def test_the_high_s_twin_is_another_text_with_an_equally_valid_signature() -> None:
    answer = sign_answer(ANSWER, KEY, "dev_1")
    twin = high_s_twin(answer)
    assert twin != answer
    assert opened(twin) == opened(answer)
    assert high_s_twin(twin) == answer


@given(st.binary())
def test_base64url_comes_back(data: bytes) -> None:
    assert unbase64url(base64url(data)) == data


def test_a_signature_goes_under_whatever_bytes_a_test_wants() -> None:
    header = msgspec.json.encode(JoseHeader(alg="ES256", typ="device-answer+jwt"))
    assert jws.deserialize_compact(compact(header, b"\xff{", KEY), PUBLIC, algorithms=["ES256"]).payload == b"\xff{"
