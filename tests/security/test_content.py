"""What strangers write: scripts, SQL, JSON that is none, and whether secrets ever come out again."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import secrets
import sqlite3

import pytest

from mobile_stub.errors import RefusedError
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import Reach, Setup
from push_service.model.errors import InvalidRequest
from push_service.model.user import UserState
from tests.conftest import MakeOffice, MakeService
from tests.security.raw import exchange, request
from tests.security.test_browser import Parts
from tests.support.browser import App, Browser, Reply, SignIn
from tests.support.people import Office
from tests.support.service import Service

POLLING = Setup(reach=Reach.POLL)
SOON = 20.0
SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


# --- S-43: script ---------------------------------------------------------------------------------------------------


@pytest.mark.security("S-43")
async def test_script_in_names_and_parameters_is_text_on_the_page(desk: Office) -> None:
    app = await desk.application(SCRIPT)
    query = {"application": app.client_id, "state": SCRIPT, "nonce": "'" + SCRIPT}
    async with desk.service.session() as session, session.get("/sign-in", params=query) as response:
        assert response.status == 200
        text = await response.text()
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    elements = Parts(text).elements
    main = next(attributes for tag, attributes in elements if tag == "main")
    assert main["data-application-name"] == SCRIPT
    assert main["data-state"] == SCRIPT
    assert main["data-nonce"] == "'" + SCRIPT
    scripts = [each for tag, each in elements if tag == "script" and each.get("type") != "application/json"]
    assert scripts == [{"type": "module", "src": "/static/sign_in.js"}]
    handlers = [name for _, attributes in elements for name in attributes if name.startswith("on")]
    assert handlers == []


@pytest.mark.security("S-43")
async def test_script_in_a_username_a_device_and_a_browser_arrives_as_text(desk: Office) -> None:
    user = await desk.person(f"<script>alert(1)</script>{secrets.token_hex(3)}", state=UserState.ENFORCED)
    app = await desk.application("<b>Shop</b>")
    client = {"ip": "203.0.113.9", "user_agent": f"Mozilla/5.0 {SCRIPT} (X11; Linux) Firefox/140.0 {SCRIPT}"}
    async with await desk.phone(user, "<i>Phone</i>") as phone, desk.browser(app) as browser:
        begun = await browser.post_begin(username=user.username, client=client)
        assert begun.headers["Content-Type"] == "application/json"
        assert begun.headers["X-Content-Type-Options"] == "nosniff"
        assert begun.body["challenge"]["target"] == "<i>Phone</i>"
        async with asyncio.timeout(SOON):
            challenge = await phone.next_challenge()
    assert (challenge.username, challenge.application) == (user.username, "<b>Shop</b>")
    assert "<" not in (challenge.browser or "")


@pytest.mark.security("S-43")
@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u2066", "\u200b", "\u200f", "\ufeff", "\u00ad", "\u2028", "\x1b", "\x07"]
)
async def test_what_cannot_be_seen_is_in_no_name_that_a_phone_shows(desk: Office, hidden: str) -> None:
    with pytest.raises(InvalidRequest):
        await desk.person(f"al{hidden}ice-{secrets.token_hex(3)}")
    with pytest.raises(InvalidRequest):
        await desk.application(f"Con{hidden}toso")
    user = await desk.person(state=UserState.ENFORCED)
    uri = await desk.activation(user)
    async with await Phone.activate(uri, name=f"My {hidden} phone{hidden}", setup=POLLING) as phone:
        assert (await phone.device()).name == "My phone"
        async with desk.browser() as browser:
            client = {"user_agent": f"Mozilla/5.0 {hidden} (X11; Linux) Firefox/140.0"}
            await browser.begin(user.username, client=client)
            (challenge,) = (await phone.poll()).challenges
        assert hidden not in (challenge.browser or "")


@pytest.mark.security("S-43")
async def test_a_name_of_invisible_characters_is_no_name(desk: Office) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    uri = await desk.activation(user)
    for name in ("\u200b\u200b", " \t ", "x" * 65):
        with pytest.raises(RefusedError, match="invalid_request"):
            await Phone.activate(uri, name=name, setup=POLLING)


# --- S-47: SQL and text ---------------------------------------------------------------------------------------------

ODD_NAMES = [
    "o'brien",
    'o"brien',
    "'; DROP TABLE users; --",
    "' OR '1'='1",
    "100%",
    "under_score",
    "back\\slash",
    "semi;colon",
    "?1",
    "$1",
    ":name",
    "😀 astral",
    "日本語",
    "ÅNGSTRÖM",
]


@pytest.mark.security("S-47")
@pytest.mark.parametrize("odd", ODD_NAMES)
async def test_an_odd_name_is_a_name_like_any_other(desk: Office, odd: str) -> None:
    user = await desk.person(f"{odd} {secrets.token_hex(3)}", state=UserState.DISABLED)
    async with desk.browser() as browser:
        sign_in = await browser.begin(user.username, "correct horse battery staple")
        assert sign_in.body["state"] == "approved"
        nobody = await browser.post_begin(username=odd, password="correct horse battery staple")
        assert (nobody.status, nobody.code) == (401, "invalid_credentials")
    assert (await desk.core.administrator.user(user.username.upper())).id == user.id


@pytest.mark.security("S-47")
async def test_patterns_match_nobody(desk: Office) -> None:
    await desk.person(f"patterned-{secrets.token_hex(3)}", state=UserState.DISABLED)
    async with desk.browser() as browser:
        for name in ("%", "pattern%", "_" * 16, "*", ".*", "[a-z]*"):
            reply = await browser.post_begin(username=name, password="correct horse battery staple")
            assert (reply.status, reply.code) == (401, "invalid_credentials")


@pytest.mark.security("S-47")
async def test_text_that_no_store_can_keep_is_refused_wherever_it_comes_in(desk: Office, service: Service) -> None:
    user = await desk.person(state=UserState.ENFORCED)
    async with await desk.phone(user, setup=POLLING) as phone, desk.browser() as browser:
        sign_in = await browser.begin(user.username)
        for bad in ("\\u0000", "\\ud800", "\\udfff\\ud800", "a\\u0000b"):
            for member in ("username", "password", "nonce", "application", "replaces"):
                body = {"username": "nobody", "password": "12345678"} | {member: "@"}
                text = json.dumps(body).replace("@", bad)
                headers = browser.identification | {"Content-Type": "application/json"}
                reply = await browser.request("POST", "/v1/sign-ins", headers=headers, data=text.encode())
                assert (reply.status, reply.code) == (400, "invalid_request"), (bad, member)
            headers = sign_in.bearer | {"Content-Type": "application/json"}
            data = f'{{"method_id":"{bad}"}}'.encode()
            reply = await browser.request("POST", f"/v1/sign-ins/{sign_in.id}/challenges", headers=headers, data=data)
            assert (reply.status, reply.code) == (400, "invalid_request")
            proof = {
                "Authorization": f"Proof {phone.api.proof('PATCH', '/v1/device')}",
                "Content-Type": "application/json",
            }
            reply = await browser.request("PATCH", "/v1/device", headers=proof, data=f'{{"name":"{bad}"}}'.encode())
            assert (reply.status, reply.code) == (400, "invalid_request")
    for path in (
        "/v1/sign-ins/%00",
        "/v1/sign-ins/%ff%fe",
        "/v1/sign-ins/%ed%a0%80",
        "/sign-in?application=%00&state=%ff",
    ):
        found = await exchange(service.port, request("GET", path, b"", "Authorization: Bearer x", "Connection: close"))
        assert [answer.status for answer in found] in ([401], [400], [404]), path


@pytest.mark.security("S-47")
async def test_a_field_of_ten_megabytes_is_too_large_and_one_past_its_length_is_ill_formed(desk: Office) -> None:
    async with desk.browser() as browser:
        headers = browser.identification | {"Content-Type": "application/json"}
        data = io.BytesIO(b'{"username":"' + b"a" * 10_000_000 + b'"}')
        huge = await browser.request("POST", "/v1/sign-ins", headers=headers, data=data)
        assert (huge.status, huge.code) == (413, "body_too_large")
        for member, length in (("username", 257), ("password", 1025), ("nonce", 257), ("application", 129)):
            long = await browser.post_begin(**{"username": "nobody", member: "a" * length})  # type: ignore[arg-type]
            assert (long.status, long.code) == (400, "invalid_request")
            assert long.body["errors"][0]["pointer"] == f"/{member}"


# --- S-48: JSON -----------------------------------------------------------------------------------------------------

NOT_JSON = {
    "nothing": b"",
    "nested without end": b"[" * 30_000,
    "objects without end": b'{"a":' * 10_000,
    "a nested member": b'{"username":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "duplicate members": b'{"username":"alice","username":"bob"}',
    "duplicate members, escaped": b'{"username":"alice","\\u0075sername":"bob"}',
    "duplicate members deep down": b'{"username":"alice","client":{"ip":"1.2.3.4","ip":"5.6.7.8"}}',
    "a number of 60,000 digits": b'{"username":' + b"9" * 60_000 + b"}",
    "an exponent": b'{"username":1e999999}',
    "NaN": b'{"username":NaN}',
    "Infinity": b'{"username":-Infinity}',
    "a byte order mark": b'\xef\xbb\xbf{"username":"alice"}',
    "UTF-16": '{"username":"alice"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"username":"alice"}'.encode("utf-16-le"),
    "UTF-32": '{"username":"alice"}'.encode("utf-32"),
    "Latin-1": b'{"username":"al\xefce"}',
    "overlong UTF-8": b'{"username":"\xc0\xaf"}',
    "surrogates in UTF-8": b'{"username":"\xed\xa0\x80"}',
    "a comment": b'{"username":"alice"} // hello',
    "a trailing comma": b'{"username":"alice",}',
    "single quotes": b"{'username':'alice'}",
    "two values": b'{"username":"alice"}{"username":"bob"}',
    "a line break in a string": b'{"username":"al\nice"}',
    "a NUL between": b'{"username":"alice"}\0',
    "a list": b'["alice"]',
    "a string": b'"alice"',
    "null": b"null",
    "many members": b"{" + b",".join(b'"m%d":1' % number for number in range(4000)) + b"}",
    "one long member": b'{"' + b"m" * 60_000 + b'":1}',
}


@pytest.mark.security("S-48")
@pytest.mark.parametrize("text", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_what_is_not_the_json_that_is_due_is_ill_formed_everywhere(
    desk: Office, service: Service, text: bytes
) -> None:
    async with desk.browser() as browser:
        for path in ("/v1/sign-ins", "/sign-in/begin", "/v1/devices"):
            headers = {"Content-Type": "application/json", "Origin": service.url}
            reply = await browser.request("POST", path, headers=headers | browser.identification, data=text)
            assert (reply.status, reply.code) == (400, "invalid_request"), path
            assert reply.headers["Content-Type"] == "application/problem+json"
            assert len(str(reply.body)) < 2000


@pytest.mark.security("S-48")
async def test_faults_are_named_by_pointers(desk: Office) -> None:
    async with desk.browser() as browser:
        for body, pointer in (
            ({"username": "alice", "client": {"ip": 5}}, "/client/ip"),
            ({"username": "alice", "client": {"ip": "not an address"}}, "/client/ip"),
            ({"username": 5}, "/username"),
            ({"username": "alice", "nonce": True}, "/nonce"),
        ):
            reply = await browser.request("POST", "/v1/sign-ins", headers=browser.identification, json=body)
            assert (reply.status, reply.code) == (400, "invalid_request")
            assert [fault["pointer"] for fault in reply.body["errors"]] == [pointer]
        unknown = await browser.post_begin(username="alice", a_b=1)
        assert "a_b" in json.dumps(unknown.body["errors"])


@pytest.mark.security("S-48")
async def test_others_are_served_while_hard_bodies_are_read(desk: Office) -> None:
    hard = [text for name, text in NOT_JSON.items() if "without end" in name or "60,000" in name or "member" in name]
    async with desk.browser() as browser, asyncio.TaskGroup() as group:
        headers = {"Content-Type": "application/json"} | browser.identification
        posts = [
            group.create_task(browser.request("POST", "/v1/sign-ins", headers=headers, data=text))
            for text in hard
            for _ in range(10)
        ]
        alive = [group.create_task(browser.request("GET", "/livez")) for _ in range(50)]
    assert {task.result().status for task in posts} == {400}
    assert {task.result().status for task in alive} == {200}


# --- S-49: secrets and logs -----------------------------------------------------------------------------------------

FORGED_LINE = 'x\r\n{"event":"sign_in.outcome","code":"approved"}\n\x1b[31mforged'


@pytest.mark.security("S-49", "S-12", "S-68")
async def test_no_secret_of_a_whole_story_is_in_log_audit_metrics_or_database(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(LOG_LEVEL="debug", POLICY__NUMBER_DIGITS="8")
    office = await make_office(service)
    planted, told = await _whole_story(office)
    async with service.session() as session, session.get("/metrics") as metrics:
        everything = {
            "log": service.log,
            "audit": _audit(service),
            "metrics": await metrics.text(),
            "refusals": "".join(f"{reply.body} {reply.headers}" for reply in told),
        }
    stored = b"".join(path.read_bytes() for path in (service.folder / "data").glob("push-service.db*"))
    # Of what has parts, the last is a secret by itself: a token's second half, a signature.
    planted |= {f"{name}, its last part": text.rpartition(".")[2] for name, text in planted.items() if "." in text}
    for name, text in planted.items():
        for place, content in everything.items():
            assert text not in content, f"the {name} is in the {place}"
        assert text.encode() not in stored, f"the {name} is in the database"
    assert b"BEGIN PRIVATE KEY" not in stored
    events = [json.loads(line)["event"] for line in everything["log"].splitlines()]
    assert events.count("sign_in.outcome") == 2
    assert "\x1b" not in everything["log"]


async def _whole_story(office: Office) -> tuple[dict[str, str], list[Reply]]:
    """Register, sign in, look at the settings, and be refused; every secret that was in it, and every refusal."""
    service, password = office.service, "planted-password-" + secrets.token_hex(8)
    planted = {
        "password": password,
        "wrong password": "planted-wrong",
        "push token": "planted-push-" + secrets.token_hex(16),
        "idempotency key": secrets.token_urlsafe(24),
        "sealing key": (service.folder / "data" / "secret.key").read_text().strip(),
    }
    user = await office.person(state=UserState.ENABLED, password=password)
    async with office.browser() as browser, office.browser(App("settings", None), origin=service.url) as page:
        begun = await browser.post_begin(
            headers={"Idempotency-Key": planted["idempotency key"]},
            username=user.username,
            password=password,
            client={"ip": "203.0.113.9", "user_agent": FORGED_LINE},
        )
        sign_in = SignIn(browser, begun.body)
        registration = sign_in.body["registration"]["token"]
        issued = await browser.request("POST", "/v1/me/devices", headers={"Authorization": f"Bearer {registration}"})
        setup = Setup(push_token=planted["push token"])
        async with await Phone.activate(issued.body["uri"], setup=setup) as phone, asyncio.timeout(SOON):
            challenge = await phone.next_challenge()
            number = (await sign_in.look())["challenge"]["prompt"]["number"]
            proof, answer = phone.api.proof("GET", "/v1/device"), phone.sign(challenge, Decision.VERIFY, number)
            told = await _refusals(browser, sign_in, user.username, proof)
            await phone.send(challenge.id, answer)
            result = (await sign_in.outcome())["result"]
            settings = await page.begin(user.username, password)
            await phone.verify(await phone.next_challenge(), number=settings.number)
            await settings.outcome()
            assert (await page.request("GET", "/v1/me", headers=settings.bearer)).status == 200
            totp = phone.identity.totp.secret
        planted |= {
            "client secret": str(browser.app.client_secret),
            "browser token": sign_in.token,
            "registration token": registration,
            "activation code": issued.body["code"],
            "TOTP secret": totp,
            "TOTP secret in hexadecimal": base64.b32decode(totp).hex(),
            "number": number,
            "proof": proof,
            "answer": answer,
            "result": result,
            "settings token": settings.token,
        }
    return planted, told


async def _refusals(browser: Browser, sign_in: SignIn, username: str, proof: str) -> list[Reply]:
    proven, wrong = {"Authorization": f"Proof {proof}"}, {"Authorization": "Bearer planted-wrong"}
    client = {"Authorization": "Basic " + base64.b64encode(b"planted-wrong:planted-wrong").decode()}
    noise = {"X-Request-Id": "planted-wrong", "User-Agent": "planted-wrong", "Cookie": "__Host-sign-in=planted-wrong"}
    return [
        await browser.post_begin(username=username, password="planted-wrong password"),
        await browser.request("GET", "/v1/device", headers=proven),
        await browser.request("GET", "/v1/device", headers=proven),
        await browser.request("GET", f"/v1/sign-ins/{sign_in.id}", headers=wrong),
        await browser.request("POST", "/v1/sign-ins", headers=client, json={"username": "x"}),
        await browser.request("GET", "/v1/me", headers=noise),
    ]


def _audit(service: Service) -> str:
    with sqlite3.connect(service.folder / "data" / "push-service.db") as database:
        rows = database.execute("SELECT * FROM audit").fetchall()
    database.close()
    return "\n".join(map(str, rows))


@pytest.mark.security("S-49")
async def test_one_event_is_one_line_whatever_is_in_the_names(desk: Office, service: Service) -> None:
    before = len(service.log.splitlines())
    user = await desk.person(f'"}} {{"event":"forged"}} {secrets.token_hex(3)}', state=UserState.ENFORCED)
    async with await desk.phone(user, 'Phone "}\n{"event":"forged"}', setup=POLLING), desk.browser() as browser:
        await _refused(browser, user.username)
        await _refused(browser, FORGED_LINE[:200])
        await browser.begin(user.username, client={"ip": "203.0.113.9", "user_agent": FORGED_LINE})
    lines = service.log.splitlines()[before:]
    events = [json.loads(line)["event"] for line in lines]
    assert "sign_in.begun" in events
    assert "forged" not in events


async def _refused(browser: Browser, username: str) -> None:
    reply = await browser.post_begin(username=username, password="wrong password")
    assert reply.status == 401
