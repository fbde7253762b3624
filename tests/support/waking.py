"""What stories about wake-ups share: a server that sends through a world's Firebase, and what a browser hears of it."""

from __future__ import annotations

import asyncio

from mobile_stub.world import World
from tests.support.browser import SignIn

DELIVERY_SECONDS = 30.0


def firebase_settings(world: World) -> dict[str, str]:
    """The settings by which a server's wake-ups go to this world's phones."""
    return {"FIREBASE__CREDENTIALS": str(world.credentials), "FIREBASE__BASE_URL": world.url}


async def until_delivery(sign_in: SignIn, wanted: str) -> None:
    """Wait, as a browser does, until the prompt has come this far."""
    async with asyncio.timeout(DELIVERY_SECONDS):
        while sign_in.body["challenge"]["delivery"] != wanted:
            await sign_in.look(wait=20, after=sign_in.body["version"])
