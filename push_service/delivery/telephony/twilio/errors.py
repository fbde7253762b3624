"""What Twilio answers, and what its error codes mean for a text or call.

===========================  =========================================================================
201 and the call's sid       sent
number codes (`_DEAD`)       this number is not reached, now or later
quota codes, any 429         the account's limit, or the provider's
any other 4xx                refused: somebody has to look at account, sender, country or this program
5xx, or nothing readable     unknown: the interface promises nothing, so it may have been sent
===========================  =========================================================================

The codes are published at https://www.twilio.com/docs/api/errors; docs/operations.md says what to do about each.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import msgspec

from push_service.delivery.telephony.exchange import Answer
from push_service.ports import SendOutcome, SendReport

_DEAD = frozenset(
    {
        13223,  # not a phone number
        13224,  # an invalid phone number
        13225,  # a number that may not be called
        21211,  # an invalid To
        21214,  # a To that can't be reached
        21217,  # not a valid number to call
        21265,  # a short code
        21610,  # they answered STOP
        21612,  # no way from this sender to this number
        21614,  # not a mobile number
        21635,  # a landline
    }
)
_QUOTA = frozenset(
    {
        14107,  # messages a second
        20429,  # requests
        21611,  # the sender's queue is full
        30001,  # the queue overflowed
        30022,  # messages a second of this campaign
        30023,  # messages a day of this campaign
        30027,  # messages a day of this campaign, T-Mobile
        63038,  # messages a day of this account
    }
)
_SENT = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
_SID = re.compile(r"[A-Za-z0-9]{1,64}")


class _Made(msgspec.Struct, frozen=True):
    sid: str


class _Refused(msgspec.Struct, frozen=True):
    code: int | None = None


_read_made = msgspec.json.Decoder(_Made).decode
_read_refused = msgspec.json.Decoder(_Refused).decode


def report_of(answer: Answer) -> SendReport:
    """What the answer means. `code` is the provider's number, else `http_` and the status."""
    if answer.status in _SENT:
        return _made(answer.body)
    try:
        code = _read_refused(answer.body).code
    except msgspec.DecodeError:  # a page of a proxy on the way
        code = None
    word = f"http_{answer.status}" if code is None else str(code)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.REQUEST_TIMEOUT:
        return SendReport(SendOutcome.UNKNOWN, word)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or code in _QUOTA:
        return SendReport(SendOutcome.QUOTA, word)
    return SendReport(SendOutcome.DEAD_NUMBER if code in _DEAD else SendOutcome.REFUSED, word)


def _made(body: bytes) -> SendReport:
    try:
        sid = _read_made(body).sid
    except msgspec.DecodeError:
        return SendReport(SendOutcome.UNKNOWN, "unreadable")
    if not _SID.fullmatch(sid):
        return SendReport(SendOutcome.UNKNOWN, "unreadable")
    return SendReport(SendOutcome.SENT, "sent", sid)
