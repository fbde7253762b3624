"""The world as programs see it: JSON over HTTP, phones that survive a restart, and no way in for other pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mobile_stub.backoff import Backoff
from mobile_stub.surroundings import Setup
from mobile_stub.world import world
from tests.mobile_stub.fake_service import FakeService

QUICK = Setup(backoff=lambda: Backoff(base=0.01, cap=0.05, restart_spread=0.01))


class Script:
    """A program that drives a world over HTTP."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        async with self.session.request(method, path, json=body, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith(("{", "[")) else text

    async def activate(self, service: FakeService) -> str:
        status, phone = await self.call("POST", "/phones", {"uri": service.activation_uri(), "name": "Alice's phone"})
        assert status == 201, phone
        return str(phone["id"])

    async def until(self, phone_id: str, **wanted: object) -> dict[str, Any]:
        """Follow the event stream until the first prompt of the phone (or the phone itself) has these members."""
        async with asyncio.timeout(20), self.session.get("/events") as stream:
            async for line in stream.content:
                if not line.startswith(b"data: "):
                    continue
                phone = next((p for p in json.loads(line[6:])["phones"] if p["id"] == phone_id), None)
                for shown in [phone, *(phone or {}).get("prompts", [])[:1]]:
                    if shown is not None and all(shown.get(name) == value for name, value in wanted.items()):
                        return dict(shown)
        raise AssertionError("the stream ended")


@asynccontextmanager
async def scripted(folder: Path | None = None) -> AsyncIterator[Script]:
    async with world(folder=folder, setup=QUICK) as running, aiohttp.ClientSession(running.url) as session:
        yield Script(session)


async def test_a_program_activates_a_phone_sees_its_prompt_and_verifies_with_the_number(service: FakeService) -> None:
    async with scripted() as script:
        phone = await script.activate(service)
        await script.until(phone, line="connected")
        asked = await service.ask("42")
        shown = await script.until(phone, state="waiting")
        assert (shown["id"], shown["application"], shown["digits"]) == (asked, "Contoso Mail", 2)
        assert "42" not in json.dumps({name: shown[name] for name in shown if not name.endswith("_at")} | {"id": ""})
        status, prompt = await script.call("POST", f"/phones/{phone}/prompts/{asked}/verify", {"number": "42"})
        assert (status, prompt["state"]) == (200, "completed")
        assert (await script.call("DELETE", f"/phones/{phone}/prompts/{asked}"))[0] == 204
        assert (await script.call("GET", f"/phones/{phone}"))[1]["prompts"] == []


@pytest.mark.parametrize(("press", "state"), [("deny", "denied"), ("fraud", "fraud_reported")])
async def test_deny_and_this_was_not_me_need_no_body(service: FakeService, press: str, state: str) -> None:
    async with scripted() as script:
        phone = await script.activate(service)
        asked = await service.ask()
        await script.until(phone, id=asked)
        assert (await script.call("POST", f"/phones/{phone}/prompts/{asked}/{press}"))[1]["state"] == state
        status, trouble = await script.call("POST", f"/phones/{phone}/prompts/{asked}/{press}")
        assert (status, trouble["code"]) == (409, "no_such_prompt")


async def test_a_number_of_the_wrong_shape_is_refused_by_the_service_and_the_prompt_still_waits(
    service: FakeService,
) -> None:
    async with scripted() as script:
        phone = await script.activate(service)
        asked = await service.ask("42")
        await script.until(phone, id=asked)
        status, trouble = await script.call("POST", f"/phones/{phone}/prompts/{asked}/verify", {"number": "042"})
        assert (status, trouble["code"]) == (502, "invalid_answer")
        assert (await script.until(phone, id=asked))["state"] == "waiting"


async def test_withdrawn_and_expired_prompts_stay_on_the_screen_and_say_so(service: FakeService) -> None:
    async with scripted() as script:
        phone = await script.activate(service)
        asked = await service.ask()
        await script.until(phone, id=asked)
        await service.withdraw(asked, "replaced")
        assert (await script.until(phone, state="withdrawn"))["reason"] == "replaced"
        await script.call("DELETE", f"/phones/{phone}/prompts/{asked}")
        short = await service.ask(seconds=0.3)
        await script.until(phone, id=short, state="expired")


async def test_phones_are_back_after_a_restart_of_the_world(service: FakeService, tmp_path: Path) -> None:
    async with scripted(tmp_path / "phones") as script:
        phone = await script.activate(service)
    async with scripted(tmp_path / "phones") as script:
        await script.until(phone, line="connected", name="Alice's phone")
        asked = await service.ask()
        await script.until(phone, id=asked, state="waiting")
        assert (await script.call("DELETE", f"/phones/{phone}"))[0] == 204
        assert service.devices == {}
    async with scripted(tmp_path / "phones") as script:
        assert (await script.call("GET", "/phones"))[1]["phones"] == []


async def test_a_phone_that_was_removed_elsewhere_says_so_and_can_be_put_away(service: FakeService) -> None:
    async with scripted() as script:
        phone = await script.activate(service)
        await script.until(phone, line="connected")
        (socket,) = service.devices[phone].sockets
        del service.devices[phone]
        await socket.close(code=4401)
        assert "doesn't know this phone" in (await script.until(phone, line="closed"))["trouble"]
        assert (await script.call("DELETE", f"/phones/{phone}"))[0] == 204


async def test_what_the_service_did_not_sign_is_named_and_not_shown(service: FakeService) -> None:
    async with scripted() as script:
        phone = await script.activate(service)
        service.tamper = lambda asked: asked.update(application="Contoso Bank")
        await service.ask()
        await script.until(phone, trouble="A prompt was not shown: signed context and frame differ in application.")
        assert (await script.call("GET", f"/phones/{phone}"))[1]["prompts"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"uri": "hello"}, 400, "not_an_activation_address"),
        ({"uri": "http://127.0.0.1:9/activate#code=x"}, 502, "service_unreachable"),
        ({"uri": 7}, 400, None),
        ({"uri": "x", "surprise": True}, 400, None),
    ],
)
async def test_a_bad_activation_is_refused_plainly(body: object, status: int, code: str | None) -> None:
    async with scripted() as script:
        answered, trouble = await script.call("POST", "/phones", body)
        assert (answered, trouble["code"] if code else None) == (status, code)


async def test_a_used_code_keeps_the_code_of_the_services_refusal(service: FakeService) -> None:
    async with scripted() as script:
        uri = service.activation_uri()
        assert (await script.call("POST", "/phones", {"uri": uri}))[0] == 201
        assert (await script.call("POST", "/phones", {"uri": uri}))[1]["code"] == "invalid_activation_code"


async def test_unknown_phones_are_404() -> None:
    async with scripted() as script:
        assert (await script.call("GET", "/phones/dev_x"))[0] == 404
        assert (await script.call("POST", "/phones/dev_x/prompts/ch_x/deny"))[0] == 404


async def test_other_web_pages_can_neither_press_nor_read() -> None:
    async with scripted() as script:
        assert (await script.call("POST", "/phones", {"uri": "x"}, Origin="https://evil.example"))[0] == 403
        assert (await script.call("GET", "/phones", Host="evil.example"))[0] == 403
        assert (await script.call("GET", "/phones", Host="localhost"))[0] == 200
        async with script.session.get("/phones") as response:
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_every_answer_has_a_strict_content_security_policy() -> None:
    async with scripted() as script:
        for path in ("/", "/page/main.js", "/phones", "/phones/none"):
            async with script.session.get(path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'")
                assert "unsafe" not in policy
