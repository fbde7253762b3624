"""A browser's side of the sign-in interface, as an application's page would call it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True)
class App:
    """An application's credentials; a public one has no secret."""

    client_id: str
    client_secret: str | None


Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """Status, body and headers of an answer."""

    status: int
    body: Json
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """The problem's code."""
        code: str = self.body["code"]
        return code


class SignIn:
    """A sign-in that was begun, as its browser holds it."""

    def __init__(self, browser: Browser, body: Json) -> None:
        self.browser, self.body = browser, body
        self.id: str = body["id"]
        self.token: str = body["browser_token"]
        self._number = ""

    @property
    def number(self) -> str:
        """The number that the page shows, or showed last: over, it shows none, and people remember."""
        challenge = self.body["challenge"]
        shown: str | None = challenge["prompt"]["number"] if challenge else None
        return shown or self._number

    @property
    def bearer(self) -> dict[str, str]:
        """The header that opens it."""
        return {"Authorization": f"Bearer {self.token}"}

    async def look(self, **query: int) -> Json:
        """The sign-in now, or after a wait; later looks of `body` see it too."""
        reply = await self.browser.request("GET", f"/v1/sign-ins/{self.id}", headers=self.bearer, params=query)
        assert reply.status == 200, reply
        self._number = self.number
        self.body = {**self.body, **reply.body}
        return reply.body

    async def changed(self, wait: int = 25) -> Json:
        """Wait until it differs from what was seen last."""
        return await self.look(wait=wait, after=self.body["version"])

    async def outcome(self) -> Json:
        """Wait until it is over."""
        while self.body["state"] in {"pending", "registration_required"}:
            await self.changed()
        return self.body

    async def cancel(self) -> Reply:
        """Withdraw it."""
        return await self.browser.request("DELETE", f"/v1/sign-ins/{self.id}", headers=self.bearer)

    async def remember(self) -> Reply:
        """Have this browser remembered."""
        return await self.browser.request("POST", f"/v1/sign-ins/{self.id}/remember", headers=self.bearer)

    async def choose(self, method_id: str, instead_of: str | None = None) -> Reply:
        """Ask to be verified by that method."""
        body = {"method_id": method_id} | ({"instead_of": instead_of} if instead_of else {})
        return await self.browser.request("POST", f"/v1/sign-ins/{self.id}/challenges", headers=self.bearer, json=body)

    async def events(self, last: int | None = None) -> AsyncIterator[tuple[int, str]]:
        """The event stream: id and data of each event, as they come."""
        headers = self.bearer | ({"Last-Event-ID": str(last)} if last is not None else {})
        async with self.browser.session.get(f"/v1/sign-ins/{self.id}/events", headers=headers) as response:
            assert response.status == 200
            number = 0
            async for line in response.content:
                if line.startswith(b"id: "):
                    number = int(line[4:])
                elif line.startswith(b"data: "):
                    yield number, line[6:].decode().strip()


class Browser:
    """Calls the interface for one application."""

    def __init__(self, session: aiohttp.ClientSession, app: App, *, origin: str | None = None) -> None:
        self.session, self.app, self.origin = session, app, origin

    @property
    def identification(self) -> dict[str, str]:
        """How the application shows who it is."""
        if self.app.client_secret is None:
            return {"Origin": self.origin} if self.origin else {}
        return {"Authorization": aiohttp.encode_basic_auth(self.app.client_id, self.app.client_secret)}

    async def request(self, method: str, path: str, **more: Any) -> Reply:  # noqa: ANN401 - whatever aiohttp takes
        """Any request."""
        async with self.session.request(method, path, **more) as response:
            text = await response.text()
            body = await response.json(content_type=None) if text and "json" in response.content_type else {}
            return Reply(response.status, body, response.headers)

    async def post_begin(self, headers: dict[str, str] | None = None, **body: object) -> Reply:
        """Begin, and get whatever the answer is."""
        if self.app.client_secret is None:
            body = {"application": self.app.client_id} | body
        return await self.request("POST", "/v1/sign-ins", headers=self.identification | (headers or {}), json=body)

    async def begin(
        self, username: str, password: str | None = None, *, headers: dict[str, str] | None = None, **more: object
    ) -> SignIn:
        """Begin a sign-in that must be accepted."""
        body = {"username": username} | ({"password": password} if password is not None else {}) | more
        reply = await self.post_begin(headers, **body)
        assert reply.status == 201, reply
        return SignIn(self, reply.body)

    async def muted_for(self, username: str, password: str | None = None, **more: object) -> int:
        """Begin for a person whose phones may not be asked now, and insist on it. Seconds until they may be again."""
        reply = await self.post_begin(None, username=username, password=password, **more)
        assert reply.status == 201, reply
        sign_in = SignIn(self, reply.body)
        assert (sign_in.body["notice"], sign_in.body["challenge"]) == ("prompt_limit", None)
        insisted = await sign_in.choose(
            next(each["id"] for each in sign_in.body["methods"] if each["method"] == "app_notification")
        )
        assert (insisted.status, insisted.code) == (429, "too_many_prompts")
        assert (await sign_in.cancel()).status == 200
        return int(insisted.headers["Retry-After"])
