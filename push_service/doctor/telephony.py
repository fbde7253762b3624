"""Texts and calls: whether the provider knows the account, and whether it can bring its news here.

Nothing is sent and nothing rings: the account is looked at, or the gateway's address is asked for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
import msgspec

from push_service.config import Settings
from push_service.delivery.telephony.addresses import Addresses
from push_service.delivery.telephony.exchange import Answer, Exchange
from push_service.delivery.telephony.settings import TWILIO, Provider, TelephonyOptions
from push_service.delivery.telephony.twilio.client import TwilioTelephony
from push_service.doctor.check import Check, Finding, fault, ok, warning
from push_service.model.web_address import is_loopback


class _Account(msgspec.Struct, frozen=True):
    status: str = ""


class TelephonyAccount(Check):
    """Whether requests come through, and the account is one that may send."""

    name = "telephony.account"

    def __init__(self, options: TelephonyOptions | None) -> None:
        """Look at these."""
        self._options = options

    async def run(self) -> Finding:
        """See Check."""
        options = self._options
        if options is None:
            return ok(self, "No telephony provider is set up: there are no texts and no calls.")
        try:
            answer = await _asked(options)
        except (aiohttp.ClientError, OSError) as problem:
            said = " ".join(str(problem).split()) or "no answer in time"
            return fault(self, f"{options.base_url} does not answer: {said}.", "Let this machine out to it.")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            told = f"{options.base_url} is in trouble: it answers {answer.status}."
            return warning(self, told, "Ask again later; it is theirs.")
        if options.provider is Provider.WEBHOOK:
            return ok(self, f"{options.base_url} answers; whether it knows the token, only a text can tell.")
        return self._told(options, answer)

    def _told(self, options: TelephonyOptions, answer: Answer) -> Finding:
        if answer.status != HTTPStatus.OK:
            told = f"{options.base_url} does not take ACCOUNT_SID and AUTH_TOKEN: it answers {answer.status}."
            return fault(self, told, "Copy both from the provider's console.")
        try:
            status = msgspec.json.decode(answer.body, type=_Account).status
        except msgspec.DecodeError:
            return fault(self, f"{options.base_url} does not speak the provider's interface.", "See BASE_URL.")
        if status != "active":
            return fault(self, f"The provider's account is {status or 'of no known state'}.", "See its console.")
        place = options.base_url if options.base_url == TWILIO else f"{options.base_url}, which is not Twilio's,"
        return ok(self, f"{place} knows the account, and it is active.")


async def _asked(options: TelephonyOptions) -> Answer:
    async with Exchange(seconds=options.timeout_seconds, concurrency=1) as exchange:
        if options.provider is Provider.WEBHOOK:
            return await exchange.look(options.base_url, {})
        return await TwilioTelephony(options, exchange, Addresses(options.public_url)).account()


class TelephonyNews(Check):
    """Whether the provider can reach PUBLIC_URL: without its news no call says anything."""

    name = "telephony.news"

    def __init__(self, options: TelephonyOptions) -> None:
        """Look at these."""
        self._options = options

    async def run(self) -> Finding:
        """See Check."""
        ours, theirs = urlsplit(self._options.public_url), urlsplit(self._options.base_url)
        if is_loopback(ours.hostname or "") and not is_loopback(theirs.hostname or ""):
            told = f"The provider can't reach {self._options.public_url} to ask what a call says."
            return fault(self, told, "Set PUBLIC_URL to an address that is reached from the internet.")
        return ok(self, f"The provider is told to bring its news to {self._options.public_url}.")


def telephony_checks(settings: Settings) -> Sequence[Check]:
    """What there is to look at."""
    public_url = settings.public_url or f"http://localhost:{settings.listen.port}"
    options = settings.telephony.to_options(public_url, settings.policy.call_pin_digits)
    account = TelephonyAccount(options)
    return (account,) if options is None else (account, TelephonyNews(options))
