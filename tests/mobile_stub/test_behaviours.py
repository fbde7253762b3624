"""Scripted people meet challenges as people would, mishaps included."""

from __future__ import annotations

import asyncio
import random

import pytest

from mobile_stub.backoff import Backoff
from mobile_stub.behaviours import (
    Behaviour,
    ClockJump,
    Deny,
    DropSocket,
    Eyes,
    Ignore,
    Late,
    Replay,
    ReportFraud,
    Verify,
    WrongNumber,
    always,
    live,
)
from mobile_stub.errors import LineReplacedError
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import Setup
from mobile_stub.wire import Challenge, Outcome
from tests.mobile_stub.fake_service import FakeService

QUICK = Setup(backoff=lambda: Backoff(base=0.01, cap=0.05, restart_spread=0.01))
SEES = always("42")


class AlwaysTheSame(random.Random):
    """Dice that always show 42: the guess that a wrong number must not be."""

    def randrange(self, *_: object) -> int:
        return 42


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (Verify(SEES), Outcome.COMPLETED),
        (Deny(), Outcome.DENIED),
        (ReportFraud(), Outcome.FRAUD_REPORTED),
        (Ignore(), None),
        (WrongNumber(SEES, AlwaysTheSame()), Outcome.WRONG_NUMBER),
        (Late(0.05, Verify(SEES)), Outcome.COMPLETED),
        (DropSocket(Verify(SEES)), Outcome.COMPLETED),
        (Replay(Decision.VERIFY, SEES), Outcome.COMPLETED),
        (Replay(Decision.DENY), Outcome.DENIED),
        (ClockJump(-30, Verify(SEES)), Outcome.COMPLETED),
    ],
    ids=lambda each: each.value if isinstance(each, Outcome) else type(each).__name__,
)
async def test_each_kind_of_person_brings_about_its_outcome(
    service: FakeService, behaviour: Behaviour, outcome: Outcome | None
) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK) as phone:
        await service.ask("42")
        assert await behaviour.meet(phone, await phone.next_challenge()) is outcome


async def test_a_replay_really_sends_the_same_text_twice(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        await service.ask("42")
        await Replay(Decision.VERIFY, SEES).meet(phone, await phone.next_challenge())
        first, second = await service.happenings.wait_for("answer", times=2)
        assert first == second


async def test_a_dropped_socket_is_really_dropped(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK) as phone:
        await service.ask("42")
        await DropSocket(Verify(SEES)).meet(phone, await phone.next_challenge())
        assert service.happenings.all("ready") == [phone.device_id] * 2


async def test_people_wait_for_the_browser_to_show_each_sign_in_its_own_number(service: FakeService) -> None:
    eyes = Eyes()
    met: asyncio.Queue[tuple[str, Outcome | None]] = asyncio.Queue()

    def told(challenge: Challenge, outcome: Outcome | None) -> None:
        met.put_nowait((challenge.id, outcome))

    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        living = asyncio.create_task(live(phone, Verify(eyes), told))
        first, second = await service.ask("11"), await service.ask("22")
        await service.happenings.wait_for("received", times=2)
        eyes.saw(second, "22")
        assert await met.get() == (second, Outcome.COMPLETED)
        eyes.saw(first, "11")
        assert await met.get() == (first, Outcome.COMPLETED)
        await service.hang_up(4409)
        with pytest.raises(ExceptionGroup) as end:
            await living
        assert end.group_contains(LineReplacedError)
