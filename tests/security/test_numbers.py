"""The number that only the browser shows: where it is not, how often it is guessed, how it is written: S-12 to S-14."""

from __future__ import annotations

import base64
import itertools
import json

import pytest

from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.wire import Challenge
from push_service.model.policy import Policy, Rate
from tests.conftest import MakeOffice, MakeService
from tests.support.browser import SignIn
from tests.support.people import Office

from .support import (
    POLLING,
    Scene,
    claims,
    header,
    jws,
    ready_socket,
    refused_all,
    scene,
    whole_file,
    wrong_number,
)


@pytest.mark.security("S-12")
async def test_the_number_is_nowhere_but_in_the_browsers_answer(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(POLICY__NUMBER_DIGITS="8")
    desk = await make_office(service)
    async with scene(desk) as stage:
        seen: list[str] = []
        sign_in = await stage.browser.begin(
            stage.user.username,
            client={"ip": "203.0.113.9", "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"},
        )
        number = sign_in.number
        assert len(number) == 8
        async with ready_socket(stage.browser.session, stage.phone) as socket:
            frame = await socket.until("challenge")
            listed = await stage.call("GET", "/v1/device/challenges")
            challenge = (await stage.phone.poll()).challenges[0]
            shape = await stage.post(challenge.id, stage.phone.sign(challenge, Decision.VERIFY, "1"))
            wrong = stage.phone.sign(challenge, Decision.VERIFY, wrong_number(number))
            await socket.send(type="answer", ref="r", answer=wrong)
            told = await socket.until("outcome")
        payload = challenge.context.split(".")[1]
        shown = json.loads(base64.urlsafe_b64decode(payload + "=="))
        assert (told["outcome"], shape.status) == ("wrong_number", 400)
        refused = await stage.post(challenge.id, wrong)
        assert (refused.status, refused.code) == (403, "wrong_number")
        final = await sign_in.outcome()
        assert (final["state"], final["reason"]) == ("failed", "wrong_number")
        for name in ("ip", "browser", "application", "username", "requested_at"):
            assert shown[name] == frame["challenge"][name], name
        assert shown["ip"] == "203.0.113.9"
        assert "Firefox" in shown["browser"]
        seen += [json.dumps(each) for each in (frame, listed.body, shown, shape.body, told, refused.body)]
        seen += [str(shape.headers), str(listed.headers), service.log, service.url]
        seen += [whole_file(desk, table) for table in ("audit", "users", "sign_ins", "challenges", "deliveries")]
        for place in seen:
            assert number not in place
        async with stage.browser.session.get("/metrics") as metrics:
            assert number not in await metrics.text()


@pytest.mark.security("S-13")
def test_the_default_policy_leaves_a_guesser_of_two_digits_less_than_five_percent() -> None:
    policy = Policy()
    odds = 1 - (1 - 10**-policy.number_digits) ** policy.wrong_numbers.count
    assert policy.wrong_numbers == Rate(5, 86400)
    assert odds < 0.05


@pytest.mark.security("S-13")
async def test_wrong_numbers_add_up_across_sign_ins_applications_and_phones_until_the_app_asks_no_more(
    make_service: MakeService, make_office: MakeOffice
) -> None:
    service = await make_service(POLICY__PROMPTS_UNANSWERED="1000/1d", POLICY__BEGINS_PER_PERSON="1000/1m")
    desk = await make_office(service)
    other = await desk.application("Fabrikam")
    async with scene(desk) as stage, await desk.phone(stage.user, "Second", setup=POLLING) as second:
        guesses = 0
        async with desk.browser(other) as elsewhere:
            for browser, phone in zip(
                itertools.cycle((stage.browser, elsewhere)), (stage.phone, second) * 2, strict=False
            ):
                sign_in = await browser.begin(stage.user.username)
                guesses += await _guess(stage, sign_in, phone)
            assert guesses == 4
            # Three at once, so that more answers are open than tries are left.
            open_at_once = [await elsewhere.begin(stage.user.username) for _ in range(3)]
            for sign_in in open_at_once:
                guesses += await _guess(stage, sign_in, stage.phone)
            assert guesses == 5, "more numbers were judged than the policy allows"
            for sign_in in open_at_once:
                await sign_in.look()
                assert sign_in.body["state"] == "failed"
            for browser in (stage.browser, elsewhere):
                assert await browser.muted_for(stage.user.username) > 3600
        await service.kill()
        await service.start()
        assert await stage.browser.muted_for(stage.user.username) > 3600
        assert not (await stage.phone.poll()).challenges


async def _guess(stage: Scene, sign_in: SignIn, phone: Phone) -> int:
    """Type a wrong number; says whether it was judged as one."""
    wanted = sign_in.body["challenge"]["id"]
    shown = {each.id: each for each in (await phone.poll()).challenges}
    if wanted not in shown:
        return 0
    wrong = wrong_number(sign_in.number)
    reply = await stage.post(wanted, phone.sign(shown[wanted], Decision.VERIFY, wrong), phone=phone)
    return int(reply.code == "wrong_number")


@pytest.mark.security("S-14")
async def test_a_number_is_a_text_of_exactly_as_many_plain_digits_as_are_asked(desk: Office) -> None:
    async with scene(desk) as stage:
        sign_in, _ = await stage.ask()
        right = sign_in.number

        def forge(phone: Phone, challenge: Challenge, number: str) -> dict[str, str]:
            honest = claims(phone, challenge, number)
            wide = "".join(chr(ord(each) - 0x30 + 0xFF10) for each in number)
            arabic = "".join(chr(ord(each) - 0x30 + 0x0660) for each in number)
            odd: dict[str, object] = {
                "null": None,
                "empty": "",
                "integer": int(number),
                "float": float(number),
                "a digit too many": f"0{number}",
                "a digit too few": number[:1],
                "full-width": wide,
                "arabic-indic": arabic,
                "space before": f" {number}",
                "space after": f"{number} ",
                "newline after": f"{number}\n",
                "sign": f"+{number[:1]}",
                "list": [number],
                "object": {"number": number},
                "nine digits": "123456789",
                "letters": "ab",
                "hex": "0x",
                "exponent": "1e",
                "true": True,
                "superscript": "\u00b2\u00b3",
                "combining": f"{number}\u0301",
            }
            forged = {
                f"number {name}": jws(header(phone), honest | {"number": value}, phone.key)
                for name, value in odd.items()
            }
            bare = {name: value for name, value in honest.items() if name != "number"}
            return forged | {
                "verify without a number": jws(header(phone), bare, phone.key),
                "an old app that knows taps only": jws(header(phone), bare | {"confirm": "tap"}, phone.key),
                "an old version": jws(header(phone), bare | {"app_version": "1.0", "digits": 0}, phone.key),
                "decision in capitals": jws(header(phone), honest | {"decision": "VERIFY"}, phone.key),
                "no decision": jws(header(phone), {n: v for n, v in honest.items() if n != "decision"}, phone.key),
            }

        await refused_all(stage, forge)
        assert right
        listed = await stage.phone.poll()
        assert {(each.confirm, each.digits) for each in listed.challenges} == {("number", 2)}
