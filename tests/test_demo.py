"""`./dev demo` as whoever types it meets it: what it prints, what is there afterwards, and that nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

SECONDS = 90.0
SHOWN_SECONDS = 30.0
"""Nobody watches longer. It takes a few."""
_SCENE = r"^(\S.*)\n((?: +\d+ ms .*\n)+)"
_LINE = r"^ *(\d+) ms  (\w+) +(.*)$"


class Demo:
    """A demo that runs without a terminal, with its temporary files in a folder of its own."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process, self.folder = process, folder
        self.printed = ""

    async def prints(self, pattern: str) -> re.Match[str]:
        """Read on until this was printed."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while not (found := re.search(pattern, self.printed, re.MULTILINE)):
                line = await self.process.stdout.readline()
                assert line, f"ended without {pattern!r}: {self.printed}"
                self.printed += line.decode()
        return found

    async def ended(self) -> tuple[int, str]:
        """Its exit code and what it said on stderr."""
        async with asyncio.timeout(SECONDS):
            rest, complaint = await self.process.communicate()
        self.printed += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode, complaint.decode()

    def left_behind(self) -> list[Path]:
        """Whatever it did not remove."""
        return list(self.folder.iterdir())


@asynccontextmanager
async def running(folder: Path, *arguments: str) -> AsyncIterator[Demo]:
    """Start a demo; it is gone in the end, with the service that it started."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mobile_stub.demo", *arguments),
        env={**os.environ, "TMPDIR": str(folder), "NO_COLOR": "1", "PUSH_SERVICE_PUBLIC_URL": "https://elsewhere.test"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Demo(process, folder)
    finally:
        if process.returncode is None:
            started = psutil.Process(process.pid).children(recursive=True)
            for each in [psutil.Process(process.pid), *started]:
                each.kill()
            await process.wait()


async def test_once_shows_every_way_to_verify_with_times_and_ends_with_nothing_left(tmp_path: Path) -> None:
    began = time.monotonic()
    async with running(tmp_path, "--once") as demo:
        code, complaint = await demo.ended()
    assert (code, complaint) == (0, ""), demo.printed
    assert time.monotonic() - began < SHOWN_SECONDS
    scenes = {
        scene: re.findall(_LINE, lines, re.MULTILINE) for scene, lines in re.findall(_SCENE, demo.printed, re.MULTILINE)
    }
    for lines in scenes.values():
        times = [int(milliseconds) for milliseconds, _, _ in lines]
        assert times[0] == 0
        assert times == sorted(times)

    approved = ("browser", "is told: approved, with a signed result")
    ends = {scene: [(who, what) for _, who, what in lines][-2:] for scene, lines in scenes.items()}
    prompt, registration, code_, text, mobile, office, switch, mail, administration = ends
    assert {approved, ("phone", "is told: completed")} == set(ends[prompt])
    for scene in (code_, text, mobile, office, switch):
        assert ends[scene][-1] == approved, scene
    assert "A way to verify sign-ins was added" in ends[registration][-1][1]
    assert ends[mail][-1] == ("mail", "is let in by the app password “Mail on my laptop”")
    assert ends[administration][-1] == ("service", "refuses: 403 app_password_not_for_administration")

    def told(scene: str, who: str) -> str:
        return "\n".join(what for _, speaker, what in scenes[scene] if speaker == who)

    (shown,) = re.findall(r"shows the number (\d+)", told(prompt, "browser"))
    assert f"reads {shown} in the browser, types it on the phone" in told(prompt, "person")
    (sent,) = re.findall(r"code is (\d{6})", told(text, "text"))
    assert f"types {sent} in the browser" in told(text, "person")
    assert "extension 407" in told(office, "call")
    assert "press the pound key" in told(mobile, "call")
    assert "its prompt is gone: withdrawn" in told(switch, "phone")
    assert "by the ordinary password: 403 app_password_required" in told(mail, "mail")
    assert demo.left_behind() == []


async def test_left_running_it_lets_people_in_and_registers_who_has_no_phone_until_ctrl_c(tmp_path: Path) -> None:
    async with running(tmp_path) as demo:
        sign_in_page = (await demo.prints(r"sign-in page +(\S+)$"))[1]
        phone_page = (await demo.prints(r"phone page +(\S+)$"))[1]
        password = (await demo.prints(r"bob +password (\S+)"))[1]
        await demo.prints(r'"Activate a phone" on (\S+)')
        service, everyone = sign_in_page.removesuffix("/sign-in"), phone_page.partition("/#")[0]
        async with aiohttp.ClientSession(headers={"Origin": service}, cookie_jar=aiohttp.DummyCookieJar()) as session:
            for page in (sign_in_page, phone_page):
                async with session.get(page, headers={"Origin": ""}) as response:
                    assert response.status == 200
                    assert response.content_type == "text/html"
            begun = await _send(
                session,
                "POST",
                f"{service}/v1/sign-ins",
                {"application": "settings", "username": "bob", "password": password},
            )
            assert begun["state"] == "registration_required"
            token = {"Authorization": f"Bearer {begun['registration']['token']}"}
            activation = await _send(session, "POST", f"{service}/v1/me/devices", None, **token)
        async with aiohttp.ClientSession() as person:
            phone = await _send(person, "POST", f"{everyone}/phones", {"uri": activation["uri"], "name": "Bob's phone"})
            assert phone["username"] == "bob"
        demo.process.send_signal(signal.SIGINT)
        code, complaint = await demo.ended()
        assert (code, complaint) == (0, "")
        async with aiohttp.ClientSession() as late:
            for address in (service, everyone):
                with pytest.raises(aiohttp.ClientConnectorError):
                    await late.get(address)
    assert demo.left_behind() == []


async def test_a_phone_whose_app_was_closed_on_its_page_is_woken_by_the_demos_firebase(tmp_path: Path) -> None:
    async with running(tmp_path) as demo:
        sign_in_page = (await demo.prints(r"sign-in page +(\S+)$"))[1]
        everyone, _, phone_id = (await demo.prints(r"phone page +(\S+)$"))[1].partition("/#")
        password = (await demo.prints(r"alice +password (\S+)"))[1]
        service = sign_in_page.removesuffix("/sign-in")
        async with aiohttp.ClientSession(everyone) as world, aiohttp.ClientSession() as browser:
            closed = await _reply(await world.post(f"/phones/{phone_id}/close"))
            assert (closed["asleep"], closed["line"]) == (True, "closed")
            body = {"application": "settings", "username": "alice", "password": password}
            begun = await _send(browser, "POST", f"{service}/v1/sign-ins", body, Origin=service)
            async with asyncio.timeout(SECONDS):
                while not any(  # noqa: ASYNC110 - another process
                    each["id"] == begun["challenge"]["id"]
                    for each in (await _reply(await world.get(f"/phones/{phone_id}")))["prompts"]
                ):
                    await asyncio.sleep(0.05)
            assert [each["answer"] for each in (await _reply(await world.get("/firebase")))["received"]] == ["sent"]


async def test_a_service_that_dies_is_told_in_one_clear_line_and_the_demo_fails(tmp_path: Path) -> None:
    async with running(tmp_path) as demo:
        await demo.prints(r"phone page")
        (service,) = psutil.Process(demo.process.pid).children()
        service.kill()
        code, complaint = await demo.ended()
    assert code == 1
    assert complaint.startswith("demo: the service has ended by itself")
    assert "Traceback" not in complaint
    assert demo.left_behind() == []


async def test_once_interrupted_before_its_sign_in_is_no_success(tmp_path: Path) -> None:
    async with running(tmp_path, "--once") as demo:
        await demo.prints(r"^Starting the service")
        demo.process.send_signal(signal.SIGTERM)
        code, complaint = await demo.ended()
    assert (code, complaint) == (130, "")
    assert demo.left_behind() == []


async def _reply(response: aiohttp.ClientResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await response.text())
    return found


async def _send(session: aiohttp.ClientSession, method: str, url: str, body: object, **headers: str) -> dict[str, Any]:
    async with session.request(method, url, json=body, headers=headers) as response:
        text = await response.text()
        assert response.status == 201, text
        found: dict[str, Any] = json.loads(text)
        return found
