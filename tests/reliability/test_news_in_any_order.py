"""R-12: a provider's news that come twice, disordered, too early, too late, forged, or to another process.

The news are told by hand, signed by the provider's own library, to two processes on one store.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from mobile_stub.carrier_faults import Fault, FaultKind
from mobile_stub.carrier_twiml import Gather, Hangup, read
from push_service.model.challenge import MethodKind
from tests.security.support import audit, dump
from tests.support.browser import SignIn
from tests.support.calling import PATIENCE_SECONDS, Asked, Line, line
from tests.support.waking import until_delivery

Form = dict[str, str]

pytestmark = [pytest.mark.asyncio(loop_scope="module")]
KEYS = "?round=1"
ALERT = "fraud.reported"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    async with line(tmp_path_factory.mktemp("news"), processes=2, POLICY__SEND_AGAIN_SECONDS="0") as opened:
        yield opened


def orders(tidy: Sequence[str]) -> list[tuple[str, ...]]:
    """Every order of the tidy sequence with all but the first of it twice; the tidy one first."""
    return [tuple(tidy), *sorted(set(itertools.permutations((*tidy, *tidy[1:]))))]


def recorded(calls: Line, asked: Asked) -> list[tuple[str, str | None]]:
    """What stands in the audit of the sign-in."""
    return [(each.kind, each.code) for each in audit(calls.desk, asked.user) if each.sign_in_id == asked.sign_in.id]


@pytest.mark.reliability("R-12")
@pytest.mark.security("S-45")
@pytest.mark.parametrize(
    "tidy", [("queued", "sent", "delivered"), ("sent", "undelivered"), ("sent", "failed")], ids=lambda tidy: tidy[-1]
)
async def test_news_of_a_text_leave_the_same_in_any_order_and_number(calls: Line, tidy: tuple[str, ...]) -> None:
    left = []
    for order in orders(tidy):
        asked = await calls.ask(MethodKind.TEXT_MOBILE, silent=True)
        sid = await asked.reached()
        for n, status in enumerate(order):
            more = {"ErrorCode": "30003"} if status in {"undelivered", "failed"} else {}
            said = await calls.tell(asked, "status", {"MessageSid": sid, "MessageStatus": status, **more}, at=n)
            assert said == (204, "")
        left.append((*await asked.stands(), *recorded(calls, asked)))
    assert left == left[:1] * len(left)
    delivered = ("pending", None, "delivered", None)
    failed = ("failed", "delivery_failed", "failed", "30003")
    assert left[0][2:6] == (delivered if tidy[-1] == "delivered" else failed)


@pytest.mark.reliability("R-12")
@pytest.mark.security("S-45")
async def test_news_of_a_call_that_overtake_one_another_leave_what_the_tidy_sequence_leaves(calls: Line) -> None:
    tidy = ("voice", "keys", "status")

    async def told(order: Sequence[str], *, at_once: bool) -> tuple[object, ...]:
        asked = await calls.ask(MethodKind.CALL_MOBILE, silent=True)
        sid = await asked.reached()
        fields = {"voice": {}, "keys": {"Digits": "#"}, "status": {"CallStatus": "completed"}}
        telling = [
            calls.tell(asked, what, {"CallSid": sid, "CallStatus": "in-progress", **fields[what]}, at=n)
            for n, what in enumerate(order)
        ]
        answers = await asyncio.gather(*telling) if at_once else [await each for each in telling]
        assert {status for status, _ in answers} <= {200, 204}
        return (*await asked.stands(), *recorded(calls, asked))

    wanted = await told(tidy, at_once=False)
    assert wanted[:5] == ("approved", None, "completed", None, "delivered")
    left = await asyncio.gather(*(told(order, at_once=True) for order in orders(tidy)))
    assert left == [wanted] * len(left)


@pytest.mark.reliability("R-12")
async def test_fifty_times_the_same_at_once_is_one_outcome(calls: Line) -> None:
    asked = await calls.ask(MethodKind.CALL_MOBILE, silent=True)
    fields = {"CallSid": await asked.reached(), "CallStatus": "in-progress", "Digits": "#"}
    answers = await asyncio.gather(*(calls.tell(asked, "keys", fields, query=KEYS, at=n) for n in range(50)))
    assert {status for status, _ in answers} == {200}
    assert sum("You are verified" in said for _, said in answers) == 1
    assert await asked.outcome() == ("approved", None)
    assert [each for each, _ in recorded(calls, asked)].count("sign_in.outcome") == 1


@pytest.mark.reliability("R-12")
@pytest.mark.security("S-45")
async def test_a_call_is_answered_before_the_request_that_placed_it(calls: Line) -> None:
    asked = await calls.ask(MethodKind.CALL_MOBILE, fault=Fault(kind=FaultKind.SENT_IN_SILENCE))
    call = await asked.rings()
    call.answer()
    await call.asks()
    call.press("#")
    assert await asked.outcome() == ("approved", None)
    assert asked.challenge["id"] not in "".join(each.log for each in calls.processes), "its request has ended before"
    await until_delivery(asked.sign_in, "delivered")


@pytest.mark.reliability("R-12")
@pytest.mark.security("S-45")
@pytest.mark.parametrize("end", ["approved", "withdrawn", "replaced"])
async def test_news_of_what_is_over_are_taken_and_change_nothing(calls: Line, end: str) -> None:
    asked = await calls.ask(MethodKind.CALL_MOBILE, silent=True)
    former, sid = asked.challenge["id"], await asked.reached()
    pressed = {"CallSid": sid, "CallStatus": "in-progress", "Digits": "#"}
    if end == "approved":
        await calls.tell(asked, "keys", pressed, query=KEYS)
    elif end == "withdrawn":
        assert (await asked.sign_in.cancel()).status == 200
    else:
        assert (await asked.sign_in.choose(asked.challenge["method_id"], former)).status == 201
        await asked.reached()
        await until_delivery(await _looked(asked.sign_in), "sent")
    before, version = dump(calls.desk, asked.user), (await asked.sign_in.look())["version"]
    for n, (what, fields) in enumerate(
        [
            ("voice", {"CallStatus": "in-progress"}),
            ("keys", {"Digits": "#"}),
            ("keys", {"Digits": ""}),
            *(("status", {"CallStatus": each}) for each in ("completed", "busy", "failed", "no-answer", "canceled")),
        ]
    ):
        status, said = await calls.tell(former, what, {**pressed, **fields}, query=KEYS if what == "keys" else "", at=n)
        assert (status, "Gather" in said) == (200 if said else 204, False)
    assert (dump(calls.desk, asked.user), (await asked.sign_in.look())["version"]) == (before, version)


@pytest.mark.reliability("R-12")
@pytest.mark.security("S-16", "S-45")
async def test_a_report_that_comes_too_late_is_heard_once_and_changes_no_outcome(calls: Line) -> None:
    asked = await calls.ask(MethodKind.CALL_MOBILE, silent=True)
    pressed = {"CallSid": await asked.reached(), "CallStatus": "in-progress"}
    await calls.tell(asked, "keys", {**pressed, "Digits": "#"}, query=KEYS)
    assert await asked.outcome() == ("approved", None)
    for n in range(3):
        status, said = await calls.tell(asked, "keys", {**pressed, "Digits": "0#"}, query=KEYS, at=n)
        assert (status, "your report was taken down" in said) == (200, n == 0)
    assert [kind for kind, _ in recorded(calls, asked)].count(ALERT) == 1
    after = await asked.sign_in.look()
    assert (after["state"], after["result"]) == ("approved", None)


async def _looked(sign_in: SignIn) -> SignIn:
    await sign_in.look()
    return sign_in


@pytest.mark.reliability("R-12")
@pytest.mark.security("S-45")
async def test_forged_news_change_nothing_but_the_record_of_them(calls: Line) -> None:
    asked = await calls.ask(MethodKind.CALL_MOBILE, silent=True)
    sid = await asked.reached()
    await until_delivery(asked.sign_in, "sent")
    before, version = dump(calls.desk, asked.user), asked.sign_in.body["version"]
    for n, (what, fields) in enumerate(
        [
            ("voice", {"CallStatus": "in-progress"}),
            ("keys", {"Digits": "#"}),
            ("keys", {"Digits": "0#"}),
            ("status", {"CallStatus": "busy"}),
        ]
    ):
        assert (await calls.tell(asked, what, {"CallSid": sid, **fields}, token="another account's", at=n))[0] == 403
    assert (dump(calls.desk, asked.user), (await asked.sign_in.look())["version"]) == (before, version)
    await calls.tell(asked, "keys", {"CallSid": sid, "Digits": "#"}, query=KEYS, at=1)
    assert await asked.outcome() == ("approved", None)


@pytest.mark.security("S-45")
async def test_another_calls_id_answers_nothing(calls: Line) -> None:
    one, other = await calls.ask(MethodKind.CALL_MOBILE, silent=True), await calls.ask(MethodKind.CALL_MOBILE)
    await one.reached()
    foreign = await other.reached()
    await until_delivery(one.sign_in, "sent")
    version = (await one.sign_in.look())["version"]
    for fields in ({"Digits": "#"}, {"Digits": "0#"}):
        _, said = await calls.tell(one, "keys", {"CallSid": foreign, **fields}, query=KEYS)
        assert "There is no sign-in to verify any more" in said
    assert await calls.tell(one, "status", {"CallSid": foreign, "CallStatus": "busy"}) == (204, "")
    assert (await one.sign_in.look())["version"] == version


@pytest.mark.security("S-46")
async def test_a_hash_in_an_earlier_call_that_was_held_does_not_answer_the_later_one(calls: Line) -> None:
    asked = await calls.ask(MethodKind.CALL_MOBILE)
    held = await asked.rings()
    held.answer()
    await held.asks()
    reply = await asked.sign_in.choose(asked.challenge["method_id"], asked.challenge["id"])
    assert reply.status == 201
    later = await asked.rings()
    held.press("#")
    await held.over()
    assert "You are verified" not in held.said[-1], "it was hung up, or told that nobody waits for it"
    assert (await asked.sign_in.look())["state"] == "pending"
    later.answer()
    await later.asks()
    later.press("#")
    assert await asked.outcome() == ("approved", None)


@pytest.mark.security("S-16")
async def test_a_report_by_phone_at_the_same_time_as_the_approval_leaves_one_outcome(calls: Line) -> None:
    for turn in range(6):
        asked = await calls.ask(MethodKind.CALL_MOBILE, silent=True)
        sid = await asked.reached()
        both = ("#", "0#") if turn % 2 else ("0#", "#")
        await asyncio.gather(
            *(
                calls.tell(asked, "keys", {"CallSid": sid, "Digits": keys}, query=KEYS, at=n)
                for n, keys in enumerate(both)
            )
        )
        outcome = await asked.outcome()
        assert outcome in {("approved", None), ("denied", "fraud_reported")}
        kinds = [kind for kind, _ in recorded(calls, asked)]
        assert kinds.count("sign_in.outcome") == 1
        assert kinds.count(ALERT) == 1, "heard, too late or not"


@pytest.mark.security("S-16")
async def test_a_stranger_at_a_shared_office_phone_reports_and_an_administrator_lifts_what_follows(calls: Line) -> None:
    asked = await calls.ask(MethodKind.CALL_OFFICE, extension="12")
    beside = await calls.browser.begin(asked.user.username)
    call = await asked.rings()
    call.answer()
    await call.asks()
    call.press("0#")
    assert await asked.outcome() == ("denied", "fraud_reported")
    assert ((await beside.look())["state"], beside.body["reason"]) == ("withdrawn", "fraud_reported")
    assert [kind for kind, _ in recorded(calls, asked)].count(ALERT) == 1
    muted = await calls.browser.post_begin(username=asked.user.username)
    assert (muted.status, muted.code) == (429, "too_many_prompts")
    await calls.desk.core.administrator.unblock(asked.user.username)
    assert (await calls.browser.begin(asked.user.username)).body["challenge"]["state"] == "pending"


@pytest.mark.security("S-45", "S-46")
async def test_what_is_said_in_a_call_is_what_the_providers_language_allows(calls: Line) -> None:
    """Parsed by the verbs and attributes that its manual has; an unknown one would be a BadDocument."""
    asked = await calls.ask(MethodKind.CALL_MOBILE, silent=True)
    fields = {"CallSid": await asked.reached(), "CallStatus": "in-progress"}
    public = calls.processes[0].url
    question = (await calls.tell(asked, "voice", fields))[1]
    again = (await calls.tell(asked, "keys", {**fields, "Digits": ""}, query=KEYS))[1]
    zero = (await calls.tell(asked, "keys", {**fields, "Digits": "0"}, query=KEYS))[1]
    for document in (question, again, zero):
        gather, last = read(document, public)
        assert isinstance(gather, Gather)
        assert (gather.finish_on_key, gather.action_on_empty) == ("", True)
        assert gather.action.startswith(f"{public}/v1/telephony/keys/")
        assert isinstance(last, Hangup)
    over = (await calls.tell(asked, "keys", {**fields, "Digits": "0#"}, query=KEYS))[1]
    assert isinstance(read(over, public)[-1], Hangup)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await asked.outcome() == ("denied", "fraud_reported")
