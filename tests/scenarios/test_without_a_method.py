"""Nobody has their phone at hand: a recovery code of one's own list, and an administrator's bypass."""

from __future__ import annotations

import asyncio
import re

import jwt
import pytest

from tests.scenarios.cast import SETTINGS, Scene, scene
from tests.support.browser import Json, Reply, SignIn
from tests.support.people import PASSWORD, Office


async def printed(alice: Scene) -> list[str]:
    """A fresh list of recovery codes, from the settings."""
    async with alice.desk.browser(SETTINGS, origin=alice.desk.service.url) as page:
        mine = await page.begin(alice.user.username, PASSWORD)
        await alice.phone.verify(await alice.phone.next_challenge(), number=mine.number)
        await mine.outcome()
        reply = await page.request("POST", "/v1/me/recovery-codes", headers=mine.bearer)
        assert reply.status == 201, reply
        me = await page.request("GET", "/v1/me", headers=mine.bearer)
        assert me.body["recovery_codes_left"] == 10
        codes: list[str] = reply.body["codes"]
        return codes


async def bypass(alice: Scene) -> str:
    """What the operator tells somebody on the telephone."""
    issued = await alice.desk.core.recovery.issue_bypass(alice.user, 5, "lost phone", "desk")
    return issued.code


def other(body: Json, kind: str) -> str | None:
    """The method of that kind that the page offers instead."""
    return next((each["id"] for each in body["methods"] if each["method"] == kind), None)


async def asking(alice: Scene, kind: str) -> SignIn:
    """A sign-in in which the code of that kind is asked for."""
    sign_in = await alice.begin(PASSWORD)
    method_id = other(await sign_in.look(), kind)
    assert method_id
    chosen = await sign_in.choose(method_id)
    assert (chosen.status, chosen.body["challenge"]["prompt"]["kind"]) == (201, "enter_code")
    return sign_in


async def type_in(sign_in: SignIn, code: str) -> Reply:
    """The code, as the page sends it."""
    path = f"/v1/sign-ins/{sign_in.id}/code"
    return await sign_in.browser.request("POST", path, headers=sign_in.bearer, json={"code": code})


def amr(body: Json) -> list[str]:
    """What the result says was used."""
    found: list[str] = jwt.decode(body["result"], options={"verify_signature": False})["amr"]
    return found


async def test_a_code_of_ones_list_is_a_second_factor_and_works_once(desk: Office) -> None:
    async with scene(desk) as alice:
        codes = await printed(alice)
        assert len({*codes}) == 10
        assert all(re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", each) for each in codes)
        right = await type_in(await asking(alice, "recovery_code"), codes[3].upper().replace("-", " "))
        assert (right.status, amr(right.body)) == (200, ["pwd", "otp", "mfa"])
        again = await asking(alice, "recovery_code")
        assert (again.body["challenge"] or {}).get("prompt") is not None
        wrong = await type_in(again, codes[3])
        assert (wrong.status, wrong.code, wrong.body["tries_left"]) == (403, "wrong_code", 9)
        short = await type_in(again, "123456")
        assert (short.status, short.code) == (400, "invalid_request")
        assert (await type_in(again, codes[4])).body["state"] == "approved"


async def test_one_code_typed_in_two_browsers_at_once_opens_one(desk: Office) -> None:
    async with scene(desk) as alice:
        code = (await printed(alice))[0]
        both = [await asking(alice, "recovery_code") for _ in range(2)]
        replies = await asyncio.gather(*(type_in(each, code) for each in both))
        assert sorted(each.status for each in replies) == [200, 403]


async def test_a_fresh_list_makes_the_old_one_void(desk: Office) -> None:
    async with scene(desk) as alice:
        old, new = await printed(alice), await printed(alice)
        sign_in = await asking(alice, "recovery_code")
        assert (await type_in(sign_in, old[0])).code == "wrong_code"
        assert (await type_in(sign_in, new[0])).status == 200


@pytest.mark.security("S-61")
async def test_a_bypass_opens_one_sign_in_by_password_alone_and_no_settings(desk: Office) -> None:
    async with scene(desk) as alice:
        waiting = await alice.begin(PASSWORD)
        assert other(waiting.body, "bypass") is None
        code = await bypass(alice)
        assert other(await waiting.changed(), "bypass")
        await waiting.cancel()
        both = [await asking(alice, "bypass") for _ in range(2)]
        replies = await asyncio.gather(*(type_in(each, code) for each in both))
        assert sorted(each.status for each in replies) == [200, 403]
        (opened,) = (each for each in replies if each.status == 200)
        assert amr(opened.body) == ["pwd"]
        assert "remember_days" not in opened.body

        code = await bypass(alice)
        async with desk.browser(SETTINGS, origin=desk.service.url) as page:
            mine = await page.begin(alice.user.username, PASSWORD)
            method_id = other(mine.body, "bypass")
            assert method_id
            await mine.choose(method_id)
            assert (await type_in(mine, code)).body["state"] == "approved"
            for method, path in (("GET", "/v1/me"), ("POST", "/v1/me/devices"), ("POST", "/v1/me/recovery-codes")):
                reply = await page.request(method, path, headers=mine.bearer)
                assert (reply.status, reply.code) == (403, "fresh_sign_in_required")
