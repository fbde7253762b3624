"""A new key and a code become an identity: the registration of a phone. Called by `Phone.activate`."""

from __future__ import annotations

import asyncio

from mobile_stub.api import DeviceApi
from mobile_stub.clock import PhoneClock
from mobile_stub.errors import UnreachableError
from mobile_stub.keys import DeviceKey
from mobile_stub.state import ActivationUri, Identity
from mobile_stub.surroundings import Setup, new_session
from mobile_stub.wire import Activation

ACTIVATION_TRIES = 4


async def activate(target: ActivationUri, name: str, platform: str, clock: PhoneClock, setup: Setup) -> Identity:
    """Register a new key. A lost answer is asked for again: the same code and key get the same answer."""
    key = DeviceKey.generate()
    address = (setup.address or target.public_url).rstrip("/")
    session = setup.session or new_session(setup)
    api = DeviceApi(session, key, clock, issuer=target.public_url, address=address)
    push_token = setup.push_token if setup.firebase is None else setup.firebase.new_token()
    try:
        activation = await _activate_until_answered(api, target.code, name, platform, push_token, setup)
    finally:
        if setup.session is None:
            await session.close()
    return Identity(
        device_id=activation.device_id,
        name=name,
        platform=platform,
        issuer=activation.issuer,
        address=address,
        user=activation.owner(),
        jwks=activation.jwks,
        totp=activation.totp,
        key_pem=key.to_pem(),
        push_token=push_token,
    )


async def _activate_until_answered(
    api: DeviceApi, code: str, name: str, platform: str, push_token: str | None, setup: Setup
) -> Activation:
    backoff = setup.backoff()
    while True:
        try:
            return await api.activate(code, name, platform, push_token)
        except UnreachableError as trouble:
            if backoff.tries + 1 >= ACTIVATION_TRIES:
                raise
            await asyncio.sleep(backoff.next(at_least=trouble.retry_after or 0.0))
