"""Being let in by the password alone: by a lie about the address (S-62), by a remembered browser's token (S-60)."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from http.cookies import Morsel, SimpleCookie

import jwt
import pytest
import pytest_asyncio

from push_service.model.user import User, UserState
from tests.scenarios.cast import SETTINGS, Scene, scene, soon
from tests.security.raw import exchange, request
from tests.security.support import audit, whole_file
from tests.support.browser import App, Json, Reply
from tests.support.people import PASSWORD, Office, office
from tests.support.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSIDE, OUTSIDE = "192.0.2.77", "198.51.100.7"
REMEMBERED = "__Host-remembered"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
AWAY = {"ip": OUTSIDE, "user_agent": FIREFOX}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """The operator of a service that trusts a network, and this machine's proxy, and remembers browsers."""
    service = Service(
        tmp_path_factory.mktemp("trust"),
        TRUSTED_PROXIES="127.0.0.0/8,10.0.0.0/8",
        POLICY__TRUSTED_NETWORKS="192.0.2.0/24,10.0.0.0/7",
        POLICY__REMEMBER_BROWSER_DAYS="30",
        POLICY__BEGINS_PER_ADDRESS="100000/1m",
        POLICY__BEGINS_PER_PERSON="100000/1m",
        POLICY__PROMPTS_UNANSWERED="100000/1m",
        POLICY__PENDING_PER_PERSON="20",
    )
    await service.start()
    async with office(service) as opened:
        yield opened
    await service.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unproxied(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """The same without a proxy in front."""
    service = Service(tmp_path_factory.mktemp("unproxied"), POLICY__TRUSTED_NETWORKS="192.0.2.0/24,10.0.0.0/8")
    await service.start()
    async with office(service) as opened:
        yield opened
    await service.stop()


async def by_page(desk: Office, user: User, application: App, *headers: tuple[str, str]) -> Reply:
    """Begin on the hosted page, with these headers."""
    body = {"application": application.client_id, "username": user.username, "password": PASSWORD}
    named = {"Origin": desk.service.url, "User-Agent": FIREFOX}
    async with desk.browser(application) as browser:
        return await browser.request("POST", "/sign-in/begin", headers=[*named.items(), *headers], json=body)


@pytest_asyncio.fixture(loop_scope="module")
async def alice(desk: Office) -> AsyncIterator[Scene]:
    """A person with a phone, and a browser of an application."""
    async with scene(desk) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def liar(desk: Office) -> AsyncIterator[Scene]:
    """The same, for whoever may be asked many times."""
    async with scene(desk) as found:
        yield found


# --- S-62: lies about the address -------------------------------------------------------------------------------------


@pytest.mark.security("S-62")
async def test_the_proxys_word_for_a_trusted_address_lets_in_by_password(liar: Scene) -> None:
    app = liar.browser.app
    reply = await by_page(liar.desk, liar.user, app, ("X-Forwarded-For", INSIDE))
    assert reply.body["state"] == "approved"
    claims = jwt.decode(reply.body["result"], options={"verify_signature": False})
    assert claims["amr"] == ["pwd"]
    left_out = [each for each in audit(liar.desk, liar.user) if each.kind == "sign_in.second_step_left_out"]
    assert (left_out[-1].code, left_out[-1].source) == ("trusted_network", INSIDE)


LIES = {
    "further left": (("X-Forwarded-For", f"{INSIDE}, {OUTSIDE}"),),
    "in a header before": (("X-Forwarded-For", INSIDE), ("X-Forwarded-For", OUTSIDE)),
    "Forwarded": (("Forwarded", f"for={INSIDE}"),),
    "X-Real-IP": (("X-Real-IP", INSIDE),),
    "X-Client-IP": (("X-Client-IP", INSIDE),),
    "True-Client-IP": (("True-Client-IP", INSIDE),),
    "X-Forwarded-Host": (("X-Forwarded-Host", INSIDE),),
    "decimal": (("X-Forwarded-For", str(int.from_bytes(bytes([192, 0, 2, 77])))),),
    "hexadecimal": (("X-Forwarded-For", "0xC000024D"),),
    "zero-padded": (("X-Forwarded-For", "192.000.002.077"),),
    "octal": (("X-Forwarded-For", "0300.0.2.77"),),
    "short": (("X-Forwarded-For", "192.0.589"),),
    "with a port": (("X-Forwarded-For", f"{INSIDE}:443"),),
    "quoted": (("X-Forwarded-For", f'"{INSIDE}"'),),
    "of compatible form": (("X-Forwarded-For", f"::{INSIDE}"),),
    "translated": (("X-Forwarded-For", f"64:ff9b::{INSIDE}"),),
    "nothing": (),
    "the proxy itself": (("X-Forwarded-For", "10.0.0.9"),),
    "the proxy, mapped": (("X-Forwarded-For", "::ffff:10.0.0.9"),),
}


@pytest.mark.security("S-62")
@pytest.mark.parametrize("headers", LIES.values(), ids=LIES.keys())
async def test_no_other_word_does(liar: Scene, headers: tuple[tuple[str, str], ...]) -> None:
    reply = await by_page(liar.desk, liar.user, liar.browser.app, *headers)
    assert (reply.status, reply.body["state"]) == (201, "pending")


@pytest.mark.security("S-62")
async def test_a_mapped_address_is_the_address_that_it_maps(liar: Scene) -> None:
    for written in (f"::ffff:{INSIDE}", "::ffff:c000:24d"):
        reply = await by_page(liar.desk, liar.user, liar.browser.app, ("X-Forwarded-For", written))
        assert reply.body["state"] == "approved"


@pytest.mark.security("S-62")
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_without_a_listed_proxy_no_header_is_believed(unproxied: Office, header: str) -> None:
    async with scene(unproxied) as bob:
        value = f"for={INSIDE}" if header == "Forwarded" else INSIDE
        reply = await by_page(unproxied, bob.user, bob.browser.app, (header, value))
        assert reply.body["state"] == "pending"


@pytest.mark.security("S-62")
@pytest.mark.parametrize(
    "line", [f"PROXY TCP4 {INSIDE} 127.0.0.1 50000 80\r\n".encode(), b"\r\n\r\n\0\r\nQUIT\n\x21\x11"]
)
async def test_a_proxy_protocol_line_is_no_http(desk: Office, line: bytes) -> None:
    found = await exchange(desk.service.port, line, request("GET", "/livez", b""))
    assert [each.status for each in found] in ([400], [])


@pytest.mark.security("S-62")
async def test_settings_and_administration_take_two_steps_from_anywhere(alice: Scene) -> None:
    for name in ("settings", "administration"):
        reply = await by_page(alice.desk, alice.user, App(name, None), ("X-Forwarded-For", INSIDE))
        assert reply.body["state"] == "pending"


@pytest.mark.security("S-62")
async def test_an_application_is_believed_where_its_browser_is_and_a_public_one_is_not_asked(alice: Scene) -> None:
    assert (await alice.begin(client={"ip": INSIDE})).body["state"] == "approved"
    assert (await alice.begin(client={"ip": f"::ffff:{INSIDE}"})).body["state"] == "approved"
    assert (await alice.begin()).body["state"] == "pending"
    for other in ("10.0.0.9", "192.000.2.77"):
        reply = await alice.browser.post_begin(username=alice.user.username, password=PASSWORD, client={"ip": other})
        assert reply.status == 400 or reply.body["state"] == "pending"


@pytest.mark.security("S-62")
async def test_links_name_the_configured_address_alone(desk: Office) -> None:
    user = await desk.person(state=UserState.ENABLED)
    async with desk.browser() as browser:
        forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
        begun = await browser.begin(user.username, PASSWORD, headers=forged)
        assert begun.body["registration"]["url"].startswith(f"{desk.service.url}/")


# --- S-60: remembered browsers ----------------------------------------------------------------------------------------


async def remembered(alice: Scene) -> str:
    """A token of the person's browser at their application."""
    reply = await (await alice.approved(client=AWAY)).remember()
    assert reply.status == 201, reply
    token: str = reply.body["token"]
    return token


async def state(alice: Scene, token: str, client: Json = AWAY) -> str:
    """What a begin with that token comes to."""
    found: str = (await alice.begin(client=client, remembered=token)).body["state"]
    return found


def copied(alice: Scene) -> int:
    """How often somebody was found to have a copy."""
    return sum(each.kind == "browser.copied" for each in audit(alice.desk, alice.user))


@pytest.mark.security("S-60")
async def test_a_token_that_was_used_up_ends_the_browser_for_thief_and_owner(alice: Scene) -> None:
    stolen = await remembered(alice)
    one = (await alice.begin(client=AWAY, remembered=stolen)).body["remembered"]["token"]
    two = (await alice.begin(client=AWAY, remembered=one)).body["remembered"]["token"]
    assert await state(alice, stolen) == "pending"
    assert await state(alice, two) == "pending"
    assert copied(alice) == 1


@pytest.mark.security("S-60")
async def test_a_copy_in_a_browser_of_another_kind_is_asked_for_the_second_step(alice: Scene) -> None:
    token = await remembered(alice)
    assert await state(alice, token, client={"ip": OUTSIDE, "user_agent": CHROME}) == "pending"
    assert await state(alice, token) == "approved"


@pytest.mark.security("S-60")
async def test_a_token_is_good_for_its_person_and_its_application_alone(alice: Scene) -> None:
    desk, token = alice.desk, await remembered(alice)
    async with scene(desk) as other, desk.browser(await desk.application("Other")) as elsewhere:
        assert await state(other, token) == "pending"
        begun = await elsewhere.begin(alice.user.username, PASSWORD, client=AWAY, remembered=token)
        assert begun.body["state"] == "pending"
    assert await state(alice, token) == "approved"


@pytest.mark.security("S-60")
async def test_forged_tokens_are_none(alice: Scene) -> None:
    token = await remembered(alice)
    name = token.partition(".")[0]
    header = jwt.encode({"sub": alice.user.id}, "", algorithm="none")
    for unlike in ("x", "rb_", header, token.swapcase(), f"rb_x.{token.partition('.')[2]}"):
        assert await state(alice, unlike) == "pending", unlike
    assert not copied(alice)
    assert await state(alice, f"{name}.{secrets.token_urlsafe(32)}") == "pending"
    assert copied(alice) == 1
    assert await state(alice, token) == "pending"


@pytest.mark.security("S-60")
async def test_a_remembered_browser_never_opens_settings_or_administration(alice: Scene) -> None:
    page = await by_page_approved(alice)
    cookie = cookie_of(await page_remembers(alice, page))
    header = ("Cookie", f"{REMEMBERED}={cookie.value}")
    for name in ("settings", "administration"):
        reply = await by_page(alice.desk, alice.user, App(name, None), header)
        assert reply.body["state"] == "pending"
    reply = await by_page(alice.desk, alice.user, alice.browser.app, header)
    assert reply.body["state"] == "approved"
    async with alice.desk.browser(SETTINGS) as browser:
        opened = await browser.request(
            "GET", "/v1/me", headers={"Cookie": f"{page.name}={cookie_of(reply, page.name).value}"}
        )
        assert (opened.status, opened.code) == (403, "fresh_sign_in_required")


@pytest.mark.security("S-60", "S-37")
async def test_the_pages_cookie_is_bound_to_this_origin_and_hidden_and_changes_with_each_use(alice: Scene) -> None:
    page = await by_page_approved(alice)
    reply = await page_remembers(alice, page)
    assert set(reply.body) == {"expires_at"}
    cookie = cookie_of(reply)
    assert cookie["secure"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Strict", "/", "")
    assert cookie["expires"].endswith("GMT")
    again = await by_page(alice.desk, alice.user, alice.browser.app, ("Cookie", f"{REMEMBERED}={cookie.value}"))
    assert again.body["state"] == "approved"
    assert "remembered" not in again.body
    assert cookie_of(again).value not in {"", cookie.value}
    for planted in ("x", "%ff", "rb_x.y", "\u00ff"):
        reply = await by_page(alice.desk, alice.user, alice.browser.app, ("Cookie", f"{REMEMBERED}={planted}"))
        assert (reply.status, reply.body["state"]) == (201, "pending")


@pytest.mark.security("S-60")
async def test_a_page_of_another_origin_has_no_browser_remembered(alice: Scene) -> None:
    page = await by_page_approved(alice)
    for headers in ({"Origin": "https://evil.example"}, {}):
        reply = await page_remembers(alice, page, headers)
        assert (reply.status, reply.code) == (403, "origin_not_allowed")


@pytest.mark.security("S-60")
async def test_no_token_of_a_browser_is_in_the_store_or_the_log(alice: Scene) -> None:
    token = await remembered(alice)
    following = (await alice.begin(client=AWAY, remembered=token)).body["remembered"]["token"]
    for each in (token, following):
        secret = each.partition(".")[2]
        assert secret not in whole_file(alice.desk, "users") + whole_file(alice.desk, "audit")
        assert secret not in alice.desk.service.log


class Page:
    """A sign-in that the hosted page was let in by."""

    name = "__Host-sign-in"

    def __init__(self, body: Json, cookie: Morsel[str]) -> None:
        self.id, self.cookie = body["id"], cookie


def cookie_of(reply: Reply, name: str = REMEMBERED) -> Morsel[str]:
    """The cookie that an answer sets."""
    found: SimpleCookie = SimpleCookie()
    for each in reply.headers.getall("Set-Cookie", []):  # type: ignore[attr-defined]
        found.load(each)
    return found[name]


async def by_page_approved(alice: Scene) -> Page:
    """Verified on the phone, begun on the hosted page."""
    reply = await by_page(alice.desk, alice.user, alice.browser.app)
    page = Page(reply.body, cookie_of(reply, Page.name))
    number = reply.body["challenge"]["prompt"]["number"]
    await soon(alice.phone.verify(await soon(alice.phone.next_challenge()), number=number))
    return page


async def page_remembers(alice: Scene, page: Page, headers: dict[str, str] | None = None) -> Reply:
    """What the hosted page asks for then."""
    named = {"Origin": alice.desk.service.url} if headers is None else headers
    cookie = {"Cookie": f"{page.name}={page.cookie.value}", "Content-Type": "application/json"}
    async with alice.desk.browser() as browser:
        return await browser.request(
            "POST", f"/v1/sign-ins/{page.id}/remember", headers=cookie | named, data=json.dumps({})
        )
