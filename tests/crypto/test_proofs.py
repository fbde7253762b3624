"""A device's proof holds for one request, at one time; each of its claims is looked at."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from push_service.crypto import jws, proofs
from push_service.crypto.proofs import Expected
from push_service.model.errors import InvalidProof
from push_service.model.instant import MICROSECONDS, Instant, rfc3339, unix
from tests.crypto.forging import token, without

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = jws.public_key_of(KEY)
NOW = Instant(int(time.time()) * MICROSECONDS)
URL = "https://verify.example/v1/device/challenges"
HEADER = {"alg": "ES256", "kid": "dev_1", "typ": "device-proof+jwt"}
CLAIMS: dict[str, Any] = {"htm": "GET", "htu": URL, "iat": unix(NOW), "jti": "a-jti-of-its-own"}
PLAIN = Expected(method="GET", url=URL, now=NOW)


def check(claims: object = CLAIMS, expected: Expected = PLAIN, header: object = HEADER) -> str:
    return proofs.check(token(KEY, header, claims), PUBLIC, expected)


def test_a_right_proof_gives_the_digest_of_its_id() -> None:
    digest = check()
    assert digest == check()
    assert digest != check({**CLAIMS, "jti": "another"})
    assert "a-jti" not in digest
    assert proofs.device_of(token(KEY, HEADER, CLAIMS), NOW) == "dev_1"


WRONG: dict[str, dict[str, Any]] = {
    "method of another": {"htm": "DELETE"},
    "method in lower case": {"htm": "get"},
    "another host": {"htu": "https://evil.example/v1/device/challenges"},
    "another port": {"htu": "https://verify.example:8443/v1/device/challenges"},
    "http": {"htu": URL.replace("https", "http")},
    "host in upper case": {"htu": URL.replace("verify", "VERIFY")},
    "trailing slash": {"htu": URL + "/"},
    "query": {"htu": URL + "?wait=25"},
    "encoded path": {"htu": URL.replace("device", "%64evice")},
    "no time": {"iat": None},
    "time as text": {"iat": str(unix(NOW))},
    "time as float": {"iat": unix(NOW) + 0.5},
    "time beyond numbers": {"iat": 1e300},
    "time as large integer": {"iat": 10**30},
    "time negative": {"iat": -unix(NOW)},
    "time as bool": {"iat": True},
    "61 seconds early": {"iat": unix(NOW) - 61},
    "61 seconds late": {"iat": unix(NOW) + 61},
    "a year late": {"iat": unix(NOW) + 31_536_000},
    "milliseconds": {"iat": unix(NOW) * 1000},
    "empty id": {"jti": ""},
    "id as number": {"jti": 7},
    "long id": {"jti": "x" * 257},
}


@pytest.mark.security("S-09", "S-10")
@pytest.mark.parametrize("case", WRONG)
def test_each_claim_wrong_in_its_turn_is_refused_with_the_time(case: str) -> None:
    with pytest.raises(InvalidProof) as refused:
        check({**CLAIMS, **WRONG[case]})
    assert refused.value.server_time == rfc3339(NOW)


@pytest.mark.security("S-10")
@pytest.mark.parametrize("name", CLAIMS)
def test_each_claim_missing_in_its_turn_is_refused(name: str) -> None:
    with pytest.raises(InvalidProof):
        check(without(CLAIMS, name))


@pytest.mark.security("S-09")
@pytest.mark.parametrize("skew", [-60, -30, 0, 30, 60])
def test_a_clock_may_be_a_minute_off(skew: int) -> None:
    assert check({**CLAIMS, "iat": unix(NOW) + skew})


@pytest.mark.security("S-10")
def test_on_the_socket_it_answers_that_sockets_hello() -> None:
    hello = Expected(method="GET", url=URL, now=NOW, nonce="of-this-hello")
    assert check({**CLAIMS, "nonce": "of-this-hello"}, hello)
    for nonce in ("of-an-old-hello", "", None, "of-this-hello "):
        with pytest.raises(InvalidProof):
            check({**CLAIMS, "nonce": nonce}, hello)
    with pytest.raises(InvalidProof):
        check(CLAIMS, hello)


@pytest.mark.security("S-10")
def test_at_activation_it_is_about_that_code() -> None:
    activation = Expected(method="GET", url=URL, now=NOW, activation="the-code")
    assert check({**CLAIMS, "ach": proofs.code_digest("the-code")}, activation)
    for ach in (proofs.code_digest("another-code"), "the-code", "", None):
        with pytest.raises(InvalidProof):
            check({**CLAIMS, "ach": ach}, activation)


@pytest.mark.security("S-02", "S-05", "S-06")
@pytest.mark.parametrize(
    "change", [{"typ": "device-answer+jwt"}, {"alg": "none"}, {"crit": ["x"]}, {"x5u": "https://evil.example"}]
)
def test_a_header_that_is_not_a_proofs_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidProof):
        check(header={**HEADER, **change})


@pytest.mark.security("S-07")
def test_another_devices_key_proves_nothing() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(InvalidProof):
        proofs.check(token(other, HEADER, CLAIMS), PUBLIC, PLAIN)


@pytest.mark.security("S-07")
@pytest.mark.parametrize("text", ["", "a.b.c", "é", token(KEY, without(HEADER, "kid"), CLAIMS)])
def test_whoever_does_not_say_who_they_are_is_told_the_time_and_nothing_else(text: str) -> None:
    with pytest.raises(InvalidProof) as refused:
        proofs.device_of(text, NOW)
    assert refused.value.server_time == rfc3339(NOW)


@pytest.mark.parametrize("payload", [b"[]", b"null", b"not JSON", b'{"htm":"GET","htm":"GET"}'])
def test_a_payload_that_is_no_set_of_claims_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidProof):
        check(payload)
