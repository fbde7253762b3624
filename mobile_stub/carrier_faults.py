"""What the stub's telephone company may be told to do wrong: for one number or all, for a time or a number of times.

Told by tests (`Faults.add`) or over HTTP (`carrier_routes.py`), asked by `carrier.py`, `carrier_calls.py` and
`carrier_webhooks.py`, each for its own kinds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from mobile_stub.instructions import Instruction, Instructions


class FaultKind(StrEnum):
    """Of requests first, then of texts and calls on their way, then of the news about them."""

    REFUSED = "refused"
    """The request is answered with `code`."""
    BAD_GATEWAY = "bad_gateway"
    """A page of HTML with status 503, as a proxy on the way writes it."""
    LATE = "late"
    """The right answer, `late` seconds later."""
    SILENT = "silent"
    """No answer at all, and nothing is sent; the connection stays open."""
    SENT_IN_SILENCE = "sent_in_silence"
    """No answer at all, though it is sent."""
    LOST = "lost"
    """Accepted; a text never arrives and a call never rings, and nobody hears of it."""
    UNDELIVERED = "undelivered"
    """A text that can't be delivered, for `code`."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    """Nobody picks up, and the provider doesn't wait for long to see."""
    FAILED = "failed"
    """A call that can't be put through, for `code`."""
    MACHINE = "machine"
    """An answering machine takes the call: it hears all and presses nothing."""
    NEWS_LATE = "news_late"
    """Told `late` seconds later."""
    NEWS_LOST = "news_lost"
    NEWS_TWICE = "news_twice"
    NEWS_FORGED = "news_forged"
    """Signed by another account's token."""


OF_REQUESTS: Final = frozenset(
    {FaultKind.REFUSED, FaultKind.BAD_GATEWAY, FaultKind.LATE, FaultKind.SILENT, FaultKind.SENT_IN_SILENCE}
)
OF_TEXTS: Final = frozenset({FaultKind.LOST, FaultKind.UNDELIVERED})
OF_CALLS: Final = frozenset({FaultKind.LOST, FaultKind.BUSY, FaultKind.NO_ANSWER, FaultKind.FAILED, FaultKind.MACHINE})
OF_NEWS: Final = frozenset({FaultKind.NEWS_LATE, FaultKind.NEWS_LOST, FaultKind.NEWS_TWICE, FaultKind.NEWS_FORGED})

SENTENCES: Final = {
    20003: (401, "Authenticate"),
    20404: (404, "The requested resource was not found"),
    20429: (429, "Too Many Requests"),
    20500: (500, "An internal server error has occurred"),
    21205: (400, "Url is not a valid URL"),
    21211: (400, "The 'To' number is not a valid phone number."),
    21212: (400, "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID."),
    21214: (400, "'To' phone number cannot be reached"),
    21215: (400, "Account not authorized to call. Perhaps you need to enable some international permissions"),
    21217: (400, "Phone number does not appear to be valid"),
    21408: (403, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number"),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' or 'MessagingServiceSid' parameter is required."),
    21604: (400, "A 'To' phone number is required."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21614: (400, "'To' number is not a valid mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    63038: (429, "Account exceeded the daily messages limit"),
}
"""How the provider words some of its error codes, and with which HTTP status."""


class Fault(Instruction, kw_only=True, forbid_unknown_fields=True):
    """One instruction. `to` None means every number."""

    kind: FaultKind
    to: str | None = None
    code: int = 20500
    """Of REFUSED, UNDELIVERED and FAILED."""
    late: float = 1.0


class Faults(Instructions[Fault]):
    """The instructions in force, oldest first."""

    def next(self, kinds: frozenset[FaultKind], to: str) -> Fault | None:
        """What is to go wrong with this number's request, text, call or news, if anything; counts it."""
        return self.take(lambda fault: fault.kind in kinds and fault.to in {None, to})


class _Refused(msgspec.Struct, frozen=True):
    code: int
    message: str
    more_info: str
    status: int


def refusal_of(code: int) -> tuple[int, bytes]:
    """The HTTP status and the body of a refusal, as the provider documents them."""
    status, sentence = SENTENCES.get(code, (400, "The request was refused."))
    return status, msgspec.json.encode(_Refused(code, sentence, f"https://www.twilio.com/docs/errors/{code}", status))
