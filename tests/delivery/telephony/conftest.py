"""A bridge to the stub's telephone company, and options for adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest

from mobile_stub.carrier import FROM
from mobile_stub.world import World, world
from push_service.delivery.telephony.exchange import Exchange
from push_service.delivery.telephony.settings import Language, Provider, SpendLimits, TelephonyOptions
from push_service.model.ids import MessageId
from push_service.model.policy import Rate
from push_service.ports import Call, Telephony, Text
from push_service.telephony import adapter

NUMBER = "+441632960001"
MANY = (Rate(1000, 60),)
UNLIMITED = SpendLimits(number=MANY, prefix=MANY, country=MANY, total=MANY)


def options(**more: object) -> TelephonyOptions:
    plain = TelephonyOptions(
        provider=Provider.TWILIO,
        base_url="http://127.0.0.1:9",
        public_url="http://localhost:9",
        account_sid="AC0",
        auth_token="token",
        sender=FROM,
        caller=FROM,
        timeout_seconds=5.0,
        concurrency=8,
        machine_detection=False,
        language=Language.EN,
        pin_digits=0,
        limits=UNLIMITED,
    )
    return msgspec.structs.replace(plain, **more)


def text(to: str = NUMBER, seconds: float = 60.0) -> Text:
    return Text(id=MessageId("ch_1"), to=to, body="Your verification code is 123456.", seconds=seconds)


def call(to: str = NUMBER, extension: str | None = None, seconds: float = 60.0) -> Call:
    return Call(id=MessageId("ch_2"), to=to, extension=extension, seconds=seconds)


Bridge = Callable[..., AbstractAsyncContextManager[tuple[World, Telephony, Exchange]]]


@pytest.fixture
def bridge() -> Bridge:
    """Opens a world, and the adapter that sends by its telephone company."""

    @asynccontextmanager
    async def opened(**more: object) -> AsyncIterator[tuple[World, Telephony, Exchange]]:
        async with world(pace=None) as running:
            carrier = running.carrier
            known = {"base_url": running.url, "account_sid": carrier.account_sid, "auth_token": carrier.auth_token}
            chosen = options(**known | more)
            async with Exchange(seconds=chosen.timeout_seconds, concurrency=chosen.concurrency) as exchange:
                yield running, adapter(chosen, exchange), exchange

    return opened
