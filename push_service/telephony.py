"""The composition root's part for texts and calls: adapter, limits, dispatch and webhooks, where a provider is set up.

Called by `app.py`.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import AsyncExitStack
from typing import assert_never

from push_service.calls import Calls
from push_service.core import Core
from push_service.delivery.telephony.addresses import Addresses
from push_service.delivery.telephony.dispatch import Dispatch
from push_service.delivery.telephony.exchange import Exchange
from push_service.delivery.telephony.gateway.client import GatewayTelephony
from push_service.delivery.telephony.limits import LimitedTelephony
from push_service.delivery.telephony.settings import Provider, TelephonyOptions
from push_service.delivery.telephony.signatures import signature_of
from push_service.delivery.telephony.twilio.client import TwilioTelephony
from push_service.delivery.telephony.voice import Voice
from push_service.delivery.telephony.watch import WatchedTelephony
from push_service.delivery.telephony.wording import LANGUAGES, text_of
from push_service.frontends.telephony import Webhooks
from push_service.ports import Telephony


class OpenTelephony:
    """Everything by which texts and calls go out and news of them comes in, opened."""

    def __init__(self, dispatch: Dispatch, webhooks: Webhooks, exchange: Exchange, watched: WatchedTelephony) -> None:
        """Hold the parts together."""
        self._dispatch, self.webhooks, self._exchange, self._watched = dispatch, webhooks, exchange, watched
        self.run, self.drain = dispatch.run, dispatch.drain

    @property
    def held(self) -> int:
        """How many texts and calls are being handed over."""
        return self._dispatch.held

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
    policy = core.settings.to_policy()
    options = core.settings.telephony.to_options(core.public_url, policy.call_pin_digits)
    if options is None:
        return None
    exchange = await stack.enter_async_context(
        Exchange(seconds=options.timeout_seconds, concurrency=options.concurrency)
    )
    limited = LimitedTelephony(adapter(options, exchange), core.store, options.limits, core.sealer.mac)
    watched = WatchedTelephony(limited, core.hops.handed_over)
    words = LANGUAGES[options.language]
    calls = Calls(core.store, core.bus, core.decisions, core.enroller, policy, core.methods)
    dispatch = Dispatch(
        core.store,
        core.bus,
        watched,
        calls,
        text_of=functools.partial(text_of, words=words),
        call_seconds=options.timeout_seconds,
    )
    # Closed after the server: what a last request asks is given back, too.
    stack.push_async_callback(dispatch.close)
    core.decisions.dispatch_by(dispatch)
    voice = Voice(words, Addresses(options.public_url), options.pin_digits)
    webhooks = Webhooks(calls, signature_of(options.provider, options.auth_token), voice)
    return OpenTelephony(dispatch, webhooks, exchange, watched)


def adapter(options: TelephonyOptions, exchange: Exchange) -> Telephony:
    """What speaks to this provider."""
    addresses = Addresses(options.public_url)
    match options.provider:
        case Provider.TWILIO:
            return TwilioTelephony(options, exchange, addresses)
        case Provider.WEBHOOK:
            return GatewayTelephony(options, exchange, addresses)
    assert_never(options.provider)
