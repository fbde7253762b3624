"""Nobody runs up charges: limits by number, prefix, country and in total, counted in a real store (S-19)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from push_service.crypto.sealing import Sealer
from push_service.delivery.telephony.limits import LimitedTelephony
from push_service.delivery.telephony.settings import SpendLimits
from push_service.delivery.telephony.watch import ALARM_SECONDS, WatchedTelephony
from push_service.model.errors import StoreUnavailable
from push_service.model.message import Via
from push_service.model.policy import Rate
from push_service.model.throttle import Charge
from push_service.ports import Call, SendOutcome, SendReport, Store, Text
from push_service.store.sqlite import SqliteStore
from tests.delivery.telephony.conftest import UNLIMITED, call, text

pytestmark = pytest.mark.security("S-19")
SENT = SendReport(SendOutcome.SENT, "sent", "SM1")
HERE, NEAR, ELSEWHERE, ABROAD = "+441632960001", "+441632960002", "+442079460001", "+33123456789"


class Phone:
    """Says what it is told to, and counts."""

    def __init__(self) -> None:
        self.answer, self.sent, self.hung_up = SENT, 0, list[str]()

    async def text(self, text: Text) -> SendReport:
        del text
        self.sent += 1
        return self.answer

    async def call(self, call: Call) -> SendReport:
        del call
        self.sent += 1
        return self.answer

    async def hang_up(self, provider_id: str) -> None:
        self.hung_up.append(provider_id)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "store.db", Sealer(bytes(32))) as opened:
        yield opened


def limited(store: Store, phone: Phone, **limits: Rate) -> LimitedTelephony:
    chosen = msgspec.structs.replace(UNLIMITED, **{name: (rate,) for name, rate in limits.items()})
    return LimitedTelephony(phone, store, chosen, Sealer(bytes(32)).mac)


@pytest.mark.reliability("R-09")
async def test_what_surely_was_not_sent_uses_nothing_up_and_what_may_have_been_does(store: SqliteStore) -> None:
    phone = Phone()
    telephony = limited(store, phone, number=Rate(1, 3600), total=Rate(1, 3600))
    for outcome in (SendOutcome.TEMPORARY, SendOutcome.TEMPORARY, SendOutcome.UNKNOWN):
        phone.answer = SendReport(outcome, "timeout")
        assert await telephony.text(text(HERE)) == phone.answer
    assert (await telephony.text(text(HERE))).outcome is SendOutcome.QUOTA


@pytest.mark.parametrize(
    ("limit", "counted", "free"),
    [
        ("number", (HERE, HERE), NEAR),
        ("prefix", (HERE, NEAR), ELSEWHERE),
        ("country", (HERE, ELSEWHERE), ABROAD),
    ],
)
async def test_a_limit_counts_what_it_names_and_nothing_else(
    store: SqliteStore, limit: str, counted: tuple[str, str], free: str
) -> None:
    phone = Phone()
    telephony = limited(store, phone, **{limit: Rate(2, 3600)})
    first, second = counted
    assert await telephony.text(text(first)) == SENT
    assert await telephony.call(call(second)) == SENT
    assert await telephony.text(text(first)) == SendReport(SendOutcome.QUOTA, f"{limit}_limit")
    assert await telephony.call(call(second)) == SendReport(SendOutcome.QUOTA, f"{limit}_limit")
    assert await telephony.text(text(free)) == SENT
    assert phone.sent == 3


async def test_an_office_behind_one_number_has_a_limit_for_each_extension(store: SqliteStore) -> None:
    telephony = limited(store, Phone(), number=Rate(1, 3600))
    assert await telephony.call(call(HERE, "407")) == SENT
    assert await telephony.call(call(HERE, "408")) == SENT
    assert (await telephony.call(call(HERE, "407"))).code == "number_limit"


async def test_the_total_is_for_all_processes_together_and_what_was_refused_costs_nothing(store: SqliteStore) -> None:
    phones = (Phone(), Phone())
    one, other = (limited(store, phone, total=Rate(2, 3600), number=Rate(1, 3600)) for phone in phones)
    assert await one.text(text(HERE)) == SENT
    for _ in range(5):
        assert await one.text(text(HERE)) == SendReport(SendOutcome.QUOTA, "number_limit")
    assert await other.text(text(ABROAD)) == SENT
    assert await one.text(text(ELSEWHERE)) == SendReport(SendOutcome.QUOTA, "total_limit")
    assert await other.text(text(ELSEWHERE)) == SendReport(SendOutcome.QUOTA, "total_limit")


async def test_every_rate_of_a_limit_holds(store: SqliteStore) -> None:
    phone = Phone()
    limits = msgspec.structs.replace(UNLIMITED, number=(Rate(5, 60), Rate(1, 86400)))
    telephony = LimitedTelephony(phone, store, limits, Sealer(bytes(32)).mac)
    assert await telephony.text(text()) == SENT
    assert (await telephony.text(text())).code == "number_limit"


async def test_numbers_of_the_same_calling_code_belong_to_their_own_countries(store: SqliteStore) -> None:
    telephony = limited(store, Phone(), country=Rate(1, 3600))
    assert await telephony.text(text("+12125550100")) == SENT
    assert await telephony.text(text("+18765550100")) == SENT  # Jamaica
    assert (await telephony.text(text("+13105550100"))).code == "country_limit"
    assert await telephony.text(text("+8835100000001")) == SENT  # of no country


async def test_where_nothing_can_be_counted_nothing_is_sent() -> None:
    class Away:
        def __init__(self, *, times: int) -> None:
            self.times = times

        async def debit(self, charges: list[Charge]) -> None:
            del charges
            raise StoreUnavailable

    phone = Phone()
    telephony = LimitedTelephony(phone, Away(times=1), UNLIMITED, Sealer(bytes(32)).mac)  # type: ignore[arg-type]
    assert await telephony.text(text()) == SendReport(SendOutcome.TEMPORARY, "store_unavailable")
    assert phone.sent == 0


async def test_hanging_up_is_never_held_back(store: SqliteStore) -> None:
    phone = Phone()
    watched = WatchedTelephony(limited(store, phone, total=Rate(1, 3600)), lambda *_: None)
    await watched.text(text())
    await watched.hang_up("CA1")
    assert phone.hung_up == ["CA1"]


@pytest.mark.parametrize(
    ("report", "alarm"),
    [
        (SENT, None),
        (SendReport(SendOutcome.DEAD_NUMBER, "21211"), None),
        (SendReport(SendOutcome.QUOTA, "number_limit"), None),
        (SendReport(SendOutcome.UNKNOWN, "timeout"), None),
        (SendReport(SendOutcome.QUOTA, "prefix_limit"), "prefix_limit"),
        (SendReport(SendOutcome.QUOTA, "country_limit"), "country_limit"),
        (SendReport(SendOutcome.QUOTA, "total_limit"), "total_limit"),
        (SendReport(SendOutcome.QUOTA, "20429"), "20429"),
        (SendReport(SendOutcome.REFUSED, "20003"), "20003"),
    ],
)
async def test_what_an_operator_has_to_look_at_is_an_alarm_for_a_while(report: SendReport, alarm: str | None) -> None:
    heard: list[tuple[Via, SendReport]] = []
    phone = Phone()
    watched = WatchedTelephony(phone, lambda via, each, _: heard.append((via, each)))
    phone.answer = report
    await watched.text(text())
    await watched.call(call())
    assert heard == [(Via.TEXT, report), (Via.CALL, report)]
    said = watched.alarm(watched._alarm_at + 1.0)
    assert (alarm in said) if said is not None and alarm is not None else (said, alarm) == (None, None)
    assert watched.alarm(watched._alarm_at + ALARM_SECONDS + 1.0) is None


def test_limits_are_whole() -> None:
    assert {field.name for field in msgspec.structs.fields(SpendLimits)} == {"number", "prefix", "country", "total"}
