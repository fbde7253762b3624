"""Stories of one phone and a service: asked, answering, cut off, mistrusted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from mobile_stub.backoff import Backoff
from mobile_stub.clock import StubbornClock
from mobile_stub.errors import (
    ActivationUriError,
    InvalidProofError,
    LineClosedError,
    LineReplacedError,
    NotAuthenticatedError,
    RefusedError,
    UnknownDeviceError,
    UntrustedPromptError,
)
from mobile_stub.forgeries import DerSignature, SharedSecret, Unsigned
from mobile_stub.keys import DeviceKey
from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision, sign_answer
from mobile_stub.surroundings import Reach, Setup
from mobile_stub.wire import Outcome, WithdrawalReason

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mobile_stub.fake_service import FakeService

QUICK = Setup(backoff=lambda: Backoff(base=0.01, cap=0.05, restart_spread=0.01))
POLLING = Setup(reach=Reach.POLL)


async def test_a_phone_is_activated_asked_and_verifies_with_the_number_of_the_browser(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        asked = await service.ask("42")
        challenge = await phone.next_challenge()
        assert (challenge.id, challenge.application, challenge.digits) == (asked, "Contoso Mail", 2)
        assert await service.happenings.wait_for("received") == [asked]
        assert await phone.verify(challenge, number="42") is Outcome.COMPLETED
    assert phone.username == "alice"


async def test_an_activation_can_also_be_awaited_and_closed_by_hand(service: FakeService) -> None:
    phone = await Phone.activate(service.activation_uri(), name="Alice's phone", platform="test")
    try:
        assert (await phone.device()).name == "Alice's phone"
    finally:
        await phone.aclose()


@pytest.mark.parametrize(
    ("decision", "outcome"), [(Decision.DENY, Outcome.DENIED), (Decision.REPORT_FRAUD, Outcome.FRAUD_REPORTED)]
)
async def test_a_no_and_a_report_of_fraud_need_no_number(
    service: FakeService, decision: Decision, outcome: Outcome
) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        await service.ask()
        assert await phone.answer(await phone.next_challenge(), decision) is outcome


async def test_a_wrong_number_and_a_late_answer_are_outcomes_on_both_ways(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        await service.ask("42")
        challenge = await phone.next_challenge()
        assert await phone.verify(challenge, "43") is Outcome.WRONG_NUMBER
        assert await phone.answer_by_http(challenge, Decision.VERIFY, "43") is Outcome.WRONG_NUMBER
        assert await phone.verify(challenge, "42") is Outcome.TOO_LATE
        assert await phone.answer_by_http(challenge, Decision.VERIFY, "42") is Outcome.TOO_LATE


async def test_a_tap_is_enough_where_the_service_asks_for_no_number(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        await service.ask(None)
        assert await phone.verify(await phone.next_challenge()) is Outcome.COMPLETED


async def test_a_phone_without_a_socket_polls_and_answers_by_http(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=POLLING) as phone:
        empty = await phone.poll()
        waiting = asyncio.create_task(phone.poll(wait=10, after=empty.version))
        asked = await service.ask("07")
        (challenge,) = (await waiting).challenges
        assert challenge.id == asked
        assert await phone.answer_by_http(challenge, Decision.VERIFY, "07") is Outcome.COMPLETED
        assert (await phone.poll()).challenges == ()


async def test_the_other_phone_is_told_that_its_prompt_is_over_and_never_returns_it(service: FakeService) -> None:
    async with (
        asyncio.timeout(20),
        Phone.activate(service.activation_uri()) as first,
        Phone.activate(service.activation_uri()) as second,
    ):
        asked = await service.ask()
        await service.happenings.wait_for("received", times=2)
        await first.deny(await first.next_challenge())
        withdrawn = await second.next_withdrawal()
        assert (withdrawn.challenge_id, withdrawn.reason) == (asked, WithdrawalReason.ANSWERED_ELSEWHERE)
        later = await service.ask()
        assert (await second.next_challenge()).id == later


async def test_an_unknown_reason_for_a_withdrawal_is_still_a_withdrawal(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        asked = await service.ask()
        await service.withdraw(asked, "solar_flare")
        assert (await phone.next_withdrawal()).reason is WithdrawalReason.OTHER


async def test_a_lost_answer_to_the_activation_is_asked_for_again_with_the_same_code_and_key(
    service: FakeService,
) -> None:
    service.lose_next.add("activation")
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK) as phone:
        assert service.happenings.all("activation") == [phone.device_id] * 2


async def test_a_used_code_and_a_text_that_is_no_activation_address_are_refused_plainly(service: FakeService) -> None:
    uri = service.activation_uri()
    async with Phone.activate(uri, setup=POLLING):
        with pytest.raises(RefusedError) as refusal:
            await Phone.activate(uri)
    assert refusal.value.code == "invalid_activation_code"
    for text in ("", "hello", "https://mfa.example/activate", "ftp://x/activate#code=1", "https://x/other#code=1"):
        with pytest.raises(ActivationUriError):
            await Phone.activate(text)


async def test_after_a_restart_the_phone_comes_back_and_shows_what_is_pending_only_once(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK) as phone:
        first = await service.ask()
        assert (await phone.next_challenge()).id == first
        await service.hang_up(1012)
        await service.happenings.wait_for("ready", times=2)
        second = await service.ask()
        assert (await phone.next_challenge()).id == second


async def test_an_answer_whose_reply_is_lost_in_a_restart_gets_its_reply_on_the_next_socket(
    service: FakeService,
) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK) as phone:
        await service.ask("42")
        service.lose_next.add("outcome")
        assert await phone.verify(await phone.next_challenge(), "42") is Outcome.COMPLETED
        first, second = service.happenings.all("answer")
        assert first == second


async def test_a_prompt_that_ended_while_the_phone_was_away_is_taken_back_on_return(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        asked = await service.ask()
        assert (await phone.next_challenge()).id == asked
        await phone.disconnect()
        service.challenges[asked].state = "withdrawn"
        await phone.connect()
        withdrawn = await phone.next_withdrawal()
        assert (withdrawn.challenge_id, withdrawn.reason) == (asked, WithdrawalReason.ENDED_WHILE_AWAY)


async def test_a_full_house_is_tried_again_until_it_has_room(service: FakeService) -> None:
    service.full_house = 3
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK) as phone:
        assert len(service.happenings.all("turned away")) == 3
        assert service.happenings.all("ready") == [phone.device_id]


async def test_whoever_waits_for_a_phone_that_is_switched_off_is_told(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK) as phone:
        await service.ask("42")
        challenge = await phone.next_challenge()
        service.full_house = 1_000_000
        phone.drop()
        answering, waiting = (
            asyncio.create_task(phone.verify(challenge, "42")),
            asyncio.create_task(phone.next_challenge()),
        )
        await service.happenings.wait_for("turned away")
        await phone.disconnect()
        for task in (answering, waiting):
            with pytest.raises(LineClosedError):
                await task
        with pytest.raises(LineClosedError):
            await phone.verify(challenge, "42")


async def test_a_silent_service_is_left_after_twice_its_heartbeat(service: FakeService) -> None:
    service.heartbeat = 0.0
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK):
        await service.happenings.wait_for("ready", times=3)


async def test_pings_keep_the_socket(service: FakeService) -> None:
    service.heartbeat = 0.2
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK) as phone:
        silent_for_longer = asyncio.create_task(phone.next_challenge())
        done, _ = await asyncio.wait({silent_for_longer}, timeout=1.5)
        assert not done
        await service.ask()
        await silent_for_longer
    assert service.happenings.all("ready") == [phone.device_id]


async def test_the_older_of_two_sockets_of_one_phone_stops_and_says_so(service: FakeService, tmp_path: Path) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as older:
        older.save(tmp_path / "phone.json")
        async with Phone.load(tmp_path / "phone.json") as newer:
            with pytest.raises(LineReplacedError):
                await older.next_challenge()
            with pytest.raises(LineClosedError):
                await older.next_withdrawal()
            await service.ask()
            await newer.deny(await newer.next_challenge())


async def test_a_removed_phone_is_hung_up_and_does_not_come_back(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=QUICK) as phone:
        async with Phone(phone.identity, setup=POLLING) as other_hand:
            await other_hand.remove()
        with pytest.raises(NotAuthenticatedError):
            await phone.next_challenge()
        with pytest.raises(UnknownDeviceError):
            await phone.device()
    assert service.happenings.all("ready") == [phone.device_id]


async def test_a_saved_phone_is_the_same_phone_and_keeps_its_key_to_its_owner(
    service: FakeService, tmp_path: Path
) -> None:
    kept = tmp_path / "phone.json"
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=POLLING) as phone:
        await phone.rename("Renamed")
        phone.save(kept)
    assert kept.stat().st_mode & 0o077 == 0
    async with asyncio.timeout(20), Phone.load(kept) as again:
        assert (again.device_id, (await again.device()).name) == (phone.device_id, "Renamed")
        await service.ask("42")
        assert await again.verify(await again.next_challenge(), "42") is Outcome.COMPLETED


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-31_536_000.0, -600.0, 61.0, 600.0, 31_536_000.0])
async def test_a_phone_with_a_wrong_clock_learns_the_time_and_works(service: FakeService, skew: float) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), clock_skew=skew) as phone:
        await service.ask("42")
        assert await phone.verify(await phone.next_challenge(), "42") is Outcome.COMPLETED
        assert phone.code() in {phone.code(at=service.now() + step) for step in (-30, 0, 30)}


async def test_a_clock_that_jumps_later_is_corrected_over_http_after_the_socket_refused_it(
    service: FakeService, tmp_path: Path
) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri(), setup=POLLING) as phone:
        phone.save(tmp_path / "phone.json")
    async with asyncio.timeout(20), Phone.load(tmp_path / "phone.json", clock_skew=900, setup=QUICK) as late:
        await service.ask("42")
        assert await late.verify(await late.next_challenge(), "42") is Outcome.COMPLETED
    assert len(service.happenings.all("refused")) == 1


async def test_a_phone_that_will_not_learn_the_time_gets_nowhere(service: FakeService) -> None:
    with pytest.raises(InvalidProofError):
        await Phone.activate(service.activation_uri(), clock_skew=600, setup=Setup(clock=StubbornClock))


# --- what is shown ----------------------------------------------------------------------------------------------------


async def test_a_new_key_of_the_service_is_fetched_once_when_a_context_names_it(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        service.rotate_keys()
        for _ in range(2):
            await service.ask()
            await phone.deny(await phone.next_challenge())
    assert len(service.happenings.all("jwks")) == 1


def _other_application(asked: dict[str, Any]) -> None:
    asked["application"] = "Contoso Bank"


def _other_place(asked: dict[str, Any]) -> None:
    asked["location"] = None


def _cut_signature(asked: dict[str, Any]) -> None:
    asked["context"] = asked["context"].rpartition(".")[0] + "."


def _other_type(asked: dict[str, Any]) -> None:
    _, payload, signature = asked["context"].split(".")
    asked["context"] = f"eyJhbGciOiJFUzI1NiJ9.{payload}.{signature}"


@pytest.mark.parametrize("tamper", [_other_application, _other_place, _cut_signature, _other_type])
async def test_what_the_service_did_not_sign_is_not_shown_and_not_acknowledged(
    service: FakeService, tamper: Callable[[dict[str, Any]], None]
) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        service.tamper = tamper
        await service.ask()
        with pytest.raises(UntrustedPromptError):
            await phone.next_challenge()
        with pytest.raises(UntrustedPromptError):
            await phone.poll()
        service.tamper = lambda _: None
        honest = await service.ask()
        assert (await phone.next_challenge()).id == honest
        assert await service.happenings.wait_for("received") == [honest]


# --- forged answers ---------------------------------------------------------------------------------------------------


async def test_forged_answers_are_refused_and_the_true_one_still_counts(service: FakeService) -> None:
    async with asyncio.timeout(20), Phone.activate(service.activation_uri()) as phone:
        await service.ask("42")
        challenge = await phone.next_challenge()
        claims = phone.claims(challenge, Decision.VERIFY, "42")
        forged = [
            sign_answer(claims, Unsigned(), phone.device_id),
            sign_answer(claims, SharedSecret(b"public"), phone.device_id),
            sign_answer(claims, DerSignature(phone.key), phone.device_id),
            sign_answer(claims, DeviceKey.generate(), phone.device_id),
            sign_answer(claims, phone.key, "dev_other"),
            sign_answer(msgspec.structs.replace(claims, nonce="old"), phone.key, phone.device_id),
            sign_answer(msgspec.structs.replace(claims, ctx="other"), phone.key, phone.device_id),
            phone.api.proof("POST", "/v1/devices"),
        ]
        for answer in forged:
            with pytest.raises(RefusedError) as refusal:
                await phone.send(challenge.id, answer)
            assert refusal.value.code == "invalid_answer"
        assert await phone.verify(challenge, "42") is Outcome.COMPLETED


async def test_a_proof_counts_once(service: FakeService) -> None:
    async with Phone.activate(service.activation_uri(), setup=POLLING) as phone:
        proof = f"Proof {phone.api.proof('GET', '/v1/device')}"
        await phone.api.send("GET", "/v1/device", authorization=proof)
        with pytest.raises(InvalidProofError):
            await phone.api.send("GET", "/v1/device", authorization=proof)
