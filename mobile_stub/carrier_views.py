"""What the world says about phones that texts and calls reach, as JSON for the page and for scripts.

Sent by `phone_routes.py` and `carrier_routes.py`, drawn by `page/handset.js`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from mobile_stub.carrier import Handset, StubText, TextState
from mobile_stub.carrier_calls import CallState, StubCall


class TextView(msgspec.Struct, frozen=True, kw_only=True):
    """A text."""

    id: str
    sender: str
    body: str
    status: TextState
    at: datetime

    @classmethod
    def of(cls, text: StubText) -> TextView:
        """How it is now."""
        return cls(id=text.sid, sender=text.sender, body=text.body, status=text.status, at=text.at)


class CallView(msgspec.Struct, frozen=True, kw_only=True):
    """A call. `said` is all that was said so far, `listening` whether a key would be heard now."""

    id: str
    sender: str
    extension: str
    state: CallState
    said: tuple[str, ...]
    listening: bool
    at: datetime

    @classmethod
    def of(cls, call: StubCall) -> CallView:
        """How it is now."""
        return cls(
            id=call.wanted.sid,
            sender=call.wanted.sender,
            extension=call.wanted.dialled,
            state=call.state,
            said=tuple(call.said),
            listening=call.listening,
            at=call.at,
        )


class HandsetView(msgspec.Struct, frozen=True, kw_only=True):
    """A phone, by its number; the newest text and call come first."""

    number: str
    texts: tuple[TextView, ...]
    calls: tuple[CallView, ...]

    @classmethod
    def of(cls, handset: Handset) -> HandsetView:
        """How it is now."""
        return cls(
            number=handset.number,
            texts=tuple(TextView.of(each) for each in reversed(handset.texts)),
            calls=tuple(CallView.of(each) for each in reversed(handset.calls)),
        )
