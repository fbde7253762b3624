"""A stranger verifies in every way there is, by the interface alone: codes, texts, calls, app passwords.

The telephone company is the stranger's own (`company.py`), and so is what computes the codes that change with time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator

import aiohttp
import pyotp
import pytest

from tests.support.service import Service

from .client import Issuer, Json, Refused, call
from .company import Company
from .test_stranger import PASSWORD, Place

MOBILE, OFFICE = "+12065550134", "+12065550178"


@pytest.fixture
async def company() -> AsyncIterator[Company]:
    async with Company().open() as opened:
        yield opened


@pytest.fixture
async def place(company: Company, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A server that sends by the stranger's company, an application and a person."""
    service = Service(tmp_path_factory.mktemp("stranger"), **company.settings)
    await service.start()
    username = f"stranger-{secrets.token_hex(4)}"
    app = await service.json_command("application", "add", "Shop")
    await service.json_command(
        "user", "add", username, "--password-stdin", "--state", "enabled", "--admin", stdin=PASSWORD
    )
    async with aiohttp.ClientSession() as http:
        yield Place(service, http, app["client_id"], app["client_secret"], username)
    assert await service.stop() == 0


class Page:
    """A page that signs the person in by whatever method, and the settings that this opens."""

    def __init__(self, place: Place, application: str = "") -> None:
        self.place, self.application = place, application
        self.sign_in: Json = {}
        self.token = ""

    async def begin(self) -> Json:
        """Name and password."""
        if self.application:
            body = {"application": self.application, "username": self.place.username, "password": PASSWORD}
            headers = {"Origin": self.place.url}
            self.sign_in = await call(
                self.place.http, "POST", f"{self.place.url}/v1/sign-ins", headers=headers, json=body
            )
        else:
            self.sign_in = await self.place.begin()
        self.token = self.sign_in["browser_token"]
        return self.sign_in

    async def choose(self, method: str) -> Json:
        """Another verification option."""
        chosen = next(each for each in self.sign_in["methods"] if each["method"] == method)
        self.sign_in = await self.request(
            "POST", f"/v1/sign-ins/{self.sign_in['id']}/challenges", {"method_id": chosen["id"]}
        )
        return self.sign_in

    async def type(self, code: str) -> Json:
        """A code."""
        return await self.request("POST", f"/v1/sign-ins/{self.sign_in['id']}/code", {"code": code})

    async def approved(self) -> Json:
        """Wait for the outcome."""
        return await self.place.until(self.sign_in, "approved", self.token)

    async def request(self, method: str, path: str, body: Json | None = None) -> Json:
        """By the sign-in's token."""
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Origin": self.place.url} if self.application else {})
        return await call(self.place.http, method, f"{self.place.url}{path}", headers=headers, json=body)


async def _registered(place: Place, company: Company) -> Page:
    """The first sign-in registers a mobile phone, and goes on with it."""
    page = Page(place)
    begun = await page.begin()
    assert (begun["state"], begun["methods"]) == ("registration_required", [])
    door = {"Authorization": f"Bearer {begun['registration']['token']}"}
    phones = f"{place.url}/v1/me/phones"
    opened = await call(place.http, "POST", phones, headers=door, json={"kind": "mobile", "number": MOBILE})
    assert MOBILE not in str(opened)
    confirm = f"{phones}/{opened['id']}/confirm"
    with pytest.raises(Refused, match="invalid_request"):
        await call(place.http, "POST", confirm, headers=door, json={"code": "12345"})
    await call(place.http, "POST", confirm, headers=door, json={"code": await company.code(MOBILE)})
    page.sign_in = await place.until(page.sign_in, "pending", page.token)
    assert page.sign_in["challenge"]["prompt"] == {"kind": "enter_code", "number": None, "digits": 6}
    return page


async def _settings(place: Place, company: Company) -> Page:
    """The settings, opened by a text."""
    page = Page(place, "settings")
    await page.begin()
    assert (await page.type(await company.code(MOBILE)))["state"] == "approved"
    return page


async def _office_phone(settings: Page, company: Company) -> None:
    office = {"kind": "office", "number": OFFICE, "extension": "42"}
    opened = await settings.request("POST", "/v1/me/phones", office)
    rung = await company.press(OFFICE, "#")
    assert rung.send_digits.endswith("42")
    await settings.request("POST", f"/v1/me/phones/{opened['id']}/confirm", {})


async def _authenticator_app(settings: Page) -> str:
    """Register one; its next code."""
    codes = pyotp.TOTP(pyotp.random_base32())
    uri = codes.provisioning_uri(name=settings.place.username, issuer_name="A stranger")
    opened = await settings.request("POST", "/v1/me/authenticator-apps", {"uri": uri})
    step = int(time.time()) // 30
    path = f"/v1/me/authenticator-apps/{opened['id']}/confirm"
    await settings.request("POST", path, {"code": codes.generate_otp(step)})
    return codes.generate_otp(step + 1)


async def test_a_stranger_registers_by_a_text_and_verifies_in_every_way_there_is(
    place: Place, company: Company
) -> None:
    issuer = await Issuer.fetch(place.http, place.url)

    def amr(approved: Json) -> set[str]:
        return set(issuer.result(approved["result"], place.client_id)["amr"])

    page = await _registered(place, company)
    code = await company.code(MOBILE)
    with pytest.raises(Refused) as refusal:
        await page.type(f"{(int(code) + 1) % 10**6:06d}")
    assert (refusal.value.status, refusal.value.code) == (403, "wrong_code")
    assert refusal.value.problem["tries_left"] > 0
    assert amr(await page.type(code)) == {"pwd", "mfa", "sms"}

    settings = await _settings(place, company)
    await _office_phone(settings, company)
    next_code = await _authenticator_app(settings)
    me = await settings.request("GET", "/v1/me")
    assert {each["method"] for each in me["methods"]} == {"text_mobile", "call_mobile", "call_office", "app_code"}

    # Another option than the one that asked first: what that one sent is worth nothing now.
    assert (await page.begin())["challenge"]["method"] == "text_mobile"
    stale = await company.code(MOBILE)
    await page.choose("app_code")
    with pytest.raises(Refused, match="wrong_code"):
        await page.type(stale)
    assert amr(await page.type(next_code)) == {"pwd", "mfa", "otp"}
    for method, number in (("call_mobile", MOBILE), ("call_office", OFFICE)):
        await page.begin()
        assert (await page.choose(method))["challenge"]["prompt"]["kind"] == "answer_call"
        await company.press(number, "#")
        assert amr(await page.approved()) == {"pwd", "mfa", "tel"}
    await page.begin()
    await page.choose("call_mobile")
    await company.press(MOBILE, "0#")
    denied = await place.until(page.sign_in, "denied", page.token)
    assert denied["reason"] == "fraud_reported"


async def test_a_stranger_s_mail_client_needs_an_app_password_which_never_administers(
    place: Place, company: Company
) -> None:
    async def client(password: str, purpose: str = "use") -> Json:
        body = {"username": place.username, "password": password, "client": {"ip": "198.51.100.7"}, "purpose": purpose}
        return await call(
            place.http, "POST", f"{place.url}/v1/client-sign-ins", headers=place.identification, json=body
        )

    assert (await client(PASSWORD))["credential"] == "password"
    page = await _registered(place, company)
    assert (await page.type(await company.code(MOBILE)))["state"] == "approved"
    settings = await _settings(place, company)
    made = await settings.request("POST", "/v1/me/app-passwords", {"name": "Mail on my laptop"})
    (password,) = (each for each in made.values() if isinstance(each, str) and len(each.replace(" ", "")) == 16)
    for written in (password, password.replace(" ", ""), password.upper()):
        allowed = await client(written)
        assert (allowed["allowed"], allowed["credential"], allowed["name"]) == (
            True,
            "app_password",
            "Mail on my laptop",
        )
    for credential, purpose, code in (
        (PASSWORD, "use", "app_password_required"),
        (PASSWORD, "administer", "two_step_sign_in_required"),
        (password, "administer", "app_password_not_for_administration"),
    ):
        with pytest.raises(Refused) as refusal:
            await client(credential, purpose)
        assert (refusal.value.status, refusal.value.code) == (403, code)
    for credential, code in (
        (password, "app_password_not_for_administration"),
        (PASSWORD, "two_step_sign_in_required"),
    ):
        basic = {"Authorization": aiohttp.encode_basic_auth(place.username, credential)}
        with pytest.raises(Refused) as refusal:
            await call(place.http, "GET", f"{place.url}/v1/admin/users", headers=basic)
        assert (refusal.value.status, refusal.value.code) == (403, code)
    await settings.request("DELETE", f"/v1/me/app-passwords/{made['id']}")
    with pytest.raises(Refused) as gone:
        await client(password)
    assert gone.value.code == "app_password_required"
