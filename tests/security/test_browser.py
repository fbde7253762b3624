"""What pages of other sites, and thieves of ids, can do with a browser: nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any

import pytest

from mobile_stub.phone import Phone
from mobile_stub.surroundings import Reach, Setup
from push_service.model.user import User, UserState
from tests.support.browser import App, Browser, Reply, SignIn
from tests.support.people import PASSWORD, Office

SHOP = "https://shop.example"
POLLING = Setup(reach=Reach.POLL)
SOON = 20.0
COOKIE = "__Host-sign-in"
FOREIGN = [
    "null",
    "https://evil.example",
    "https://shop.example.evil.example",
    "https://evil-shop.example",
    "https://shop.example:8443",
    "http://shop.example",
    "https://shop.example/",
    "https://SHOP.example",
    "https://shop.example https://evil.example",
    "",
    None,
]


def origin(value: str | None) -> dict[str, str]:
    """The header of a page of that origin."""
    return {} if value is None else {"Origin": value}


async def nothing_begun(desk: Office, user: User) -> bool:
    """No sign-in of the person is live, and none of their phones is asked."""
    found = await desk.core.store.asked(user.id)
    return found is not None and not found.live


# --- S-38: a stolen id ----------------------------------------------------------------------------------------------

ROUTES = [
    ("GET", "", None),
    ("GET", "?wait=20&after=8", None),
    ("GET", "/events", None),
    ("POST", "/challenges", {"method_id": "mth_x"}),
    ("POST", "/code", {"code": "123456"}),
    ("DELETE", "", None),
]


@pytest.mark.security("S-38")
@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=[f"{method} {path}" for method, path, _ in ROUTES])
async def test_an_id_without_its_token_opens_nothing(
    desk: Office, method: str, path: str, body: dict[str, str] | None
) -> None:
    user, thief = await desk.person(state=UserState.ENFORCED), await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user, setup=POLLING), await desk.phone(thief, setup=POLLING), desk.browser() as browser:
        sign_in, own = await browser.begin(user.username), await browser.begin(thief.username)
        before = await sign_in.look()
        stolen, unknown = f"/v1/sign-ins/{sign_in.id}{path}", f"/v1/sign-ins/si_{secrets.token_urlsafe(18)}{path}"
        joint = "&" if "?" in path else "?"
        tokens_elsewhere = f"{joint}browser_token={sign_in.token}&access_token={sign_in.token}&token={sign_in.token}"
        half = sign_in.token.partition(".")[0] + "." + own.token.partition(".")[2]
        attempts: list[tuple[str, dict[str, str]]] = [
            (stolen, {}),
            (unknown, own.bearer),
            (stolen, own.bearer),
            (stolen, {"Authorization": f"Bearer {half}"}),
            (stolen, {"Authorization": f"Bearer {sign_in.token[:-1]}"}),
            (stolen, {"Authorization": f"Bearer {sign_in.token}A"}),
            (stolen, {"Authorization": "Bearer "}),
            (stolen, {"Authorization": sign_in.token}),
            (stolen, {"Authorization": f"Basic {sign_in.token}"}),
            (stolen, {"X-Browser-Token": sign_in.token}),
            (stolen + tokens_elsewhere, {}),
            (stolen, {"Cookie": f"{COOKIE}={own.token}"}),
            (stolen, {"Cookie": f"sign-in={sign_in.token}; browser_token={sign_in.token}"}),
            (stolen, {"Cookie": f"{COOKIE}={half}", "Origin": desk.service.url}),
        ]
        json = body if body is not None else {"browser_token": sign_in.token}
        replies = [await browser.request(method, where, headers=headers, json=json) for where, headers in attempts]
        plain = set(replies[0].headers)
        for reply, attempt in zip(replies, attempts, strict=True):
            assert (reply.status, reply.body) == (401, replies[0].body), attempt
            assert reply.code == "invalid_token"
            assert {name for name in reply.headers if not name.startswith("Access-Control-")} == plain, attempt
        assert await sign_in.look() == before


@pytest.mark.security("S-38")
async def test_the_token_is_in_the_first_answer_only(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user) as phone, desk.browser() as browser:
        sign_in = await browser.begin(user.username)
        assert "browser_token" not in await sign_in.look()
        async with asyncio.timeout(SOON):
            await phone.verify(await phone.next_challenge(), number=sign_in.number)
            seen = [document async for _, document in sign_in.events()]
    assert seen
    assert all(sign_in.token not in document for document in seen)


# --- S-39: login CSRF -----------------------------------------------------------------------------------------------


@pytest.mark.security("S-39")
async def test_a_public_application_is_begun_for_from_its_registered_origin_only(desk: Office) -> None:
    user, app = await desk.person(state=UserState.ENFORCED), await desk.application(public=True, origins=(SHOP,))
    async with await desk.phone(user, setup=POLLING), desk.browser(app) as browser:
        for value in FOREIGN:
            refused = await browser.post_begin(headers=origin(value), username=user.username, password=PASSWORD)
            assert (refused.status, refused.code) == (403, "origin_not_allowed"), value
            assert "Access-Control-Allow-Origin" not in refused.headers
        assert await nothing_begun(desk, user)
        begun = await browser.post_begin(headers=origin(SHOP), username=user.username, password=PASSWORD)
    assert begun.status == 201
    assert begun.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Access-Control-Allow-Credentials" not in begun.headers


FORMS = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/plain; application/json",
    "application/json; charset=utf-16",
    "text/json",
    "application/jsonx",
    "",
]


@pytest.mark.security("S-39", "S-48")
@pytest.mark.parametrize("content_type", FORMS)
async def test_what_a_form_could_send_begins_nothing(desk: Office, content_type: str) -> None:
    user, app = await desk.person(state=UserState.ENFORCED), await desk.application(public=True, origins=(SHOP,))
    body = f'{{"application":"{app.client_id}","username":"{user.username}","password":"{PASSWORD}"}}'
    async with await desk.phone(user, setup=POLLING), desk.browser(app) as browser:
        for path, own in (("/v1/sign-ins", SHOP), ("/sign-in/begin", desk.service.url)):
            for value in (own, "https://evil.example"):
                headers = {"Content-Type": content_type} | origin(value)
                refused = await browser.request("POST", path, headers=headers, data=body.encode())
                assert refused.status in ({415} if value == own else {403, 415}), (path, value)
    assert await nothing_begun(desk, user)


@pytest.mark.security("S-39")
async def test_the_hosted_page_is_begun_on_by_itself_only(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user, setup=POLLING), desk.browser() as browser:
        for value in (*FOREIGN, SHOP):
            body = {"username": user.username, "password": PASSWORD}
            refused = await browser.request("POST", "/sign-in/begin", headers=origin(value), json=body)
            assert (refused.status, refused.code) == (403, "origin_not_allowed"), value
            assert "Set-Cookie" not in refused.headers
    assert await nothing_begun(desk, user)


# --- S-40: open redirect --------------------------------------------------------------------------------------------

RETURN = "https://shop.example/signed-in"
ASTRAY = [
    "//evil.example",
    "//evil.example/signed-in",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "https://shop.example@evil.example/signed-in",
    "https://shop.example:pass@evil.example/signed-in",
    "https://evil.example/?https://shop.example/signed-in",
    "https://shop.example.evil.example/signed-in",
    "https://evilshop.example/signed-in",
    "https://shop.example/signed-in/",
    "https://shop.example/signed-in2",
    "https://shop.example/signed-in?next=//evil.example",
    "https://shop.example/signed-in#x",
    "https://shop.example/signed-in/../../evil",
    "https://shop.example/%2e%2e/signed-in",
    "https://shop.example/signed%2din",
    "https://shop.example:443/signed-in",
    "http://shop.example/signed-in",
    "HTTPS://shop.example/signed-in",
    "https://SHOP.example/signed-in",
    "https://shop\u3002example/signed-in",
    "https://\u0455hop.example/signed-in",
    " https://shop.example/signed-in",
    "https://shop.example/signed-in\r\nLocation: https://evil.example",
    "https://shop.example/signed-in\0",
]


class Parts(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.mark.security("S-40")
@pytest.mark.parametrize("astray", ASTRAY)
async def test_no_address_but_the_registered_one_is_returned_to(desk: Office, astray: str) -> None:
    app = await _shop(desk)
    async with desk.service.session() as session:
        query = {"application": app.client_id, "redirect_uri": astray, "state": "s"}
        async with session.get("/sign-in", params=query, allow_redirects=False) as response:
            text = await response.text()
            assert response.status == 400
            assert "Location" not in response.headers
            assert "evil" not in response.headers["Content-Security-Policy"]
            assert "form-action 'self';" in response.headers["Content-Security-Policy"]
    assert "evil" not in text
    assert all("src" not in attributes for tag, attributes in Parts(text).elements if tag == "script")


@pytest.mark.security("S-40")
async def test_the_registered_address_is_returned_to_and_two_of_them_are_none(desk: Office) -> None:
    app = await _shop(desk)
    async with desk.service.session() as session:
        async with session.get("/sign-in", params={"application": app.client_id, "redirect_uri": RETURN}) as response:
            assert response.status == 200
            assert "form-action 'self' https://shop.example;" in response.headers["Content-Security-Policy"]
        twice = [("application", app.client_id), ("redirect_uri", "https://evil.example"), ("redirect_uri", RETURN)]
        async with session.get("/sign-in", params=twice) as response:
            assert response.status == 400
        other = {"application": "settings", "redirect_uri": RETURN}
        async with session.get("/sign-in", params=other) as response:
            assert response.status == 400
        async with session.get("/", params={"next": "//evil.example"}, allow_redirects=False) as response:
            assert response.headers["Location"] == "/sign-in"


_shops: dict[str, App] = {}


async def _shop(desk: Office) -> App:
    """One application for all of these, made when first needed."""
    if desk.service.url not in _shops:
        _shops[desk.service.url] = await desk.application(public=True, redirect_uris=(RETURN,))
    return _shops[desk.service.url]


# --- S-41, S-37: the pages' cookie ----------------------------------------------------------------------------------


@asynccontextmanager
async def in_settings(desk: Office) -> AsyncIterator[tuple[Browser, User, dict[str, str], Phone]]:
    """A person in the settings, signed in by the hosted page: their browser holds the cookie."""
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user) as phone, desk.browser(App("settings", None)) as browser:
        own = origin(desk.service.url)
        body = {"username": user.username, "password": PASSWORD}
        begun = await browser.request("POST", "/sign-in/begin", headers=own, json=body)
        assert begun.status == 201
        cookie = SimpleCookie(begun.headers["Set-Cookie"])[COOKIE]
        sign_in = SignIn(browser, begun.body | {"browser_token": cookie.value})
        async with asyncio.timeout(SOON):
            await phone.verify(await phone.next_challenge(), number=sign_in.number)
            assert (await sign_in.outcome())["state"] == "approved"
        yield browser, user, {"Cookie": f"{COOKIE}={cookie.value}"}, phone


@pytest.mark.security("S-37", "S-41")
async def test_the_cookie_is_bound_to_this_origin_and_hidden_from_scripts(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user, setup=POLLING), desk.browser() as browser:
        body = {"username": user.username, "password": PASSWORD}
        planted = {"Cookie": f"{COOKIE}=bt_{secrets.token_urlsafe(18)}.{secrets.token_urlsafe(32)}"}
        headers = origin(desk.service.url) | planted
        replies = [await browser.request("POST", "/sign-in/begin", headers=headers, json=body) for _ in range(2)]
    values = set()
    for reply in replies:
        assert reply.status == 201
        cookie = SimpleCookie(reply.headers["Set-Cookie"])[COOKIE]
        assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
        assert cookie["samesite"] == "Strict"
        assert (cookie["max-age"], cookie["expires"]) == ("", "")
        assert "browser_token" not in reply.body
        assert cookie.value not in str(reply.body)
        assert cookie.value not in planted["Cookie"], "a planted value was taken up"
        values.add(cookie.value)
    assert len(values) == 2


@pytest.mark.security("S-41")
async def test_another_site_changes_nothing_through_the_cookie(desk: Office) -> None:
    async with in_settings(desk) as (browser, user, cookie, _):
        before = (await desk.core.administrator.user(user.username)).guard
        method_id = before.methods[0].id
        changes: list[tuple[str, str, dict[str, str]]] = [
            ("POST", "/v1/me/devices", {}),
            ("PUT", "/v1/me/primary-method", {"method_id": method_id}),
            ("DELETE", f"/v1/me/methods/{method_id}", {}),
        ]
        for method, path, body in changes:
            for value in FOREIGN:
                reply = await browser.request(method, path, headers=cookie | origin(value), json=body)
                assert (reply.status, reply.code) == (403, "origin_not_allowed"), (method, path, value)
            for content_type in (each for each in FORMS if "utf-16" not in each):
                headers = cookie | origin(desk.service.url) | {"Content-Type": content_type}
                reply = await browser.request(method, path, headers=headers, data=b"{}")
                assert reply.status == 415, (method, path, content_type)
        assert (await desk.core.administrator.user(user.username)).guard == before
        own = await browser.request("POST", "/v1/me/devices", headers=cookie | origin(desk.service.url), json={})
        assert own.status == 201


@pytest.mark.security("S-41")
async def test_no_get_and_no_override_of_the_method_changes_anything(desk: Office) -> None:
    async with in_settings(desk) as (browser, user, cookie, _):
        before = await desk.core.administrator.user(user.username)
        method_id = before.guard.methods[0].id
        overrides = {"X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE", "X-Method-Override": "DELETE"}
        statuses = []
        for path in (f"/v1/me/methods/{method_id}", "/v1/me/devices", "/v1/me/primary-method", "/v1/me"):
            for query in ("", "?_method=DELETE", f"?method_id={method_id}"):
                reply = await browser.request("GET", path + query, headers=cookie | overrides)
                statuses.append(reply.status)
        for path in ("/", "/sign-in", "/registration", "/activate", "/livez", "/readyz", "/metrics", "/openapi.json"):
            await browser.request("GET", path, headers=cookie | overrides)
        post = cookie | origin(desk.service.url) | overrides
        assert (await browser.request("POST", f"/v1/me/methods/{method_id}", headers=post, json={})).status == 405
        assert set(statuses) == {405, 200}
        assert await desk.core.administrator.user(user.username) == before


@pytest.mark.security("S-41")
async def test_pages_cannot_be_framed_and_run_their_own_scripts_only(desk: Office) -> None:
    async with desk.service.session() as session:
        for path in ("/sign-in", "/registration", "/activate", "/sign-in?application=nobody"):
            async with session.get(path) as response:
                policy = response.headers["Content-Security-Policy"]
                parts = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
                assert parts["frame-ancestors"] == "'none'"
                assert parts["default-src"] == "'none'"
                assert parts["script-src"] == "'self'"
                assert parts["style-src"] == "'self'"
                assert parts["base-uri"] == "'none'"
                assert "unsafe" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.security("S-41")
async def test_other_pages_read_answers_only_from_registered_origins_and_never_with_cookies(desk: Office) -> None:
    app = await desk.application(public=True, origins=(SHOP, "https://second.example"))
    async with desk.browser(app) as browser, in_settings(desk) as (_, _, cookie, _):

        async def shared(path: str, value: str, **headers: str) -> Reply:
            return await browser.request("GET", path, headers=origin(value) | headers)

        for path in ("/v1/me", "/v1/sign-ins/si_x", "/v1/sign-ins/si_x/events", "/.well-known/jwks.json"):
            for value in (SHOP, "https://second.example"):
                reply = await shared(path, value)
                assert reply.headers["Access-Control-Allow-Origin"] == value
                assert reply.headers["Vary"] == "Origin"
                assert "Access-Control-Allow-Credentials" not in reply.headers
            for foreign in FOREIGN[:9]:
                assert foreign is not None
                reply = await shared(path, foreign, **cookie)
                assert "Access-Control-Allow-Origin" not in reply.headers, foreign
        for path in ("/v1/device", "/v1/device/challenges", "/metrics", "/sign-in", "/readyz"):
            assert "Access-Control-Allow-Origin" not in (await shared(path, SHOP)).headers
        for value, status in ((SHOP, 204), ("https://evil.example", 403), ("null", 403)):
            headers = origin(value) | {"Access-Control-Request-Method": "POST"}
            reply = await browser.request("OPTIONS", "/v1/sign-ins", headers=headers)
            assert reply.status == status
            assert reply.headers.get("Access-Control-Allow-Origin") == (value if status == 204 else None)
            assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.security("S-41")
async def test_the_cookie_opens_its_own_sign_in_and_is_checked_like_a_token(desk: Office) -> None:
    async with in_settings(desk) as (browser, user, cookie, _):
        other = await desk.person(state=UserState.ENFORCED)
        async with await desk.phone(other, setup=POLLING), desk.browser() as elsewhere:
            theirs = await elsewhere.begin(other.username)
            assert (await browser.request("GET", f"/v1/sign-ins/{theirs.id}", headers=cookie)).code == "invalid_token"
            headers: dict[str, Any] = cookie | origin(desk.service.url)
            reply = await browser.request("DELETE", f"/v1/sign-ins/{theirs.id}", headers=headers)
            assert reply.code == "invalid_token"
        assert (await browser.request("GET", "/v1/me", headers=cookie)).body["username"] == user.username
