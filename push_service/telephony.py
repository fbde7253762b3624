"""The composition root's part for texts and calls: adapter, limits, watch and webhooks, where a provider is set up.

Called by `app.py`.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import assert_never

from push_service.core import Core
from push_service.delivery.telephony.addresses import Addresses
from push_service.delivery.telephony.exchange import Exchange
from push_service.delivery.telephony.gateway.client import GatewayTelephony
from push_service.delivery.telephony.limits import LimitedTelephony
from push_service.delivery.telephony.settings import Provider, TelephonyOptions
from push_service.delivery.telephony.signatures import signature_of
from push_service.delivery.telephony.twilio.client import TwilioTelephony
from push_service.delivery.telephony.voice import Voice
from push_service.delivery.telephony.watch import WatchedTelephony
from push_service.delivery.telephony.wording import LANGUAGES
from push_service.frontends.telephony import Webhooks
from push_service.ports import Telephony


class OpenTelephony:
    """Everything by which texts and calls go out and news of them comes in, opened.

    `telephony` is the port, `words` what texts say, `webhooks` what the front-end needs.
    """

    def __init__(self, options: TelephonyOptions, exchange: Exchange, telephony: WatchedTelephony) -> None:
        """Hold the parts together."""
        self._exchange, self._watched = exchange, telephony
        self.telephony: Telephony = telephony
        self.words = LANGUAGES[options.language]
        voice = Voice(self.words, Addresses(options.public_url), options.pin_digits)
        self.webhooks = Webhooks(signature_of(options.provider, options.auth_token), voice)

    @property
    def circuit_open(self) -> bool:
        """Whether the provider is left alone."""
        return self._exchange.circuit_open

    def alarms(self) -> dict[str, str]:
        """What an operator has to look at."""
        if self.circuit_open:
            return {"telephony": "the provider does not answer; it is asked now and then."}
        alarm = self._watched.alarm(asyncio.get_running_loop().time())
        return {} if alarm is None else {"telephony": alarm}


async def opened_telephony(stack: AsyncExitStack, core: Core) -> OpenTelephony | None:
    """Open it, until the stack ends; None where no provider is set up."""
    options = core.settings.telephony.to_options(core.public_url, core.settings.policy.call_pin_digits)
    if options is None:
        return None
    exchange = await stack.enter_async_context(
        Exchange(seconds=options.timeout_seconds, concurrency=options.concurrency)
    )
    limited = LimitedTelephony(adapter(options, exchange), core.store, options.limits, core.sealer.mac)
    return OpenTelephony(options, exchange, WatchedTelephony(limited, core.hops.handed_over))


def adapter(options: TelephonyOptions, exchange: Exchange) -> Telephony:
    """What speaks to this provider."""
    addresses = Addresses(options.public_url)
    match options.provider:
        case Provider.TWILIO:
            return TwilioTelephony(options, exchange, addresses)
        case Provider.WEBHOOK:
            return GatewayTelephony(options, exchange, addresses)
    assert_never(options.provider)
