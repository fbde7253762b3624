"""Whom the stories are about: people with phones, browsers of applications, and patience with an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest
from websockets.exceptions import ConnectionClosed

from mobile_stub.api import SOCKET
from mobile_stub.connection import open_connection
from mobile_stub.phone import Phone
from mobile_stub.wire import Challenge
from push_service.model.user import User, UserState
from tests.support.browser import App, Browser, Json, Reply, SignIn
from tests.support.people import PASSWORD, Office

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
SETTINGS = App("settings", None)


async def soon(event: Awaitable[T]) -> T:
    """What must come by itself: fails when it doesn't within a generous time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await event


@dataclass(frozen=True)
class Scene:
    """A person, their phones, and a browser of an application that may vouch."""

    desk: Office
    user: User
    phones: tuple[Phone, ...]
    browser: Browser

    @property
    def phone(self) -> Phone:
        """The first phone."""
        return self.phones[0]

    async def begin(self, password: str | None = PASSWORD, **more: object) -> SignIn:
        """The person's sign-in, with a password unless the application vouches for them."""
        return await self.browser.begin(self.user.username, password, headers=None, **more)

    async def asked(self, password: str | None = None, **more: object) -> tuple[SignIn, tuple[Challenge, ...]]:
        """A sign-in that each phone shows."""
        sign_in = await self.begin(password, **more)
        return sign_in, tuple([await soon(phone.next_challenge()) for phone in self.phones])

    async def approved(self, password: str | None = PASSWORD, **more: object) -> SignIn:
        """A sign-in that was verified on the first phone, and whose browser knows."""
        sign_in = await self.begin(password, **more)
        await soon(self.phone.verify(await soon(self.phone.next_challenge()), number=sign_in.number))
        assert (await soon(sign_in.outcome()))["state"] == "approved"
        return sign_in


async def closed_with(phone: Phone, opened: asyncio.Event | None = None) -> int:
    """Hold a socket of the phone by hand until the service closes it; the close code.

    `opened` is set when it stands.
    """
    with pytest.raises(ConnectionClosed) as closed:
        await _hold(phone, opened or asyncio.Event())
    assert closed.value.rcvd, "the service went away without a word"
    return closed.value.rcvd.code


async def _hold(phone: Phone, opened: asyncio.Event) -> None:
    url = f"ws{phone.identity.address.removeprefix('http')}{SOCKET}"
    async with open_connection(url, lambda nonce: phone.api.proof("GET", SOCKET, nonce=nonce)) as connection:
        opened.set()
        await connection.listen(_ignore)


async def _ignore(_: object) -> None:
    """Any frame."""


@asynccontextmanager
async def scene(
    desk: Office, *phones: str, app: App | None = None, origin: str | None = None, user: User | None = None
) -> AsyncIterator[Scene]:
    """Somebody with phones of these names (one, if none is named), and a browser."""
    who = user or await desk.person(state=UserState.ENABLED)
    async with AsyncExitStack() as stack:
        owned = [await stack.enter_async_context(await desk.phone(who, name)) for name in phones or ("Pixel",)]
        browser = await stack.enter_async_context(desk.browser(app, origin=origin))
        yield Scene(desk, who, tuple(owned), browser)


@dataclass(frozen=True)
class Door:
    """The settings, as whoever has this token finds them."""

    browser: Browser
    token: str

    async def send(self, method: str, path: str, body: object = None) -> Reply:
        """Any request."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.browser.request(method, f"/v1/me{path}", headers=headers, json=body)

    async def me(self) -> Json:
        """What is registered."""
        reply = await self.send("GET", "")
        assert reply.status == 200, reply
        return reply.body

    async def activation(self) -> str:
        """The URI by which a phone is added."""
        reply = await self.send("POST", "/devices")
        assert reply.status == 201, reply
        uri: str = reply.body["uri"]
        return uri


@asynccontextmanager
async def in_settings(desk: Office, *phones: str) -> AsyncIterator[tuple[Scene, Door]]:
    """Somebody who has just signed in to the settings, by the page of the service itself."""
    async with scene(desk, *phones, app=SETTINGS, origin=desk.service.url) as alice:
        yield alice, Door(alice.browser, (await alice.approved()).token)
