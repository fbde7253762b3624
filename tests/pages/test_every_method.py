"""Every way to verify, as a person walks it: a real server, its pages in one tab, the stub's phones in another.

What the service sends goes by the stub's telephone company, whose texts and ringing phones are pages, too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from mobile_stub.world import World, world
from push_service.model.challenge import MethodKind
from push_service.model.user import UserState
from tests.support.people import PASSWORD, Office
from tests.support.telephony import give_phone, telephony_settings

from .conftest import QUICK, MakeDesk
from .tabs import ASKED, PROOF_UP, SIGNED_IN, Person, person, sign_in_tab
from .visits import add, heading_shown

MOBILE, OFFICE = "+441632960123", "+441632960456"
TYPE_THE_CODE, ANSWER = "Type the code from the text", "Answer your phone"
CODE = re.compile(r"code is (\d{6})")


@pytest_asyncio.fixture(loop_scope="session")
async def company() -> AsyncIterator[World]:
    """A world whose calls take no longer than anyone takes."""
    async with world(setup=QUICK, pace=None) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def phoned(make_desk: MakeDesk, company: World) -> Office:
    """The operator beside a server that texts and calls."""
    return await make_desk(POLICY__SEND_AGAIN_SECONDS="0", **telephony_settings(company))


@dataclass(frozen=True)
class Handset:
    """A telephone, which is a page of the stub world."""

    page: Page

    async def code(self, after: str = "") -> str:
        """The code in the newest text, once there is another than that one."""
        await self.page.bring_to_front()
        newest = self.page.get_by_role("listitem").filter(has_text=CODE)
        await expect(newest.filter(has_not_text=after or "no such text").first).to_be_visible()
        for text in await newest.all_inner_texts():
            if (found := CODE.search(text)) and found[1] != after:
                return found[1]
        raise AssertionError

    async def answer_and_press(self, *keys: str) -> None:
        """Answer the call that rings, hear what is asked, and press."""
        await self.page.bring_to_front()
        await self.page.get_by_role("button", name="Answer").click()
        await expect(self.page.get_by_label("What the voice says")).to_contain_text("press the pound key")
        for key in keys:
            await self.page.get_by_role("button", name=key, exact=True).click()


async def handset(context: BrowserContext, company: World, number: str) -> Handset:
    page = await context.new_page()
    await page.goto(f"{company.url}/#{number}")
    return Handset(page)


async def choose(alice: Person, method: str) -> None:
    """Another verification option."""
    await alice.tab.page.bring_to_front()
    await alice.tab.page.get_by_text("Other verification options").click()
    await alice.tab.page.get_by_role("button", name=re.compile(method)).click()


async def type_code(page: Page, code: str) -> None:
    await page.bring_to_front()
    await page.get_by_label("Code", exact=True).fill(code)
    await page.keyboard.press("Enter")


async def with_phones(context: BrowserContext, phoned: Office, company: World, *kinds: MethodKind) -> Person:
    """Somebody with the app and these; the last one is asked first."""
    alice = await person(context, phoned, company)
    for kind in kinds:
        number = f"{OFFICE};ext=407" if kind is MethodKind.CALL_OFFICE else MOBILE
        await give_phone(phoned, alice.user, kind, number)
    return alice


async def begin(alice: Person) -> None:
    await alice.tab.open()
    await alice.tab.submit(alice.user)


async def test_a_code_is_read_in_a_text_and_typed_in_the_browser(
    context: BrowserContext, phoned: Office, company: World
) -> None:
    alice = await with_phones(context, phoned, company, MethodKind.TEXT_MOBILE)
    phone = await handset(context, company, MOBILE)
    await begin(alice)
    await heading_shown(alice.tab.page, TYPE_THE_CODE)
    first = await phone.code()
    await alice.tab.press("Send again")
    newer = await phone.code(after=first)
    await type_code(alice.tab.page, first)
    await expect(alice.tab.page.get_by_text("That code is not right.").first).to_be_visible()
    await type_code(alice.tab.page, newer)
    await alice.tab.says(SIGNED_IN)


@pytest.mark.parametrize(
    ("kind", "number", "caller"),
    [
        (MethodKind.CALL_MOBILE, MOBILE, "From"),
        (MethodKind.CALL_OFFICE, OFFICE, "for extension 407"),
    ],
)
async def test_a_ringing_phone_is_answered_and_hash_is_pressed(
    context: BrowserContext, phoned: Office, company: World, kind: MethodKind, number: str, caller: str
) -> None:
    alice = await with_phones(context, phoned, company, kind)
    phone = await handset(context, company, number)
    await begin(alice)
    await alice.tab.says(ANSWER)
    await expect(phone.page.get_by_text(caller)).to_be_visible()
    await phone.answer_and_press("#")
    await alice.tab.says(SIGNED_IN)
    await expect(phone.page.get_by_label("What the voice says")).to_contain_text("You are verified")


async def test_the_code_of_the_app_is_typed_in_place_of_its_prompt(
    context: BrowserContext, phoned: Office, company: World
) -> None:
    alice = await person(context, phoned, company)
    shown = alice.phone.page.get_by_label("One-time code")
    await expect(shown).to_have_text(re.compile(r"^\d{3} \d{3}$"))
    code = (await shown.inner_text()).replace(" ", "")
    await begin(alice)
    await alice.tab.says(ASKED)
    await alice.phone.says("Are you trying to sign in?")
    await choose(alice, "Code from my app")
    await alice.phone.says("This sign-in was withdrawn")
    await expect(alice.phone.page.get_by_text("Another way to verify was chosen in the browser.")).to_be_visible()
    await type_code(alice.tab.page, code)
    await alice.tab.says(SIGNED_IN)


async def test_a_phone_out_of_reach_is_left_for_a_text_and_its_prompt_disappears(
    context: BrowserContext, phoned: Office, company: World
) -> None:
    alice = await person(context, phoned, company)
    await give_phone(phoned, alice.user, MethodKind.TEXT_MOBILE, MOBILE)
    await begin(alice)
    await heading_shown(alice.tab.page, TYPE_THE_CODE)
    phone = await handset(context, company, MOBILE)
    old = await phone.code()
    await choose(alice, "Notification from my app")
    await alice.tab.says(ASKED)
    await choose(alice, "Text code")
    await heading_shown(alice.tab.page, TYPE_THE_CODE)
    await alice.phone.says("This sign-in was withdrawn")
    newer = await phone.code(after=old)
    await type_code(alice.tab.page, old)
    await expect(alice.tab.page.get_by_text("That code is not right.").first).to_be_visible()
    await type_code(alice.tab.page, newer)
    await alice.tab.says(SIGNED_IN)


async def test_a_call_that_is_turned_away_says_so_and_another_way_goes_on(
    context: BrowserContext, phoned: Office, company: World
) -> None:
    alice = await with_phones(context, phoned, company, MethodKind.CALL_MOBILE)
    phone = await handset(context, company, MOBILE)
    await begin(alice)
    await phone.page.bring_to_front()
    await phone.page.get_by_role("button", name="Decline").click()
    await alice.tab.says("Choose another way to verify")
    await expect(alice.tab.page.get_by_text("The line was busy.")).to_be_visible()
    await alice.tab.page.bring_to_front()
    await alice.tab.page.get_by_role("button", name=re.compile("Notification from my app")).click()
    await alice.phone.verify(await alice.tab.number())
    await alice.tab.says(SIGNED_IN)


async def test_whoever_did_not_sign_in_presses_zero_and_everybody_knows(
    context: BrowserContext, phoned: Office, company: World
) -> None:
    alice = await with_phones(context, phoned, company, MethodKind.CALL_MOBILE)
    phone = await handset(context, company, MOBILE)
    await begin(alice)
    await phone.answer_and_press("0", "#")
    await alice.tab.says("Reported as not you")


async def test_a_first_sign_in_registers_a_mobile_phone_and_goes_on_with_it(
    context: BrowserContext, phoned: Office, company: World
) -> None:
    bob = await phoned.person(state=UserState.ENABLED)
    tab = await sign_in_tab(context, phoned)
    phone = await handset(context, company, MOBILE)
    await tab.open()
    await tab.submit(bob, PASSWORD)
    await tab.says(PROOF_UP)
    await tab.page.get_by_text("No app? Set up another way").click()
    await add(tab.page, "My mobile phone")
    await tab.page.get_by_label("Phone number").fill("+44 1632 960123")
    await tab.page.keyboard.press("Enter")
    first = await phone.code()
    await type_code(tab.page, first)
    await heading_shown(tab.page, TYPE_THE_CODE)
    await type_code(tab.page, await phone.code(after=first))
    await tab.says(SIGNED_IN)
