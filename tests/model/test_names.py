"""Names: how many spellings are one person, and which are nobody's."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_service.model.errors import InvalidRequest
from push_service.model.user import MAX_USERNAME, name_key, normal_password, registrable_name_key


@pytest.mark.security("S-30")
@pytest.mark.parametrize(
    ("spelt", "key"),
    [
        ("ALICE", "alice"),
        ("Alice@Example.org", "alice@example.org"),
        ("ａｌｉｃｅ", "alice"),  # noqa: RUF001 - full width
        ("A\u030alice", "ålice"),
        ("\u212blice", "ålice"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("İ", "i\u0307"),
        ("ﬁona", "fiona"),
        ("van Gogh", "van gogh"),
    ],
)
def test_spellings_of_one_name_have_one_key(spelt: str, key: str) -> None:
    assert name_key(spelt) == registrable_name_key(spelt) == key


@pytest.mark.security("S-30", "S-47")
@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " alice",
        "alice ",
        "al  ice",
        "alice\0",
        "ali\nce",
        "ali\u200bce",
        "ali\u200dce",
        "alice\ufeff",
        "alice\u202e",
        "alice\u00ad",
        "alice\ufe0f",
        "alice\u034f",
        "alice\u3164",
        "alice\U000e0101",
        "alice\u2800",
        "ali\u2028ce",
        "ali\u1680ce",
        "alice\ud800",
        "alice\ue000",
        "alice\u0378",
        "a" * (MAX_USERNAME + 1),
    ],
    ids=ascii,
)
def test_a_name_with_something_unseen_in_it_is_nobody(name: str) -> None:
    with pytest.raises(InvalidRequest):
        name_key(name)


@pytest.mark.security("S-30")
@pytest.mark.parametrize("name", ["аlice", "alicе", "αlice", "pаypal"])  # noqa: RUF001 - the look-alikes are the point
def test_a_disguise_in_another_script_is_found_by_nobody_and_cannot_be_registered(name: str) -> None:
    assert name_key(name) not in {"alice", "paypal"}
    with pytest.raises(InvalidRequest):
        registrable_name_key(name)


@pytest.mark.parametrize("name", ["алиса", "Αλίκη", "山田太郎", "علي", "alice-2", "山田alice"])
def test_a_name_in_one_script_is_as_good_as_another(name: str) -> None:
    assert registrable_name_key(name) == name_key(name)


def test_the_longest_name_is_a_name() -> None:
    assert name_key("a" * MAX_USERNAME)


@given(st.text(max_size=12))
def test_a_key_is_its_own_key(name: str) -> None:
    try:
        key = name_key(name)
    except InvalidRequest:
        return
    assert name_key(key) == name_key(unicodedata.normalize("NFD", name)) == key


def test_a_password_is_the_same_from_a_keyboard_that_composes_its_letters() -> None:
    assert normal_password("e\u0301") == normal_password("\u00e9")
    assert normal_password("ﬁ") != normal_password("fi")
