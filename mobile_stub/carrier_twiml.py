"""The documents that conduct a call (TwiML), read as strictly as the provider reads them: verbs, attributes, nesting.

https://www.twilio.com/docs/voice/twiml has them; the stub knows those that a verification call needs. Used by
`carrier_calls.py`.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

MAX_BYTES = 64 * 1024
_ATTRIBUTES: Final = {
    "Response": frozenset[str](),
    "Say": frozenset({"language", "voice", "loop"}),
    "Pause": frozenset({"length"}),
    "Hangup": frozenset[str](),
    "Redirect": frozenset({"method"}),
    "Gather": frozenset(
        {"input", "numDigits", "finishOnKey", "timeout", "action", "method", "actionOnEmptyResult", "language"}
    ),
}


class BadDocument(Exception):
    """The provider would play "an application error has occurred" and hang up."""


class Say(NamedTuple):
    """Speak this."""

    text: str
    language: str | None


class Pause(NamedTuple):
    """Say nothing for so long."""

    seconds: float


class Hangup(NamedTuple):
    """End the call."""


class Redirect(NamedTuple):
    """Go on with another document."""

    url: str


class Gather(NamedTuple):
    """Listen for keys while saying these, and for `timeout` after the last word or key."""

    action: str
    num_digits: int | None
    finish_on_key: str
    timeout: float
    action_on_empty: bool
    nested: tuple[Say | Pause, ...]


Verb = Say | Pause | Hangup | Redirect | Gather


def read(text: str, base: str) -> tuple[Verb, ...]:
    """The verbs of a document that came from `base`. BadDocument for what is none."""
    if len(text.encode()) > MAX_BYTES:
        raise BadDocument("a document has at most 64 KiB")
    try:
        root = ET.fromstring(text)  # noqa: S314 - of the service that is being tried out
    except ET.ParseError as error:
        raise BadDocument(str(error)) from error
    _check(root)
    if root.tag != "Response":
        raise BadDocument(f"<{root.tag}> is no <Response>")
    return tuple(_verb(each, base) for each in root)


def _verb(element: ET.Element, base: str) -> Verb:
    _check(element)
    match element.tag:
        case "Say":
            return Say(_text(element), element.get("language"))
        case "Pause":
            return Pause(_number(element, "length", 1.0))
        case "Hangup":
            return Hangup()
        case "Redirect":
            return Redirect(urljoin(base, _text(element)))
        case "Gather":
            return _gather(element, base)
        case unknown:
            raise BadDocument(f"<{unknown}> has no place here")


def _gather(element: ET.Element, base: str) -> Gather:
    nested = []
    for each in element:
        verb = _verb(each, base)
        if not isinstance(verb, Say | Pause):
            raise BadDocument(f"<{each.tag}> has no place in <Gather>")
        nested.append(verb)
    if element.get("input", "dtmf") != "dtmf":
        raise BadDocument("this company listens to keys only")
    digits = int(_number(element, "numDigits", 0.0))
    return Gather(
        action=urljoin(base, element.get("action", base)),
        num_digits=digits or None,
        finish_on_key=element.get("finishOnKey", "#"),
        timeout=_number(element, "timeout", 5.0),
        action_on_empty=element.get("actionOnEmptyResult", "false") == "true",
        nested=tuple(nested),
    )


def _check(element: ET.Element) -> None:
    known = _ATTRIBUTES.get(element.tag)
    if known is None:
        raise BadDocument(f"there is no verb <{element.tag}>")
    if unknown := set(element.keys()) - known:
        raise BadDocument(f"<{element.tag}> has no attribute {min(unknown)}")


def _text(element: ET.Element) -> str:
    if len(element):
        raise BadDocument(f"<{element.tag}> holds text only")
    return (element.text or "").strip()


def _number(element: ET.Element, name: str, otherwise: float) -> float:
    said = element.get(name)
    if said is None:
        return otherwise
    if not said.isascii() or not said.isdigit():
        raise BadDocument(f"{name} of <{element.tag}> is a whole number")
    return float(said)
