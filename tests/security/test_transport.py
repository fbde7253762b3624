"""The transport: requests that mean two things, never end, are too large, or lie about where they come from."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from mobile_stub.phone import Phone
from mobile_stub.surroundings import Reach, Setup
from push_service.model.user import UserState
from tests.conftest import MakeOffice, MakeService
from tests.security.raw import CRLF, exchange, request, wire
from tests.support.people import Office
from tests.support.service import Service

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
BEHIND = request("GET", "/livez", b"", "Connection: close")
"""The request that an attacker hides behind another; its answer is the word `alive`."""
LIMIT = 64 * 1024

AMBIGUOUS = {
    "length before chunks": (JSON, f"Content-Length: {5 + len(BEHIND)}", CHUNKED),
    "chunks before length": (JSON, CHUNKED, "Content-Length: 4"),
    "two lengths": (JSON, "Content-Length: 5", "Content-Length: 50"),
    "two equal lengths": (JSON, "Content-Length: 5", "Content-Length: 5"),
    "a list of lengths": (JSON, "Content-Length: 5, 5"),
    "a signed length": (JSON, "Content-Length: +5"),
    "a negative length": (JSON, "Content-Length: -5"),
    "a length with an underscore": (JSON, "Content-Length: 1_0"),
    "a space before the colon": (JSON, "Transfer-Encoding : chunked"),
    "a coding that is nearly chunked": (JSON, "Transfer-Encoding: xchunked"),
    "chunked that is not last": (JSON, "Transfer-Encoding: chunked, identity"),
    "two codings": (JSON, CHUNKED, "Transfer-Encoding: identity"),
    "a folded header": (JSON, CHUNKED, "X-Folded: a\r\n b"),
    "a bare carriage return": (JSON, CHUNKED, "X-Bare: a\rX-Second: b"),
    "a NUL": (JSON, CHUNKED, "X-Nul: a\0b"),
}


@pytest.mark.security("S-65")
@pytest.mark.parametrize("headers", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_a_request_that_two_servers_could_read_differently_is_refused_with_all_that_follows(
    service: Service, headers: tuple[str, ...]
) -> None:
    hidden = b"0\r\n\r\n" + BEHIND
    async with wire(service.port) as line:
        await line.send(request("POST", "/v1/sign-ins", hidden, *headers, length=False))
        refusal = await line.answer()
        assert refusal is not None
        assert refusal.status == 400
        assert await line.closed(), "a second answer came"


@pytest.mark.security("S-65")
@pytest.mark.parametrize(
    "chunks", [b"zz\r\n{}\r\n", b"-2\r\n{}\r\n", b"2;a\nb\r\n{}\r\n", b"2\r\n{}x\r\n", b"0x2\r\n{}\r\n"]
)
async def test_a_chunk_that_is_not_one_ends_the_connection(service: Service, chunks: bytes) -> None:
    found = await exchange(
        service.port, request("POST", "/v1/sign-ins", chunks + b"0\r\n\r\n" + BEHIND, JSON, CHUNKED, length=False)
    )
    assert [answer.status for answer in found] == [400]


@pytest.mark.security("S-65")
async def test_two_hosts_or_none_are_refused(service: Service) -> None:
    for text in (request("GET", "/livez", b"", "Host: evil.example"), b"GET /livez HTTP/1.1\r\n\r\n"):
        found = await exchange(service.port, text, BEHIND)
        assert [answer.status for answer in found] == [400]


@pytest.mark.security("S-65")
async def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not(service: Service) -> None:
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (LIMIT + 1, b" " * (LIMIT + 1))
    for text, status in (
        (request("POST", "/v1/sign-ins", b" " * LIMIT, JSON), 400),
        (request("POST", "/v1/sign-ins", b" " * (LIMIT + 1), JSON), 413),
        (request("POST", "/v1/sign-ins", chunk, JSON, CHUNKED, length=False), 413),
        (request("POST", "/v1/sign-ins", b"", JSON, "Content-Length: 99999999999", length=False), 413),
    ):
        async with wire(service.port) as line:
            await line.send(text)
            answer = await line.answer()
            assert answer is not None
            assert answer.status == status
            assert answer.json()["code"] == ("body_too_large" if status == 413 else "invalid_request")


@pytest.mark.security("S-65", "S-48")
async def test_a_compressed_body_is_refused_without_being_unpacked(service: Service) -> None:
    for coding in ("gzip", "deflate", "br", "zstd", "identity, gzip"):
        found = await exchange(
            service.port,
            request("POST", "/v1/sign-ins", b"not compressed", JSON, f"Content-Encoding: {coding}"),
            BEHIND,
        )
        assert [answer.status for answer in found] == [415, 200]


@pytest.mark.security("S-65")
async def test_ten_thousand_cookies_and_endless_headers_are_refused(service: Service) -> None:
    cookies = "Cookie: " + "; ".join(f"c{number}=1" for number in range(10_000))
    for text in (
        request("GET", "/v1/me", b"", cookies),
        request("GET", "/v1/me", b"", *(f"X-{number}: 1" for number in range(1000))),
        request("GET", "/" + "a" * 20_000),
    ):
        found = await exchange(service.port, text, BEHIND)
        assert [answer.status for answer in found] == [400]
    many = "Cookie: " + "; ".join(f"c{number}=1" for number in range(900))
    found = await exchange(service.port, request("GET", "/v1/me", b"", many))
    assert [(answer.status, answer.json()["code"]) for answer in found] == [(401, "invalid_token")]


@pytest.mark.security("S-65", "S-49")
async def test_malformed_requests_leave_nothing_in_the_log(service: Service) -> None:
    before = len(service.log)
    secret = "Authorization: Bearer bt_planted-in-a-broken-request\0"
    for text in (
        request("GET", "/v1/me", b"", secret),
        request("GET", "/v1/me", b"", "Cookie: __Host-sign-in=bt_planted" + "a" * 9000),
        request("POST", "/v1/sign-ins", b"zz\r\n", JSON, CHUNKED, length=False),
        b"\x16\x03\x01 bt_planted" + CRLF + CRLF,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        for _ in range(20):
            found = await exchange(service.port, text)
            assert [answer.status for answer in found] == [400]
    written = service.log[before:]
    assert "planted" not in written
    assert "Traceback" not in written


@pytest.mark.security("S-65")
@pytest.mark.parametrize(
    "path",
    [
        "/static/../templates/base.html",
        "/static/%2e%2e/templates/base.html",
        "/static/..%2ftemplates%2fbase.html",
        "/static/%2e%2e%5ctemplates",
        "/static/....//templates/base.html",
        "/static//etc/passwd",
        "/static/%00",
        "/static/.hidden",
        "/static/",
        "/static",
        "//evil.example/",
        "//evil.example/%2e%2e",
        "/%2f%2fevil.example",
        "/\\evil.example",
        "/sign-in//evil.example",
    ],
)
async def test_no_path_leads_out_of_the_static_files_or_to_another_site(service: Service, path: str) -> None:
    found = await exchange(service.port, request("GET", path))
    assert [answer.status for answer in found] == [404]
    assert found[0].header("location") is None
    assert b"<!doctype" not in found[0].body.lower()


@pytest.mark.security("S-65")
async def test_a_link_among_the_static_files_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "static" / "link").symlink_to(tmp_path / "outside")
    app = web.Application()
    app.router.add_static("/static/", tmp_path / "static", follow_symlinks=False)
    async with _served(app) as port:
        found = await exchange(port, request("GET", "/static/link"))
    assert [answer.status for answer in found] == [404]


@pytest.mark.security("S-65")
async def test_an_upgrade_with_a_body_brings_no_second_request_in(service: Service) -> None:
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    found = await exchange(service.port, request("GET", "/v1/device/socket", BEHIND, JSON, *upgrade))
    assert [answer.status for answer in found] == [101]
    assert b"alive" not in b"".join(answer.body for answer in found)
    found = await exchange(
        service.port, request("POST", "/v1/sign-ins", b"{}", JSON, "Connection: Upgrade", "Upgrade: h2c")
    )
    assert [answer.status for answer in found] == [400]


@pytest.mark.security("S-65")
async def test_a_body_that_trickles_is_given_up_and_others_are_served_meanwhile(service: Service) -> None:
    async def slow(path: str) -> int:
        async with wire(service.port) as line:
            await line.send(request("POST", path, b"{", JSON, "Content-Length: 1000", length=False))
            answer = await line.answer()
            assert answer is not None
            assert await line.closed()
            return answer.status

    trickling = asyncio.gather(slow("/v1/sign-ins"), slow("/v1/devices"), slow("/nowhere"))
    for _ in range(20):
        assert [
            answer.status for answer in await exchange(service.port, request("GET", "/livez", b"", "Connection: close"))
        ] == [200]
    assert list(await trickling) == [400, 400, 404]


@pytest.mark.security("S-65")
async def test_headers_that_never_end_are_cut_off_by_the_same_clock_as_idle_connections() -> None:
    """The service relies on the library for it, with 75 s; here the same clock is set to one second."""
    async with _served(web.Application(), keepalive_timeout=1.0) as port, wire(port) as line:
        await line.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: a")
        assert await line.closed()


@pytest.mark.security("S-65")
async def test_requests_sent_in_one_breath_are_answered_one_by_one_in_order(service: Service) -> None:
    paths = ["/livez", "/nowhere", "/v1/me", "/livez"] * 25
    async with wire(service.port) as line:
        await line.send(*(request("GET", path) for path in paths))
        statuses = [answer.status for answer in [await line.answer() for _ in paths] if answer]
    assert statuses == [200, 404, 401, 200] * 25


@pytest.mark.security("S-65")
def test_the_server_library_is_past_its_known_holes() -> None:
    version = tuple(int(part) for part in importlib.metadata.version("aiohttp").split(".")[:3])
    assert version >= (3, 14, 4)
    needed = importlib.metadata.requires("push-service") or []
    assert any(each.startswith("aiohttp>=3.14.4") for each in needed)


FORGED = [
    {"X-Forwarded-For": "203.0.113.9"},
    {"Forwarded": "for=203.0.113.9"},
    {"X-Real-IP": "203.0.113.9"},
    {"True-Client-IP": "203.0.113.9"},
    {"X-Forwarded-For": "::ffff:203.0.113.9"},
]


@pytest.mark.security("S-62")
async def test_without_listed_proxies_no_header_moves_the_browser_elsewhere(service: Service, desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    app = await desk.application(public=True, origins=("https://shop.example",))
    async with await desk.phone(user) as phone, desk.browser(app, origin="https://shop.example") as browser:
        for forged in FORGED:
            sign_in = await browser.begin(user.username, "correct horse battery staple", headers=forged)
            async with asyncio.timeout(20):
                assert (await phone.next_challenge()).ip == "127.0.0.1"
            await sign_in.cancel()
    found = await exchange(service.port, b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n" + BEHIND)
    assert [answer.status for answer in found] == [400]


HOPS = [
    (["203.0.113.9"], "203.0.113.9"),
    (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
    (["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
    (["6.6.6.6, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),
    (["::ffff:203.0.113.9"], "203.0.113.9"),
    (["2001:DB8:0::9"], "2001:db8::9"),
    (["203.0.113.9, 3405803785"], "127.0.0.1"),
    (["203.0.113.9, 0313.0.0113.011"], "127.0.0.1"),
    (["203.0.113.9, 203.000.113.009"], "127.0.0.1"),
    (["203.0.113.9, unknown"], "127.0.0.1"),
    (["203.0.113.9, <script>"], "127.0.0.1"),
    (["203.0.113.9,"], "127.0.0.1"),
]


@pytest.mark.security("S-62")
async def test_behind_listed_proxies_the_right_most_unlisted_hop_counts(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(TRUSTED_PROXIES="127.0.0.1/32,10.0.0.0/8", POLICY__PROMPTS_UNANSWERED="1000/1m")
    office = await make_office(service)
    user = await office.person(state=UserState.ENFORCED)
    app = await office.application(public=True, origins=("https://shop.example",))
    async with await office.phone(user) as phone, service.session() as session:
        for headers, expected in HOPS:
            lines = [("Origin", "https://shop.example"), *(("X-Forwarded-For", each) for each in headers)]
            body = {"application": app.client_id, "username": user.username, "password": "correct horse battery staple"}
            async with session.post("/v1/sign-ins", json=body, headers=lines) as response:
                assert response.status == 201
                begun = await response.json()
            async with asyncio.timeout(20):
                assert (await phone.next_challenge()).ip == expected, headers
            token = {"Authorization": f"Bearer {begun['browser_token']}"}
            async with session.delete(f"/v1/sign-ins/{begun['id']}", headers=token) as response:
                assert response.status == 200


@pytest.mark.security("S-62")
async def test_links_and_proofs_know_the_public_address_only(service: Service, desk: Office) -> None:
    user = await desk.person(state=UserState.ENABLED)
    elsewhere = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    async with desk.browser() as browser:
        sign_in = await browser.begin(user.username, "correct horse battery staple", headers=elsewhere)
        token = {"Authorization": f"Bearer {sign_in.body['registration']['token']}"}
        reply = await browser.request("POST", "/v1/me/devices", headers=token | elsewhere)
        assert reply.body["uri"].startswith(f"{service.url}/activate#code=")
        assert sign_in.body["registration"]["url"] == f"{service.url}/registration"
        phone = await Phone.activate(reply.body["uri"], setup=Setup(reach=Reach.POLL))
        async with phone:
            proof = {"Authorization": f"Proof {phone.api.proof('GET', '/v1/device')}"}
            phone.api.issuer = "http://evil.example"
            forged = {"Authorization": f"Proof {phone.api.proof('GET', '/v1/device')}"}
            assert (await browser.request("GET", "/v1/device", headers=forged | elsewhere)).code == "invalid_proof"
            assert (await browser.request("GET", "/v1/device", headers=proof | elsewhere)).status == 200


@contextlib.asynccontextmanager
async def _served(app: web.Application, keepalive_timeout: float = 75.0) -> AsyncIterator[int]:
    runner = web.AppRunner(app, keepalive_timeout=keepalive_timeout)
    await runner.setup()
    bound = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, bound).start()
    try:
        yield bound.getsockname()[1]
    finally:
        await runner.cleanup()
