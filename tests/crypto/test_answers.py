"""A device's answer: each of its claims wrong in its turn changes nothing and counts nothing."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from push_service.crypto import answers, jws
from push_service.crypto.jws import base64url
from push_service.model import ids
from push_service.model.challenge import Challenge, ChallengeState, MethodKind
from push_service.model.device import Device
from push_service.model.errors import InvalidAnswer
from push_service.model.instant import MICROSECONDS, Instant, after, unix
from push_service.model.method import AnswerDecision, SignedAnswer
from tests.crypto.forging import ORDER, numbers, part, raw, token, without

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = jws.public_key_of(KEY)
NOW = Instant(int(time.time()) * MICROSECONDS)
CHALLENGE = Challenge(
    id=ids.challenge_id(),
    sign_in_id=ids.sign_in_id(),
    user_id=ids.user_id(),
    method_id=ids.method_id(),
    kind=MethodKind.APP_NOTIFICATION,
    target="Pixel",
    nonce="the-nonce-of-this-challenge",
    context="header.payload.signature",
    secret="42",
    digits=2,
    started_at=NOW,
)
TAP = msgspec.structs.replace(CHALLENGE, digits=0, secret=None)
DEVICE = Device(
    id=ids.device_id(),
    user_id=CHALLENGE.user_id,
    key=PUBLIC,
    thumbprint=jws.thumbprint(PUBLIC),
    name="Pixel",
    platform="stub",
    activated_at=NOW,
)
HEADER = {"alg": "ES256", "kid": DEVICE.id, "typ": "device-answer+jwt"}
CLAIMS: dict[str, Any] = {
    "challenge_id": CHALLENGE.id,
    "nonce": CHALLENGE.nonce,
    "decision": "verify",
    "number": "42",
    "ctx": answers.context_digest(CHALLENGE.context),
    "iat": unix(NOW),
}


def check(claims: object = CLAIMS, challenge: Challenge = CHALLENGE, header: object = HEADER) -> SignedAnswer:
    """Everything that is looked at before a rule is asked."""
    given = answers.ReceivedAnswer(token(KEY, header, claims)).check(DEVICE, challenge, NOW)
    if challenge.state is ChallengeState.PENDING:
        answers.require_number(given, challenge)
    return given


def test_a_right_answer_is_read() -> None:
    given = check()
    assert (given.challenge_id, given.device_id, given.thumbprint) == (CHALLENGE.id, DEVICE.id, DEVICE.thumbprint)
    assert (given.decision, given.number) == (AnswerDecision.VERIFY, "42")
    assert answers.ReceivedAnswer(token(KEY, HEADER, CLAIMS)).challenge_id == CHALLENGE.id


WRONG: dict[str, dict[str, Any]] = {
    "another challenge": {"challenge_id": ids.challenge_id()},
    "another nonce": {"nonce": "of-another-challenge"},
    "no nonce": {"nonce": ""},
    "context of another": {"ctx": answers.context_digest("another.context.text")},
    "the context itself": {"ctx": CHALLENGE.context},
    "context digest in hex": {"ctx": "ab" * 32},
    "no decision": {"decision": ""},
    "unknown decision": {"decision": "approve"},
    "decision in upper case": {"decision": "VERIFY"},
    "decision as list": {"decision": ["verify"]},
    "time as text": {"iat": str(unix(NOW))},
    "time as float": {"iat": unix(NOW) + 0.5},
    "time beyond numbers": {"iat": 1e300},
    "time negative": {"iat": -1},
    "before it was asked": {"iat": unix(NOW) - 61},
    "in a minute and more": {"iat": unix(NOW) + 61},
}
NUMBERS: dict[str, Any] = {
    "null": None,
    "empty": "",
    "integer": 42,
    "three digits": "042",
    "one digit": "4",
    "nine digits": "424242424",
    "full width": "４２",  # noqa: RUF001 - the look-alike is the point
    "Arabic digits": "٤٢",
    "superscript": "⁴²",
    "space before": " 42",
    "space after": "42 ",
    "newline": "42\n",
    "sign": "+4",
    "letters": "4x",
    "list": ["42"],
    "list of digits": ["4", "2"],
    "bool": True,
}


@pytest.mark.security("S-02", "S-09")
@pytest.mark.parametrize("case", WRONG)
def test_each_claim_wrong_in_its_turn_is_refused(case: str) -> None:
    with pytest.raises(InvalidAnswer):
        check({**CLAIMS, **WRONG[case]})


@pytest.mark.security("S-02", "S-14")
@pytest.mark.parametrize("name", CLAIMS)
def test_each_claim_missing_in_its_turn_is_refused(name: str) -> None:
    with pytest.raises(InvalidAnswer):
        check(without(CLAIMS, name))


@pytest.mark.security("S-14")
@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_of_the_wrong_shape_is_ill_formed_not_wrong(case: str) -> None:
    with pytest.raises(InvalidAnswer):
        check({**CLAIMS, "number": NUMBERS[case]})


@pytest.mark.security("S-14")
def test_a_wrong_number_of_the_right_shape_is_for_the_rules_to_judge() -> None:
    assert check({**CLAIMS, "number": "99"}).number == "99"


@pytest.mark.security("S-14")
@pytest.mark.parametrize("claim", [{"confirm": "tap"}, {"digits": 0}, {"version": "1.0"}])
def test_the_phone_does_not_choose_how_it_confirms(claim: dict[str, object]) -> None:
    with pytest.raises(InvalidAnswer):
        check({**without(CLAIMS, "number"), **claim})


def test_where_a_tap_is_enough_no_number_is_needed() -> None:
    assert check(without(CLAIMS, "number"), TAP).decision is AnswerDecision.VERIFY


@pytest.mark.parametrize("decision", ["deny", "report_fraud"])
def test_saying_no_needs_no_number_and_any_number_is_left_out(decision: str) -> None:
    plain = check({**without(CLAIMS, "number"), "decision": decision})
    assert plain.number is None
    assert check({**CLAIMS, "decision": decision}) == plain


@pytest.mark.security("S-09")
def test_the_phones_clock_may_be_a_minute_off_from_asking_to_now() -> None:
    asked = msgspec.structs.replace(CHALLENGE, started_at=after(NOW, -100))
    for iat in (unix(NOW) - 160, unix(NOW) - 100, unix(NOW), unix(NOW) + 60):
        assert check({**CLAIMS, "iat": iat}, asked).number == "42"
    with pytest.raises(InvalidAnswer):
        check({**CLAIMS, "iat": unix(NOW) - 161}, asked)


@pytest.mark.security("S-01")
def test_the_same_answer_has_one_digest_whatever_its_bytes() -> None:
    text = token(KEY, HEADER, CLAIMS)
    signed = text.rpartition(".")[0]
    r, s = numbers(KEY, signed)
    twin = f"{signed}.{base64url(raw(r, ORDER - s))}"
    reordered = token(KEY, dict(reversed(HEADER.items())), dict(reversed(CLAIMS.items())))
    later = token(KEY, HEADER, {**CLAIMS, "iat": unix(NOW) + 5})
    texts = [text, f"{signed}.{base64url(raw(r, s))}", twin, reordered, later]
    assert len({answers.ReceivedAnswer(each).check(DEVICE, CHALLENGE, NOW).digest for each in texts}) == 1


@pytest.mark.security("S-01")
def test_another_answer_has_another_digest() -> None:
    digests = [check({**CLAIMS, "number": number}).digest for number in ("42", "24", "99")]
    digests += [check({**CLAIMS, "decision": decision}).digest for decision in ("deny", "report_fraud")]
    assert len(set(digests)) == len(digests)


@pytest.mark.security("S-01")
def test_after_the_outcome_a_number_of_any_shape_is_only_another_answer() -> None:
    """Too late comes before the number is looked at."""
    over = CHALLENGE.ended(ChallengeState.COMPLETED, NOW)
    assert check({**CLAIMS, "number": "123456"}, over).number == "123456"
    assert check(without(CLAIMS, "number"), over).number is None


@pytest.mark.security("S-07")
@pytest.mark.parametrize(
    "change",
    [
        {"kid": None},
        {"kid": ids.device_id()},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
        {"kid": f"{DEVICE.id}\0"},
        {"jwk": {"kty": "EC", "crv": "P-256", "x": PUBLIC.x, "y": PUBLIC.y}},
        {"typ": "device-proof+jwt"},
        {"typ": "sign-in-context+jwt"},
        {"typ": "sign-in-result+jwt"},
    ],
)
def test_a_header_that_is_not_this_devices_answers_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidAnswer):
        check(header={**HEADER, **change})


@pytest.mark.security("S-03", "S-07")
def test_another_device_cannot_answer_in_this_ones_name() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(InvalidAnswer):
        answers.ReceivedAnswer(token(other, HEADER, CLAIMS)).check(DEVICE, CHALLENGE, NOW)


@pytest.mark.security("S-06")
@pytest.mark.parametrize("name", CLAIMS)
def test_no_claim_may_come_twice(name: str) -> None:
    text = part(CLAIMS)
    assert check(jws.from_base64url(text)) == check()
    doubled = jws.from_base64url(text)[:-1] + b', "%b": %b}' % (name.encode(), b'"42"')
    with pytest.raises(InvalidAnswer):
        check(doubled)


@pytest.mark.security("S-06")
@pytest.mark.parametrize("text", ["", "a.b.c", "é.é.é", "\udc80", "A" * 2**20, "{}", "null"])
def test_what_is_no_token_is_no_answer(text: str) -> None:
    with pytest.raises(InvalidAnswer):
        answers.ReceivedAnswer(text)
