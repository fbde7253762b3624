"""JSON read strictly, by the one parser that every body, frame and token goes through.

What two parsers could read differently is refused: duplicate members, NaN and infinities, lone surrogates, NUL, a byte
order mark, anything not UTF-8, numbers of thousands of digits, nesting without end. Types are then checked without
coercion.
"""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn, TypeVar

import msgspec

from push_service.model.errors import Fault, InvalidRequest

T = TypeVar("T")

_MAX_INTEGER_DIGITS = 40
_MOST_REPEATED = 200
"""Characters of a stranger's text that a refusal says again, so that it stays shorter than what it refuses."""
_NAMED = re.compile(r"Object (?:contains unknown|missing required) field `(.*)`", re.DOTALL)
"""How msgspec tells of a member that shouldn't be there, or isn't: by its name, at the path of the object around it."""


def decode(data: bytes, shape: type[T]) -> T:
    """Read `data` as `shape`, a msgspec type. Raises InvalidRequest, with a JSON pointer where a member is at fault."""
    return convert(parse(data), shape)


def parse(data: bytes) -> object:
    """Read JSON text as plain Python values. Raises InvalidRequest."""
    try:
        text = data.decode()
        value: object = _DECODER.decode(text)
        if "\\u" in text:
            _refuse_unspeakable(value)
    except UnicodeError:
        raise InvalidRequest("The text is not valid UTF-8.") from None
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.") from None
    except _DuplicateError as duplicate:
        fault = Fault("/" + _escape(_speakable(str(duplicate))), "appears twice")
        raise InvalidRequest("A member appears twice.", faults=(fault,)) from None
    except ValueError:
        raise InvalidRequest("The text is not valid JSON.") from None
    return value


def convert(value: object, shape: type[T]) -> T:
    """Check plain values against `shape`."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as problem:
        text, _, path = str(problem).partition(" - at `")
        named = _NAMED.fullmatch(text)
        member = "/" + _escape(_speakable(named[1])) if named else ""
        text = text if len(text) <= _MOST_REPEATED else text[:_MOST_REPEATED] + "…"
        fault = Fault(_pointer(path.rstrip("`")) + member, text)
        raise InvalidRequest(f"{fault.pointer or 'The body'}: {text}.", faults=(fault,)) from None


class _DuplicateError(ValueError):
    """A member name came twice in one object."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateError(next(name for name in names if names.count(name) > 1))
    return made


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        msg = "a number of too many digits"
        raise ValueError(msg)
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        msg = "a number too large to be told from infinity"
        raise ValueError(msg)
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer, parse_float=_finite
)


def _refuse_unspeakable(value: object) -> None:
    """Escapes can smuggle in what the bytes could not: NUL, and halves of surrogate pairs."""
    match value:
        case str():
            value.encode()
            if "\0" in value:
                msg = "NUL in a string"
                raise ValueError(msg)
        case list():
            for each in value:
                _refuse_unspeakable(each)
        case dict():
            for name, each in value.items():
                _refuse_unspeakable(name)
                _refuse_unspeakable(each)
        case _:
            pass


def _speakable(name: str) -> str:
    """The name, cut short, as it can be written in UTF-8: half a surrogate pair can't be, and the refusal must be."""
    return name[:_MOST_REPEATED].encode(errors="replace").decode()


def _pointer(path: str) -> str:
    """Msgspec's `$.client.ip` or `$.list[0]` as an RFC 6901 pointer."""
    steps = path.removeprefix("$").replace("[", ".").replace("]", "").split(".")
    return "".join("/" + _escape(step) for step in steps if step)


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
