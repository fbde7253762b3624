"""Whatever two parsers could read differently is refused, and every refusal can be written down."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_service import strict_json
from push_service.frontends.http import problem_of
from push_service.model.errors import InvalidRequest


class Client(msgspec.Struct, frozen=True):
    ip: str | None = None


class Body(msgspec.Struct, frozen=True):
    username: str
    count: int = 0
    client: Client | None = None
    names: tuple[str, ...] = ()


REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "space": b" ",
    "a member twice": b'{"username":"a","username":"b"}',
    "a member twice, deep": b'{"client":{"ip":"1","ip":"2"}}',
    "a member twice, in a list": b'[{"a":1,"a":1}]',
    "a member twice, one escaped": b'{"username":"a","\\u0075sername":"b"}',
    "a nameless member twice": b'{"":1,"":2}',
    "NaN": b'{"count":NaN}',
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "infinity in digits": b"1e999",
    "minus infinity in digits": b"[-1.5e+4000]",
    "half a surrogate pair": b'"\\ud800"',
    "the other half": b'"\\udc00"',
    "halves in the wrong order": b'"\\udc00\\ud800"',
    "half a surrogate pair as a name": b'{"\\ud83d":1}',
    "half a surrogate pair as a name, twice": b'{"\\ud83d":1,"\\ud83d":1}',
    "half a surrogate pair in bytes": b'"\xed\xa0\x80"',
    "NUL": b'"a\x00b"',
    "NUL, escaped": b'"a\\u0000b"',
    "NUL, escaped, in a name": b'{"a\\u0000":1}',
    "NUL, escaped, deep": b'[[{"a":["\\u0000"]}]]',
    "a control character": b'"a\nb"',
    "a byte order mark": b'\xef\xbb\xbf{"username":"a"}',
    "UTF-16": '{"username":"a"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"username":"a"}'.encode("utf-16-le"),
    "Latin-1": '{"username":"ä"}'.encode("latin-1"),
    "an overlong form": b'"\xc0\xaf"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"',
    "a number of thousands of digits": b"1" * 5000,
    "a long number": b"1" * 41,
    "a leading zero": b"042",
    "a plus": b"+1",
    "a point first": b".5",
    "a point last": b"1.",
    "hex": b"0x1F",
    "nesting without end": b"[" * 30_000,
    "nesting without end, closed": b"[" * 30_000 + b"]" * 30_000,
    "objects without end": b'{"a":' * 30_000,
    "a trailing comma": b'{"username":"a",}',
    "a comment": b'{"username":"a"} // yes',
    "single quotes": b"{'username':'a'}",
    "no quotes": b"{username:1}",
    "two documents": b'{"username":"a"}{"username":"b"}',
    "a document and more": b"{} x",
    "other spaces": b"\xc2\xa0{}",
    "a form feed": b"\x0c{}",
    "a wrong escape": b'"\\x41"',
    "an escape cut short": b'"\\u12"',
    "an escape in other digits": '"\\u００41"'.encode(),  # noqa: RUF001 - the look-alike is the point
    "Python": b"True",
}


@pytest.mark.security("S-06", "S-48")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused_and_the_refusal_can_be_sent(kind: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        strict_json.parse(REFUSED[kind])
    assert msgspec.json.encode(problem_of(refused.value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":{"b":[1,-2.5,1e3,true,false,null,"c"]}}', {"a": {"b": [1, -2.5, 1000.0, True, False, None, "c"]}}),
        (b' \t\r\n"a" \t\r\n', "a"),
        ('"Zoë 李雷 🐎"'.encode(), "Zoë 李雷 🐎"),
        (b'"\\ud83d\\udc0e"', "🐎"),
        (b'"\\\\u0000"', "\\u0000"),
        (b"-" + b"9" * 39, -int("9" * 39)),
        (b'{"":0}', {"": 0}),
        (b"[" * 100 + b"]" * 100, None),
    ],
)
def test_what_has_one_reading_is_read(text: bytes, value: object) -> None:
    assert strict_json.parse(text) == (json.loads(text) if value is None else value)


def test_a_body_is_read_into_its_shape() -> None:
    body = strict_json.decode(b'{"username":"a","count":2,"client":{"ip":null},"names":["b"],"unknown":1}', Body)
    assert body == Body("a", 2, Client(None), ("b",))


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (b'{"username":1}', "/username"),
        (b'{"username":null}', "/username"),
        (b'{"username":"a","count":"2"}', "/count"),
        (b'{"username":"a","count":2.0}', "/count"),
        (b'{"username":"a","count":true}', "/count"),
        (b'{"username":"a","count":1e300}', "/count"),
        (b'{"username":"a","client":{"ip":7}}', "/client/ip"),
        (b'{"username":"a","client":[]}', "/client"),
        (b'{"username":"a","names":["b",3]}', "/names/1"),
        (b'{"username":"a","names":"b"}', "/names"),
        (b"{}", "/username"),
        (b"[]", ""),
        (b"null", ""),
        (b'"username"', ""),
    ],
)
def test_types_are_not_bent_and_the_fault_is_pointed_at(text: bytes, pointer: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        strict_json.decode(text, Body)
    (fault,) = refused.value.faults
    assert fault.pointer == pointer


def test_a_name_that_comes_twice_is_pointed_at_as_rfc_6901_has_it() -> None:
    with pytest.raises(InvalidRequest) as refused:
        strict_json.parse(b'{"a/b~c":1,"a/b~c":2}')
    assert [each.pointer for each in refused.value.faults] == ["/a~1b~0c"]


def test_a_refusal_never_repeats_the_value() -> None:
    for text in (b'{"username":["correct horse"]}', b'{"username":"correct horse","count":"correct horse"}'):
        with pytest.raises(InvalidRequest) as refused:
            strict_json.decode(text, Body)
        assert b"horse" not in msgspec.json.encode(problem_of(refused.value))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(_JSON, st.booleans())
def test_every_document_without_ambiguity_is_read_as_any_parser_would(value: Any, escaped: bool) -> None:  # noqa: ANN401, FBT001
    assert strict_json.parse(json.dumps(value, ensure_ascii=escaped).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_whatever_make_more_than_a_refusal(data: bytes) -> None:
    try:
        strict_json.parse(data)
    except InvalidRequest as refusal:
        assert msgspec.json.encode(problem_of(refusal))  # noqa: PT017 - either is right
