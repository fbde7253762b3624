"""The URIs by which authenticator apps take a key: what is made is read by others, and what is brought is judged."""

from __future__ import annotations

import base64
import shutil
import subprocess

import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from push_service.model.errors import InvalidRequest
from push_service.model.otpauth import DIGITS, MAX_SECRET_BYTES, MIN_SECRET_BYTES, PERIODS, Authenticator, read, uri
from push_service.model.totp import Algorithm, TotpKey

SECRET = base64.b32encode(b"12345678901234567890").decode()
A_DAY = 86_400
MORNING = 1_790_035_200

keys = st.builds(
    TotpKey,
    st.binary(min_size=MIN_SECRET_BYTES, max_size=MAX_SECRET_BYTES).map(
        lambda raw: base64.b32encode(raw).decode().rstrip("=")
    ),
    st.sampled_from(Algorithm),
    st.sampled_from(DIGITS),
    st.sampled_from(PERIODS),
)
names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=40)
entries = st.builds(Authenticator, keys, names, st.none() | names.filter(lambda name: ":" not in name))


@settings(deadline=None)
@given(entries)
def test_what_is_made_is_read_again(entry: Authenticator) -> None:
    if entry.issuer is None and ":" in entry.account:
        return  # nobody could tell the two apart
    assert len(uri(entry)) > 1024 or read(uri(entry)) == entry


@settings(deadline=None)
@given(keys, st.integers(0, 2**33))
def test_an_independent_reader_takes_the_uri_for_the_same_key(key: TotpKey, seconds: int) -> None:
    other = pyotp.parse_uri(uri(Authenticator(key, "alice@example.com", "Contoso: Mail")))
    assert isinstance(other, pyotp.TOTP)
    assert (other.name, other.issuer) == ("alice@example.com", "Contoso  Mail")
    assert other.at(seconds) == key.code(seconds // key.period)


@pytest.mark.skipif(shutil.which("oathtool") is None, reason="oathtool is not installed (apt-get install oathtool)")
@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize(("digits", "period"), [(6, 30), (8, 60)])
def test_an_independent_tool_shows_the_same_codes_all_day(algorithm: Algorithm, digits: int, period: int) -> None:
    key = TotpKey(SECRET, algorithm, digits, period)
    steps = A_DAY // period
    shown = subprocess.run(
        (
            *("oathtool", f"--totp={algorithm.lower()}", "-b", f"--digits={digits}", f"--time-step-size={period}"),
            *(f"--window={steps - 1}", "--now", f"@{MORNING}", "-"),
        ),
        input=SECRET,
        capture_output=True,
        text=True,
        check=True,
    )
    first = MORNING // period
    assert shown.stdout.split() == [key.code(step) for step in range(first, first + steps)]


def test_what_an_app_of_somebody_else_shows_is_taken_as_it_is() -> None:
    spaced = "gezd gnbv gy3t qojq gezd-gnbv-gy3t-qojq"
    brought = read(
        f"otpauth://totp/Contoso%3Aalice%40example.com?secret={spaced.replace(' ', '%20')}&image=x&issuer=Contoso"
    )
    assert brought == Authenticator(TotpKey(SECRET), "alice@example.com", "Contoso")
    assert read(f"OTPAUTH://TOTP/alice?secret={SECRET}====").issuer is None
    assert read(f"otpauth://totp/Contoso: alice?secret={SECRET}".replace(" ", "%20")).account == "alice"
    unusual = read(f"otpauth://totp/alice?secret={SECRET}&algorithm=sha256&digits=6&period=60")
    assert unusual.key == TotpKey(SECRET, Algorithm.SHA256, 6, 60)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not an otpauth URI"),
        ("https://example.com/", "not an otpauth URI"),
        (f"otpauth://totp/alice?secret={SECRET}#x", "not an otpauth URI"),
        (f"otpauth://totp/alice?secret={SECRET}&", "not an otpauth URI"),
        (f"otpauth://totp/%FF?secret={SECRET}", "not an otpauth URI"),
        (f"otpauth://totp/älice?secret={SECRET}", "not an otpauth URI"),
        (f"otpauth://totp/alice?secret={SECRET}\n", "not an otpauth URI"),
        (f"otpauth://totp/alice?secret={SECRET}&x={'x' * 1024}", "not an otpauth URI"),
        (f"otpauth://[totp/alice?secret={SECRET}", "not an otpauth URI"),
        (f"otpauth://hotp/alice?secret={SECRET}&counter=1", "change with time"),
        (f"otpauth://totp/alice?secret={SECRET}&secret={SECRET}", "twice"),
        (f"otpauth://totp/Contoso:alice?secret={SECRET}&issuer=Fabrikam", "two issuers"),
        (f"otpauth://totp/?secret={SECRET}", "visible"),
        (f"otpauth://totp/Contoso:?secret={SECRET}", "visible"),
        (f"otpauth://totp/{'x' * 65}?secret={SECRET}", "visible"),
        (f"otpauth://totp/alice?secret={SECRET}&issuer=%E2%80%AE", "visible"),
        ("otpauth://totp/alice?issuer=Contoso", "not base32"),
        ("otpauth://totp/alice?secret=GEZDGNBVGY3TQOJ1", "not base32"),
        ("otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQG", "not base32"),
        ("otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQ", "too short: 128"),
        (f"otpauth://totp/alice?secret={SECRET * 4}", "too long: 512"),
        (f"otpauth://totp/alice?secret={SECRET}&algorithm=MD5", "none of SHA1"),
        (f"otpauth://totp/alice?secret={SECRET}&digits=5", "digits must be 6[.]"),
        (f"otpauth://totp/alice?secret={SECRET}&digits=8", "digits must be 6[.]"),
        (f"otpauth://totp/alice?secret={SECRET}&digits=six", "digits must be 6[.]"),
        (f"otpauth://totp/alice?secret={SECRET}&period=120", "period must be 15 to 60"),
        (f"otpauth://totp/alice?secret={SECRET}&period=-30", "period must be 15 to 60"),
    ],
)
def test_what_weakens_codes_or_is_unclear_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        read(text)
    assert SECRET not in refused.value.detail
