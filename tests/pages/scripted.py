"""The interface's answers, written by a test: what a page shows must follow from these alone.

A page knows the service only through HTTP, so that is where these tests take its place: ``Interface`` answers the
requests of one browser context as INTERFACE's sign-in routes would, with the sign-in that the test last told it. The
pages themselves, their static files and their content security policy are the real ones.
"""

import asyncio
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from playwright.async_api import BrowserContext, Route

import push_service.pages
from push_service.frontends.words import words

from .answers import Answer, Request, problem, soon
from .scripted_account import Account

ORIGIN: Final = "https://verify.test"
APPLICATION: Final = "https://mail.test"
PAGES: Final = Path(push_service.pages.__file__).parent
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    f"form-action 'self' {APPLICATION}; frame-ancestors 'none'; base-uri 'none'"
)
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
TEMPLATES: Final = Environment(loader=FileSystemLoader(PAGES / "templates"), autoescape=True, undefined=StrictUndefined)

WAYS: Final = "app mobile office authenticator"

SignIn = dict[str, object]

PHONE: Final = "Alice's phone"
TEXT_MOBILE: Final[SignIn] = {
    "id": "mth_text",
    "method": "text_mobile",
    "target": "+XX XXXXXXX89",
    "label": "Text code to my mobile phone",
    "primary": False,
}
CALL_MOBILE: Final[SignIn] = TEXT_MOBILE | {
    "id": "mth_call",
    "method": "call_mobile",
    "label": "Call my mobile phone",
}
RESULT: Final = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1c3JfMSJ9.c2ln"


def challenge(**changes: object) -> SignIn:
    """A prompt that waits on Alice's phone."""
    return {
        "id": "ch_1",
        "method_id": "mth_app",
        "method": "app_notification",
        "state": "pending",
        "reason": None,
        "delivery": "delivered",
        "prompt": {"kind": "approve_on_device", "number": "42"},
        "target": PHONE,
        "expires_at": soon(),
    } | changes


def code_by_text(**changes: object) -> SignIn:
    """A code that is on its way by text."""
    texted: SignIn = {
        "method_id": "mth_text",
        "method": "text_mobile",
        "delivery": "sent",
        "prompt": {"kind": "enter_code", "digits": 6},
        "target": "+XX XXXXXXX89",
    }
    return challenge(**texted | changes)


def call(**changes: object) -> SignIn:
    """A call that is being placed."""
    called: SignIn = {
        "method_id": "mth_call",
        "method": "call_mobile",
        "delivery": "sent",
        "prompt": {"kind": "answer_call", "number": None},
        "target": "+XX XXXXXXX89",
    }
    return challenge(**called | changes)


def sign_in(state: str = "pending", **changes: object) -> SignIn:
    """A sign-in as the interface describes it."""
    return {
        "id": "si_1",
        "version": 1,
        "state": state,
        "reason": None,
        "notice": None,
        "application": "Contoso Mail",
        "expires_at": soon(),
        "challenge": challenge() if state == "pending" else None,
        "methods": [],
    } | changes


def registration_required() -> SignIn:
    """A sign-in of somebody who has nothing registered yet."""
    registration = {"url": f"{ORIGIN}/registration#token=rt_1", "token": "rt_1"}
    return sign_in("registration_required", registration=registration, expires_at=soon(600))


def activation(code: str = "act_7Q2M9XKDW4JH", seconds: float = 600) -> SignIn:
    """What the settings answer when a phone is to be added."""
    uri = f"{ORIGIN}/activate#code={code}"
    qr = segno.make(uri).svg_inline(omitsize=True)
    return {"code": code, "uri": uri, "expires_at": soon(seconds), "qr_svg": qr}


class Interface:
    """Answers a browser context's requests; ``tell`` changes the sign-in and lets its waiting questions go."""

    def __init__(self) -> None:
        self.sign_in: SignIn = sign_in()
        self.activation: SignIn = activation()
        self.account = Account()
        self.variables: dict[str, str] = {"application_id": "app_1", "application_name": "Contoso Mail"}
        self.asked: list[Request] = []
        self.handed_over: list[dict[str, list[str]]] = []
        self.reachable = True
        self.dated = False
        self._next: dict[tuple[str, str], list[Answer | None]] = {}
        self._usual_answers: dict[tuple[str, str], Answer] = {}
        self._changed = asyncio.Condition()

    async def serve(self, context: BrowserContext) -> None:
        """Stand in for the service and the application's own site in this context."""
        await context.route(f"{ORIGIN}/**", self._page_or_answer)
        await context.route(f"{APPLICATION}/**", self._application)

    async def tell(self, changed: SignIn) -> None:
        """The sign-in changed: its next version."""
        async with self._changed:
            version = self.sign_in["version"]
            assert isinstance(version, int)
            self.sign_in = changed | {"version": version + 1}
            self._changed.notify_all()

    def next(self, method: str, path: str, *answers: Answer | None) -> None:
        """Answer the next such requests so; afterwards as usual."""
        self._next[method, path] = list(answers)

    def usually(self, method: str, path: str, answer: Answer | None) -> None:
        """Answer such requests so from now on; None: by itself again."""
        if answer is None:
            self._usual_answers.pop((method, path))
        else:
            self._usual_answers[method, path] = answer

    def requests(self, method: str, path: str) -> list[Request]:
        """What was asked there so far."""
        return [request for request in self.asked if (request.method, request.path) == (method, path)]

    async def _page_or_answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if url.path.startswith("/static/"):
            file = PAGES / url.path.removeprefix("/")
            await route.fulfill(body=file.read_bytes(), content_type=TYPES[file.suffix])
        elif route.request.is_navigation_request():
            await self._page(route, url.path, {name: values[0] for name, values in parse_qs(url.query).items()})
        else:
            await self._answer(route, url.path, parse_qs(url.query))

    async def _page(self, route: Route, path: str, query: dict[str, str]) -> None:
        name = path.strip("/").replace("-", "_")
        empty = {"redirect_uri": "", "state": "", "nonce": "", "opens": "", "at_once": "", "ways": WAYS}
        variables = empty | query | self.variables
        html = TEMPLATES.get_template(f"{name}.html").render(**variables, words=words())
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": POLICY}
        await route.fulfill(body=html, headers=headers)

    async def _answer(self, route: Route, path: str, query: dict[str, list[str]]) -> None:
        if not self.reachable:
            await route.abort("connectionfailed")
            return
        asked = route.request
        body = json.loads(asked.post_data) if asked.post_data else {}
        request = Request(asked.method, path, query, await asked.all_headers(), body)
        self.asked.append(request)
        if planned := self._next.get((request.method, path)):
            answer = planned.pop(0)
        elif usual := self._usual_answers.get((request.method, request.path)):
            answer = usual
        else:
            answer = await self._usual(request)
        if answer is None or not self.reachable:
            await route.abort("connectionfailed")
            return
        headers = {"content-type": "application/json" if answer.status < 400 else "application/problem+json"}
        if self.dated:
            headers["date"] = format_datetime(datetime.now(UTC), usegmt=True)
        text = "" if answer.body is None else json.dumps(answer.body)
        await route.fulfill(status=answer.status, body=text, headers=headers | dict(answer.headers))

    async def _usual(self, request: Request) -> Answer:
        answer = problem(404, "not_found")
        match request.method, request.path.removeprefix("/v1"):
            case "POST", "/sign-in/begin":
                answer = Answer(self.sign_in, 201)
            case "GET", "/sign-ins/si_1":
                await self._change_since(request.query.get("after"))
                answer = Answer(self.sign_in)
            case "DELETE", "/sign-ins/si_1":
                await self.tell(sign_in("withdrawn", reason="cancelled"))
                answer = Answer(self.sign_in)
            case "POST", "/sign-ins/si_1/challenges":
                newer = challenge(id="ch_2", prompt={"kind": "approve_on_device", "number": "77"})
                await self.tell(self.sign_in | {"notice": None, "challenge": newer})
                answer = Answer(self.sign_in, 201)
            case "POST", "/me/devices":
                answer = Answer(self.activation, 201)
            case "POST", "/sign-ins/si_1/code":
                await self.tell(sign_in("approved"))
                answer = Answer(self.sign_in)
            case _, path if path.startswith("/me"):
                answer = self.account.answer(request) or answer
            case _:
                pass
        return answer

    async def _change_since(self, after: list[str] | None) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self.reachable or [str(self.sign_in["version"])] != after)

    async def lose_connection(self) -> None:
        """From now on nothing is answered, and what waits breaks."""
        async with self._changed:
            self.reachable = False
            self._changed.notify_all()

    async def _application(self, route: Route) -> None:
        self.handed_over.append(parse_qs(route.request.post_data or ""))
        await route.fulfill(body="<!doctype html><title>Contoso Mail</title><h1>Welcome</h1>", content_type="text/html")
