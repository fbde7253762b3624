"""Codes that change with time: the published vectors, the window, drift, and each step at most once."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from push_service.model.instant import MICROSECONDS, Instant
from push_service.model.totp import MAX_DRIFT, Algorithm, TotpKey, used_before, verify
from push_service.model.user import TotpUse

NOW = Instant(1_790_000_010 * MICROSECONDS)


def _key(length: int, algorithm: Algorithm = Algorithm.SHA1, digits: int = 6) -> TotpKey:
    """The key of the RFCs: `1234567890` over and over."""
    secret = (b"1234567890" * 7)[:length]
    return TotpKey(base64.b32encode(secret).decode().rstrip("="), algorithm, digits)


KEY = _key(20)
HERE = KEY.step(NOW)


def _at(seconds: int) -> Instant:
    return Instant(NOW + seconds * MICROSECONDS)


@pytest.mark.parametrize(
    ("counter", "code"),
    list(
        enumerate(["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"])
    ),
)
def test_codes_are_those_of_rfc_4226_appendix_d(counter: int, code: str) -> None:
    assert KEY.code(counter) == code


@pytest.mark.parametrize(
    ("seconds", "sha1", "sha256", "sha512"),
    [
        (59, "94287082", "46119246", "90693936"),
        (1111111109, "07081804", "68084774", "25091201"),
        (1111111111, "14050471", "67062674", "99943326"),
        (1234567890, "89005924", "91819424", "93441116"),
        (2000000000, "69279037", "90698825", "38618901"),
        (20000000000, "65353130", "77737706", "47863826"),
    ],
)
def test_codes_are_those_of_rfc_6238_appendix_b(seconds: int, sha1: str, sha256: str, sha512: str) -> None:
    now = Instant(seconds * MICROSECONDS)
    keys = [_key(20, Algorithm.SHA1, 8), _key(32, Algorithm.SHA256, 8), _key(64, Algorithm.SHA512, 8)]
    assert [key.code(key.step(now)) for key in keys] == [sha1, sha256, sha512]


@pytest.mark.security("S-26")
@pytest.mark.parametrize("off", range(-3, 4))
def test_a_code_is_accepted_one_step_to_either_side_and_no_further(off: int) -> None:
    use = verify(KEY.secret, KEY.code(HERE + off), NOW, None)
    assert use == (TotpUse(step=HERE + off, drift=off) if abs(off) <= 1 else None)


@pytest.mark.security("S-26")
def test_what_only_looks_like_the_code_is_wrong() -> None:
    code = KEY.code(HERE)
    eastern = "".join(chr(0x0660 + int(digit)) for digit in code)
    for given_code in ("", code[1:], f"{code}0", f" {code}", f"-{code}", eastern, f"0{code}"):
        assert verify(KEY.secret, given_code, NOW, None) is None


@pytest.mark.security("S-26")
def test_a_leading_zero_belongs_to_the_code() -> None:
    step = next(step for step in range(HERE, HERE + 1000) if KEY.code(step).startswith("0"))
    then = Instant(step * 30 * MICROSECONDS)
    assert verify(KEY.secret, KEY.code(step), then, None) == TotpUse(step)
    assert verify(KEY.secret, KEY.code(step).lstrip("0"), then, None) is None


@pytest.mark.security("S-24", "S-25")
def test_a_step_is_used_once_and_those_before_it_are_over() -> None:
    use = verify(KEY.secret, KEY.code(HERE), NOW, None)
    assert use
    for step in (HERE, HERE - 1):
        assert verify(KEY.secret, KEY.code(step), NOW, use) is None
        assert used_before(KEY.secret, KEY.code(step), NOW, use)
    assert verify(KEY.secret, KEY.code(HERE + 1), _at(30), use) == TotpUse(HERE + 1)


def test_a_code_that_never_was_right_is_not_called_a_repetition() -> None:
    use = TotpUse(HERE - 1)
    assert not used_before(KEY.secret, KEY.code(HERE - 4), NOW, use)
    assert not used_before(KEY.secret, KEY.code(HERE), NOW, use)
    assert not used_before(KEY.secret, KEY.code(HERE), NOW, None)


@pytest.mark.security("S-26")
def test_a_clock_that_runs_away_is_followed_up_to_its_bound_by_right_codes_alone() -> None:
    use = None
    for late in (1, 2, 3):
        now = _at(300 * late)
        use = verify(KEY.secret, KEY.code(KEY.step(now) - late), now, use)
        assert use
        assert use.drift == -min(late, MAX_DRIFT)
    now = _at(1500)
    for off in (-4, 0, 1):
        assert verify(KEY.secret, KEY.code(KEY.step(now) + off), now, use) is None
    assert verify(KEY.secret, KEY.code(KEY.step(now) - 1), now, use) == TotpUse(KEY.step(now) - 1, -1)


def test_a_key_that_departs_from_the_usual_is_kept_with_what_it_needs() -> None:
    key = TotpKey(KEY.secret, Algorithm.SHA256, 8, 60)
    assert TotpKey.of(key.stored) == key
    assert KEY.stored == KEY.secret
    assert TotpKey.of(KEY.stored) == KEY
    step = key.step(NOW)
    assert verify(key.stored, key.code(step), NOW, None) == TotpUse(step)
    with pytest.raises(ValueError, match="MD5"):
        TotpKey.of(f"MD5:6:30:{KEY.secret}")


def test_the_first_step_of_all_has_none_before_it() -> None:
    assert verify(KEY.secret, KEY.code(0), Instant(0), None) == TotpUse(0)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(-3, 3), st.none() | st.builds(TotpUse, st.integers(0, 10**6), st.just(0)))
def test_whatever_was_used_the_next_use_is_later_and_near(step: int, off: int, use: TotpUse | None) -> None:
    now = Instant(step * 30 * MICROSECONDS)
    accepted = verify(KEY.secret, KEY.code(max(0, step + off)), now, use)
    if accepted:
        assert abs(accepted.step - step) <= 1
        assert use is None or accepted.step > use.step
