"""The addresses by which a provider tells us of a text or call: made here for the provider, served by the front-end.

What a call has come to is carried along in the query, which the provider signs with the rest of the address; nothing of
it is kept here, so every process can go on with any call.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from push_service.model.ids import MessageId

VOICE = "/v1/telephony/voice/{id}"
KEYS = "/v1/telephony/keys/{id}"
STATUS = "/v1/telephony/status/{id}"
_MOST_ROUNDS = 9


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Where in its conversation a call is."""

    round: int = 1
    """How often the question is being put, from 1."""
    extension: bool = False
    """Whether the person is behind an extension, and may come to the phone late."""
    pin: bool = False
    """Whether the page's number is asked for."""
    zero: bool = False
    """Whether 0 alone was pressed before: # then completes a report, whenever it comes, and never a sign-in."""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Turn:
        """Read the query of an address that was made here."""
        said = query.get("round", "1")
        number = int(said) if said.isascii() and said.isdigit() and len(said) == 1 else _MOST_ROUNDS
        return cls(round=number, extension="extension" in query, pin="pin" in query, zero="zero" in query)

    @property
    def query(self) -> str:
        """The query, as `of` reads it."""
        flags = {"extension": self.extension, "pin": self.pin, "zero": self.zero}
        return urlencode({"round": self.round} | {name: 1 for name, up in flags.items() if up})


class Addresses:
    """The addresses under one public URL."""

    def __init__(self, public_url: str) -> None:
        """Build on `scheme://host[:port]`."""
        self._public_url = public_url

    def voice(self, message_id: MessageId, *, extension: bool) -> str:
        """Asked when the call is answered: what to say."""
        return f"{self._public_url}{VOICE.format(id=message_id)}{'?extension=1' if extension else ''}"

    def keys(self, message_id: MessageId, turn: Turn) -> str:
        """Told which keys were pressed in this turn."""
        return f"{self._public_url}{KEYS.format(id=message_id)}?{turn.query}"

    def status(self, message_id: MessageId) -> str:
        """Told how a text or call fared."""
        return f"{self._public_url}{STATUS.format(id=message_id)}"
