"""Pages of registered origins may call the interface, and no others; never with cookies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from push_service.applications import Applications
from push_service.crypto.sealing import Sealer
from push_service.frontends import cors, http
from push_service.model.application import Application
from push_service.model.decision import Actor, Audit, AuditKind
from push_service.model.errors import TooLate
from push_service.model.ids import ApplicationId
from push_service.store.sqlite import SqliteStore

OWN, PAGE = "https://verify.example", "https://shop.example"
ADDED = Audit(kind=AuditKind.APPLICATION_ADDED, actor=Actor.OPERATOR)
APPLICATION = Application(id=ApplicationId("app_1"), name="Shop", origins=(PAGE,))
STRANGERS = (
    "https://evil.example",
    "null",
    "",
    "http://shop.example",
    "https://shop.example:8443",
    "https://SHOP.example",
    "https://shop.example/",
    "https://shop.example.evil.example",
    "https://evil-shop.example",
    "https://sub.shop.example",
)

Client = TestClient[web.Request, web.Application]


class Site:
    """Some routes of the interface, with what guards them."""

    def __init__(self, client: Client, store: SqliteStore, applications: Applications) -> None:
        self.client, self.store, self.applications = client, store, applications

    async def get(self, path: str, origin: str | None) -> tuple[int, str | None, str | None]:
        headers = {} if origin is None else {"Origin": origin}
        async with self.client.get(path, headers=headers) as response:
            assert "Access-Control-Allow-Credentials" not in response.headers
            return response.status, response.headers.get("Access-Control-Allow-Origin"), response.headers.get("Vary")

    async def ask(self, path: str, origin: str) -> tuple[int, dict[str, str]]:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        async with self.client.options(path, headers=headers) as response:
            return response.status, {k: v for k, v in response.headers.items() if k.startswith("Access-Control")}


async def plain(_: web.Request) -> web.Response:
    return web.json_response({})


async def refused(_: web.Request) -> web.Response:
    raise TooLate


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write_eof()
    return response


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with SqliteStore(tmp_path / "data.db", Sealer(bytes(32))) as store:
        await store.put_application(APPLICATION, ADDED)
        applications = Applications(store, OWN)
        app = web.Application(middlewares=[http.guard(lambda *_: None)])
        app.on_response_prepare.append(cors.allow(applications))
        for path, handler in (
            ("/v1/sign-ins", plain),
            ("/v1/sign-ins/refused", refused),
            ("/v1/sign-ins/events", stream),
            ("/.well-known/jwks.json", plain),
            ("/v1/device", plain),
            ("/sign-in", plain),
        ):
            app.router.add_get(path, handler)
        app.router.add_route("OPTIONS", cors.PATTERN, cors.preflight(applications))
        async with TestClient(TestServer(app)) as client:
            yield Site(client, store, applications)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/sign-ins", 200),
        ("/v1/sign-ins/refused", 409),
        ("/v1/sign-ins/events", 200),
        ("/v1/sign-ins/nowhere/at/all", 404),
        ("/.well-known/jwks.json", 200),
    ],
)
@pytest.mark.parametrize("origin", [PAGE, OWN])
async def test_a_registered_page_may_read_answers_refusals_and_streams(
    site: Site, path: str, status: int, origin: str
) -> None:
    assert await site.get(path, origin) == (status, origin, "Origin")


@pytest.mark.security("S-41")
@pytest.mark.parametrize("origin", STRANGERS)
async def test_no_other_page_may_and_none_is_told_which(site: Site, origin: str) -> None:
    assert await site.get("/v1/sign-ins", origin) == (200, None, "Origin")
    status, allowed = await site.ask("/v1/sign-ins", origin)
    assert (status, allowed) == (403, {})


@pytest.mark.security("S-41")
@pytest.mark.parametrize("path", ["/v1/device", "/sign-in"])
async def test_what_no_page_needs_is_shared_with_none(site: Site, path: str) -> None:
    assert (await site.get(path, PAGE))[1] is None
    status, allowed = await site.ask(path, PAGE)
    assert status in {404, 405}
    assert allowed == {}


async def test_whoever_is_no_page_is_answered_without_a_word_of_it(site: Site) -> None:
    assert (await site.get("/v1/sign-ins", None))[:2] == (200, None)


async def test_a_page_that_asks_first_is_told_what_it_may_send(site: Site) -> None:
    for path in ("/v1/sign-ins", "/v1/sign-ins/si_1/challenges", "/v1/me/devices"):
        status, allowed = await site.ask(path, PAGE)
        assert status == 204
        assert allowed["Access-Control-Allow-Origin"] == PAGE
        assert set(allowed["Access-Control-Allow-Headers"].split(", ")) >= {
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
        }
        assert set(allowed["Access-Control-Allow-Methods"].split(", ")) >= {"GET", "POST", "DELETE"}
        assert "Access-Control-Allow-Credentials" not in allowed


async def test_an_application_that_was_removed_has_no_pages_any_more(site: Site) -> None:
    assert (await site.get("/v1/sign-ins", PAGE))[1] == PAGE
    await site.store.put_application(msgspec.structs.replace(APPLICATION, removed=True), ADDED)
    site.applications.changed()
    assert (await site.get("/v1/sign-ins", PAGE))[1] is None
    assert (await site.ask("/v1/sign-ins", PAGE))[0] == 403
