"""A browser's side of the interface, as an application's own page would be it: for the people of the demo.

Knows the interface as `GET /openapi.json` describes it, and no more of it than the demo looks at. Used by
`demo_script.py`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import aiohttp
import msgspec

from mobile_stub.demo_service import Credentials, DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping

Reply = TypeVar("Reply")

WAIT_SECONDS = 25
BROWSER = {"ip": "203.0.113.7", "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
"""The browser that the application describes; its address is one that documentation may use (RFC 5737)."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the demo."""

    name: str
    password: str

    @classmethod
    def called(cls, name: str) -> Self:
        """Someone with a new password that can be read out loud: 9 random syllables, about 57 bits."""
        words = ("".join(secrets.choice("bdfgklmnprstvz") + secrets.choice("aeiou") for _ in range(3)) for _ in "123")
        return cls(name, "-".join(words))


class Prompt(msgspec.Struct, frozen=True):
    """What the page shows of a challenge."""

    number: str | None = None


class Method(msgspec.Struct, frozen=True):
    """One of the person's ways to verify."""

    id: str
    method: str
    target: str


class BrowserChallenge(msgspec.Struct, frozen=True):
    """A challenge as the browser sees it."""

    id: str
    method: str
    target: str
    prompt: Prompt


class SignIn(msgspec.Struct, frozen=True):
    """A sign-in as the browser sees it, as far as the demo looks."""

    id: str
    version: int
    state: str
    reason: str | None
    challenge: BrowserChallenge | None
    methods: tuple[Method, ...] = ()
    browser_token: str = ""
    result: str | None = None


class Problem(msgspec.Struct, frozen=True):
    """A refusal (RFC 9457), as far as people are told."""

    title: str
    code: str


class Refused(DemoError):
    """The service said no."""

    def __init__(self, request: str, status: int, problem: Problem) -> None:
        """Keep what it said."""
        super().__init__(f"{request} was answered {status} {problem.code}: {problem.title}")
        self.status, self.problem = status, problem


class Api:
    """Requests to the service, and what it answers."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Speak over this session, whose base is the service's address."""
        self._session = session

    async def send(
        self,
        method: str,
        path: str,
        reply: type[Reply],
        *,
        authorization: str = "",
        body: object = None,
        more: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request. Raises Refused, or DemoError for what is no answer of the service."""
        headers = {**(more or {}), **({"Authorization": authorization} if authorization else {})}
        async with self._session.request(method, path, headers=headers, json=body) as response:
            answer = await response.read()
            request = f"{method} {path.partition('?')[0]}"
            if response.content_type == "application/problem+json":
                raise Refused(request, response.status, msgspec.json.decode(answer, type=Problem))
            if not response.ok:
                raise DemoError(f"{request} was answered {response.status}: {answer.decode()}")
            return msgspec.json.decode(answer or b"null", type=reply)


class Browser:
    """A browser at one application's page, which identifies itself by its secret, or, public, by its origin."""

    def __init__(self, api: Api, application: Credentials | str, origin: str = "") -> None:
        """`application` is a public one's client_id, whose page is served from `origin`."""
        self._api, self._application = api, application
        self._origin = {"Origin": origin, "User-Agent": BROWSER["user_agent"]} if origin else {}

    async def begin(self, person: Person) -> SignIn:
        """Send name and password."""
        body: dict[str, object] = {"username": person.name, "password": person.password}
        authorization = ""
        if isinstance(self._application, str):
            body["application"] = self._application
        else:
            authorization = self._application.basic
            body["client"] = BROWSER
        return await self._api.send(
            "POST", "/v1/sign-ins", SignIn, authorization=authorization, body=body, more=self._origin
        )

    async def choose(self, sign_in: SignIn, method: str) -> SignIn:
        """Another verification option. DemoError where the person has none of that kind."""
        chosen = next((each for each in sign_in.methods if each.method == method), None)
        if chosen is None:
            raise DemoError(f"{method} is not among the other verification options")
        return await self.request(
            sign_in, "POST", f"/v1/sign-ins/{sign_in.id}/challenges", SignIn, {"method_id": chosen.id}
        )

    async def enter(self, sign_in: SignIn, code: str) -> SignIn:
        """Type a code."""
        return await self.request(sign_in, "POST", f"/v1/sign-ins/{sign_in.id}/code", SignIn, {"code": code})

    async def outcome(self, sign_in: SignIn, token: str = "") -> SignIn:
        """Wait, by long-poll, until it is over."""
        seen, token = sign_in, token or sign_in.browser_token
        while seen.state == "pending":
            path = f"/v1/sign-ins/{sign_in.id}?wait={WAIT_SECONDS}&after={seen.version}"
            seen = await self._api.send("GET", path, SignIn, authorization=f"Bearer {token}", more=self._origin)
        return seen

    async def request(self, sign_in: SignIn, method: str, path: str, reply: type[Reply], body: object = None) -> Reply:
        """Whatever the sign-in's token opens: itself, or, approved for them, the settings."""
        authorization = f"Bearer {sign_in.browser_token}"
        return await self._api.send(method, path, reply, authorization=authorization, body=body, more=self._origin)
