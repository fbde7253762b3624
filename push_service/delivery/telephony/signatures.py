"""Whether news of a text or call is the provider's: each kind of provider signs in its own way.

Twilio signs the whole public address with its query, and the sorted fields of the form, by the account's token
(https://www.twilio.com/docs/usage/security); there is no time in it, so that old news is for the use case to know. Used
by `frontends/telephony.py` before anything else is looked at.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from twilio.request_validator import RequestValidator, add_port, remove_port

from push_service.delivery.telephony.gateway import signing
from push_service.delivery.telephony.settings import Provider

TWILIO_HEADER = "X-Twilio-Signature"

Form = Mapping[str, list[str]]
"""The fields of a form, each with all its values."""


class Signature(Protocol):
    """Knows who may bring news."""

    def holds(self, url: str, headers: Mapping[str, str], body: bytes, form: Form) -> bool:
        """Whether this request is the provider's. Compares in constant time."""
        ...


class TwilioSignature:
    """See Signature."""

    def __init__(self, auth_token: str) -> None:
        """Know the account's token."""
        self._validator = RequestValidator(auth_token)

    def holds(self, url: str, headers: Mapping[str, str], body: bytes, form: Form) -> bool:
        """See Signature."""
        del body
        given = headers.get(TWILIO_HEADER, "").encode(errors="replace")
        fields = _Fields(form)
        # The provider signs some addresses with the scheme's own port written out, some without.
        spellings = {add_port(urlsplit(url)), remove_port(urlsplit(url)), url}
        right = [hmac.compare_digest(self._signed(each, fields), given) for each in sorted(spellings)]
        return any(right)

    def _signed(self, url: str, fields: _Fields) -> bytes:
        return str(self._validator.compute_signature(url, fields)).encode()


class _Fields(dict[str, list[str]]):
    """A form as the library reads one."""

    def getall(self, name: str) -> list[str]:
        return self[name]


class GatewaySignature:
    """See Signature."""

    def __init__(self, auth_token: str) -> None:
        """Know the shared token."""
        self._token = auth_token

    def holds(self, url: str, headers: Mapping[str, str], body: bytes, form: Form) -> bool:
        """See Signature."""
        del form
        at, given = headers.get(signing.TIME, ""), headers.get(signing.SIGNATURE, "")
        return signing.holds(self._token, int(time.time()), url, body, at, given)


def signature_of(provider: Provider, auth_token: str) -> Signature:
    """How this provider signs."""
    match provider:
        case Provider.TWILIO:
            return TwilioSignature(auth_token)
        case Provider.WEBHOOK:
            return GatewaySignature(auth_token)
