"""A stranger's client, written from the interface alone, registers a phone and signs in by socket, polling, and hand.

People and applications are made with the command line, as an operator would; nothing here knows the service's code.
"""

from __future__ import annotations

import ast
import asyncio
import json
import secrets
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.support.service import Service

from .client import PATIENCE, Issuer, Json, Phone, Refused, call, split_activation_uri

PASSWORD = "a long enough pass phrase"


@dataclass
class Place:
    """An application at a running server, and a person who has registered nothing yet."""

    service: Service
    http: aiohttp.ClientSession
    client_id: str
    client_secret: str
    username: str

    @property
    def url(self) -> str:
        """PUBLIC_URL."""
        return self.service.url

    @property
    def identification(self) -> dict[str, str]:
        """The application shows who it is."""
        return {"Authorization": aiohttp.encode_basic_auth(self.client_id, self.client_secret)}

    async def begin(self, **more: object) -> Json:
        """The person types name and password."""
        body = {"username": self.username, "password": PASSWORD} | more
        return await call(self.http, "POST", f"{self.url}/v1/sign-ins", headers=self.identification, json=body)

    async def wait(self, sign_in: Json, browser_token: str) -> Json:
        """The sign-in once it is another version than the one that is known."""
        url = f"{self.url}/v1/sign-ins/{sign_in['id']}?wait=15&after={sign_in['version']}"
        return await call(self.http, "GET", url, headers={"Authorization": f"Bearer {browser_token}"})

    async def until(self, sign_in: Json, state: str, browser_token: str) -> Json:
        """Wait for that state."""
        async with asyncio.timeout(PATIENCE):
            while sign_in["state"] != state:
                sign_in = await self.wait(sign_in, browser_token)
        return sign_in

    async def registration(self) -> tuple[Phone, Json, str]:
        """Sign in without a method, and register a phone: the phone, the sign-in as begun, and its token."""
        begun = await self.begin(nonce="n-0S6_WzA2Mj")
        assert (begun["state"], begun["challenge"], begun["methods"]) == ("registration_required", None, [])
        door = {"Authorization": f"Bearer {begun['registration']['token']}"}
        activation = await call(self.http, "POST", f"{self.url}/v1/me/devices", headers=door, json={})
        url, code = split_activation_uri(activation["uri"])
        assert (url, code) == (self.url, activation["code"])
        phone = Phone(self.http, url)
        registered = await phone.activate(code)
        assert registered["issuer"] == self.url
        assert (registered["totp"]["algorithm"], registered["totp"]["digits"]) == ("SHA1", 6)
        return phone, begun, begun["browser_token"]


@pytest.fixture
async def place(service: Service) -> AsyncIterator[Place]:
    """A new application and a new person, made with the command line."""
    username = f"stranger-{secrets.token_hex(4)}"
    app, _ = await asyncio.gather(
        service.json_command("application", "add", f"Shop of {username}"),
        service.json_command("user", "add", username, "--password-stdin", "--state", "enabled", stdin=PASSWORD),
    )
    async with aiohttp.ClientSession() as http:
        yield Place(service, http, app["client_id"], app["client_secret"], username)


async def test_by_socket_a_new_person_registers_a_phone_and_the_same_sign_in_goes_on_and_is_approved(
    place: Place,
) -> None:
    issuer = await Issuer.fetch(place.http, place.url)
    phone, begun, token = await place.registration()
    async with phone.socket() as socket:
        challenge = await socket.next_challenge()
        pending = await place.until(begun, "pending", token)
        prompt = pending["challenge"]["prompt"]
        assert (prompt["kind"], pending["challenge"]["id"]) == ("approve_on_device", challenge["id"])
        assert (challenge["confirm"], challenge["digits"]) == ("number", len(prompt["number"]))

        shown = issuer.context(challenge["context"])
        for member in ("username", "application", "ip", "location", "browser"):
            assert shown[member] == challenge[member], member
        assert challenge["username"] == place.username

        waiting = asyncio.create_task(place.until(pending, "approved", token))
        assert await socket.answer(challenge, "verify", prompt["number"]) == "completed"
        approved = await waiting
    said = issuer.result(approved["result"], place.client_id)
    assert (said["preferred_username"], said["sid"], said["nonce"]) == (place.username, begun["id"], "n-0S6_WzA2Mj")
    assert {"pwd", "mfa"} <= set(said["amr"])
    assert said["exp"] == said["iat"] + 120
    assert said["auth_time"] == said["iat"]


async def test_by_polling_a_wrong_number_ends_the_sign_in_and_the_next_one_is_approved(place: Place) -> None:
    issuer = await Issuer.fetch(place.http, place.url)
    phone, begun, token = await place.registration()
    first = (await phone.poll())["challenges"][0]
    pending = await place.until(begun, "pending", token)
    number: str = pending["challenge"]["prompt"]["number"]
    wrong = str((int(number) + 1) % 10 ** len(number)).zfill(len(number))
    with pytest.raises(Refused) as refusal:
        await phone.answer(first, "verify", wrong)
    assert (refusal.value.status, refusal.value.code) == (403, "wrong_number")
    failed = await place.until(pending, "failed", token)
    assert (failed["reason"], failed.get("result")) == ("wrong_number", None)

    version = (await phone.poll())["version"]
    waiting = asyncio.create_task(phone.poll(after=version))
    again = await place.begin()
    async with asyncio.timeout(PATIENCE):
        found = await waiting
        while not found["challenges"]:
            found = await phone.poll(after=found["version"])
    second = found["challenges"][0]
    assert second["id"] == again["challenge"]["id"]
    assert issuer.context(second["context"])["application"] == second["application"]
    assert await phone.answer(second, "verify", again["challenge"]["prompt"]["number"]) == "completed"
    approved = await place.until(again, "approved", again["browser_token"])
    assert "mfa" in issuer.result(approved["result"], place.client_id)["amr"]
    with pytest.raises(Refused) as late:
        await phone.answer(second, "deny")
    assert (late.value.status, late.value.code, late.value.problem["state"]) == (409, "too_late", "approved")


def _request(method: str, url: str, body: Json | None = None, headers: Mapping[str, str] | None = None) -> Json:
    """What one would type by hand: one request on a connection of its own."""
    data = None if body is None else json.dumps(body).encode()
    said = dict(headers or {}) | ({} if body is None else {"Content-Type": "application/json"})
    request = urllib.request.Request(url, data, said, method=method)  # noqa: S310 - the test's own server
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310
        answer: Json = json.load(response)
        return answer


async def test_by_hand_one_request_after_the_other(place: Place) -> None:
    phone = Phone(place.http, place.url)  # signs only; every request below is made without it
    steps = asyncio.to_thread(_sequence, place, phone)
    final = await steps
    issuer = await Issuer.fetch(place.http, place.url)
    assert issuer.result(final["result"], place.client_id)["preferred_username"] == place.username


def _sequence(place: Place, phone: Phone) -> Json:
    url, who = place.url, place.identification

    def proven(method: str, path: str) -> dict[str, str]:
        return {"Authorization": f"Proof {phone.proof(method, path)}"}

    # 1. The person signs in, and has to register first.
    begun = _request("POST", f"{url}/v1/sign-ins", {"username": place.username, "password": PASSWORD}, who)
    browser = {"Authorization": f"Bearer {begun['browser_token']}"}
    # 2. Settings hand out an activation code; a phone redeems it. A post without anything to say has no body.
    registration = {"Authorization": f"Bearer {begun['registration']['token']}"}
    code = _request("POST", f"{url}/v1/me/devices", None, registration)["code"]
    asyncio.run(_activate_alone(phone, code))
    # 3. The phone looks what there is to answer; the browser's page shows the number.
    path = "/v1/device/challenges"
    challenge = _request("GET", url + path, None, proven("GET", path))["challenges"][0]
    number = _request("GET", f"{url}/v1/sign-ins/{begun['id']}", headers=browser)["challenge"]["prompt"]["number"]
    # 4. The phone answers, and the browser asks until the outcome is there.
    path = f"/v1/device/challenges/{challenge['id']}/answer"
    signed = {"answer": phone.sign(challenge, "verify", number)}
    outcome = _request("POST", url + path, signed, proven("POST", path))["outcome"]
    assert outcome == "completed"
    deadline = time.monotonic() + PATIENCE
    while (now := _request("GET", f"{url}/v1/sign-ins/{begun['id']}", headers=browser))["state"] == "pending":
        assert time.monotonic() < deadline
    assert now["state"] == "approved"
    return now


async def _activate_alone(phone: Phone, code: str) -> None:
    async with aiohttp.ClientSession() as http:
        registered = Phone(http, phone.url, phone.key)
        await registered.activate(code)
        phone.device_id = registered.device_id


def test_the_client_knows_nothing_of_the_service_or_of_its_stub_world() -> None:
    folder = Path(__file__).parent
    files = sorted(folder.glob("*.py"))
    assert {"client.py", "test_stranger.py"} <= {file.name for file in files}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Import(names=names):
                    found = {name.name for name in names}
                case ast.ImportFrom(module=str(module)):
                    found = {module}
                case _:
                    continue
            roots = {name.split(".")[0] for name in found}
            assert not roots & {"push_service", "mobile_stub", "importlib"}, (file.name, found)
