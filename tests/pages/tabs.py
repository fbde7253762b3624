"""Two tabs of one person: the hosted sign-in page of a real server, and the phone that a stub world shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

from aiohttp import web
from playwright.async_api import BrowserContext, Page, Request, expect

from mobile_stub.world import World
from push_service.model.user import User, UserState
from tests.support.people import PASSWORD, Office

from .visits import expect_step, heading_shown

ASKED = "Approve on your phone"
SIGNED_IN = "You are signed in"
PROOF_UP = "Additional security verification"


@dataclass(frozen=True)
class SignInTab:
    """The hosted page."""

    page: Page
    url: str

    async def open(self, **query: str) -> None:
        """Go to the sign-in page, for the settings unless the query names an application."""
        await self.page.goto(f"{self.url}/sign-in?{urlencode(query)}")

    async def submit(self, user: User, password: str = PASSWORD) -> None:
        """Name and password, and Sign in."""
        await self.page.bring_to_front()
        await self.page.get_by_label("Username").fill(user.username)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Sign in").click()

    async def says(self, heading: str) -> None:
        """Its step has this heading."""
        await expect_step(self.page, heading)

    async def number(self) -> str:
        """The number that a person reads there."""
        await self.says(ASKED)
        shown = await self.page.locator(".number [aria-hidden]").text_content()
        assert shown
        assert shown.isdigit()
        return shown

    async def press(self, button: str) -> None:
        """Turn to this tab and press a button."""
        await self.page.bring_to_front()
        await self.page.get_by_role("button", name=button).click()


@dataclass(frozen=True)
class PhoneTab:
    """A phone's screen, which is a page of the stub world."""

    page: Page

    async def type(self, number: str) -> None:
        """Type the number where the prompt asks for it."""
        await self.page.get_by_label("Number in the browser").fill(number)

    async def press(self, button: str) -> None:
        """Turn to this tab and press a button."""
        await self.page.bring_to_front()
        await self.page.get_by_role("button", name=button).click()

    async def says(self, heading: str) -> None:
        """Its screen has this heading."""
        await heading_shown(self.page, heading)
        await expect(self.page.get_by_role("heading", name=heading)).to_be_visible()

    async def verify(self, number: str) -> None:
        """Answer as the person who signs in, read that it worked, and close it."""
        await self.type(number)
        await self.press("Verify")
        await self.says("You have successfully completed the sign in")
        await self.close()

    async def close(self) -> None:
        """Close what the screen says."""
        await self.press("Close")
        await self.says("No sign-in is waiting")


@dataclass(frozen=True)
class Person:
    """Somebody at a browser, with their phone in another tab."""

    user: User
    tab: SignInTab
    phone: PhoneTab

    async def begin(self, **query: str) -> str:
        """Open the page and sign in as far as the number, which is returned."""
        await self.tab.open(**query)
        await self.tab.submit(self.user)
        return await self.tab.number()


async def sign_in_tab(context: BrowserContext, desk: Office) -> SignInTab:
    """A new tab for the sign-in page."""
    return SignInTab(await context.new_page(), desk.service.url)


async def person(context: BrowserContext, desk: Office, world: World) -> Person:
    """Somebody registered, whose phone is switched on and waits."""
    user = await desk.person(state=UserState.ENFORCED)
    held = await world.shelf.activate(await desk.activation(user), "Pixel", "stub")
    screen = await context.new_page()
    await screen.goto(world.page_of(held.phone.device_id))
    await expect(screen.get_by_text("Connected", exact=True)).to_be_visible()
    return Person(user, await sign_in_tab(context, desk), PhoneTab(screen))


@dataclass
class Receiver:
    """The place of an application that results are posted to."""

    url: str = ""
    posts: list[dict[str, str]] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A server of its own on another host name, so that it is another site for the browser."""
    received = Receiver()

    async def take(request: web.Request) -> web.Response:
        form = await request.post()
        received.requests.append(request)
        received.posts.append({name: str(value) for name, value in form.items()})
        return web.Response(text="<!doctype html><title>Mail</title><h1>Welcome</h1>", content_type="text/html")

    app = web.Application()
    app.router.add_post("/signed-in", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        received.url = f"http://127.0.0.1:{runner.addresses[0][1]}/signed-in"
        yield received
    finally:
        await runner.cleanup()


@dataclass
class Overheard:
    """Everything that a browser context asked for while it was watched."""

    urls: list[str] = field(default_factory=list)

    def listen_to(self, context: BrowserContext) -> Overheard:
        """Note every address from now on, fragments too."""

        def note(request: Request) -> None:
            self.urls.append(request.url)

        context.on("request", note)
        context.on("page", lambda page: page.on("framenavigated", lambda frame: self.urls.append(frame.url)))
        return self
