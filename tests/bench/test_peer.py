"""The comparison with privacyIDEA, as far as it goes without it: answers that version 3.14 gave, and our own side.

`recorded/privacyidea.json` holds answers of one enrolment and of a few sign-ins as they came, less the signatures
around them and a picture.
"""

import asyncio
import dataclasses
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from redis.asyncio import Redis
from rich.console import Console
from typer.testing import CliRunner

from bench.__main__ import commands
from bench.backends import postgres, redis
from bench.exchange import ExchangeError, sign_in
from bench.peer.comparison import STEADY_PEOPLE, one_round
from bench.peer.enrolment import Enrolled, server_key
from bench.peer.interface import CHALLENGES, COUNT, YES_OR_NO, Challenge, Peer
from bench.peer.pair import check, peer_pair
from bench.peer.sides import service_side
from bench.peer.tables import OURS, PEERS, PeerResult, Round, Way
from bench.results import Bus
from bench.wire import Address, Response


class Recorded(msgspec.Struct):
    status: int
    body: msgspec.Raw

    @property
    def response(self) -> Response:
        return Response(self.status, bytes(self.body))


RECORDED = msgspec.json.decode(
    (Path(__file__).parent / "recorded" / "privacyidea.json").read_bytes(), type=dict[str, Recorded]
)


def test_the_comparison_can_be_asked_for_with_either_store_and_either_bus() -> None:
    shown = CliRunner().invoke(commands, ["peer", "--help"]).stdout
    for choice in ("sqlite", "postgres", "local", "redis"):
        assert choice in shown


def response(name: str) -> Response:
    return RECORDED[name].response


@pytest.fixture(scope="module")
def person() -> Enrolled:
    enrolled = YES_OR_NO.read(response("enrolled")).detail
    assert enrolled is not None
    key = rsa.generate_private_key(65537, 2048)  # what it signs is judged by nobody here
    return Enrolled("bench-00000", "a PIN", enrolled.serial, key, server_key(enrolled.public_key))


def challenge() -> Challenge:
    [shown] = CHALLENGES.read(response("shown")).result.value or []
    return shown


@pytest.mark.parametrize("name", ["triggered", "begun with the PIN"])
def test_a_begun_sign_in_has_a_transaction(name: str) -> None:
    begun = (COUNT if name == "triggered" else YES_OR_NO).read(response(name)).detail
    assert begun is not None
    assert begun.transaction_id.isdigit()


@pytest.mark.parametrize(
    ("name", "said"),
    [("pending", False), ("answer taken", True), ("answered", True), ("signed in", True), ("wrong PIN", False)],
)
def test_what_came_of_it_is_yes_or_no(name: str, said: bool) -> None:  # noqa: FBT001 - a value of the table
    assert YES_OR_NO.read(response(name)).result.value is said


@pytest.mark.parametrize(
    ("name", "why"), [("unknown user", "400: ERR904: User <nobody@bench>"), ("no session", "401: Authentication")]
)
def test_a_refusal_is_an_error_that_says_why(name: str, why: str) -> None:
    with pytest.raises(ExchangeError, match=why):
        YES_OR_NO.read(response(name))


def test_an_answer_of_another_shape_is_an_error() -> None:
    with pytest.raises(ExchangeError, match=r"result\.value"):
        CHALLENGES.read(response("answered"))


def test_the_phone_believes_what_its_server_signed_and_nothing_else(person: Enrolled) -> None:
    check(person, challenge())
    with pytest.raises(ExchangeError, match="did not sign"):
        check(person, msgspec.structs.replace(challenge(), question="Do you want to pay?"))


class Replay:
    """Gives the recorded answers, each where it belongs in a sign-in."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answered = False
        self._asked_in_vain = asyncio.Event()

    async def ask_in_vain(self) -> None:
        await self._asked_in_vain.wait()

    async def handle(self, incoming: web.Request) -> web.Response:
        form = await incoming.post()
        name = self._name(incoming.method, incoming.path, [str(each) for each in form])
        self.asked.append(name)
        answer = response(name)
        return web.Response(status=answer.status, body=answer.body, headers={"Connection": "close"})

    def _name(self, method: str, path: str, form: list[str]) -> str:
        if path == "/validate/triggerchallenge":
            return "triggered"
        if path == "/validate/check":
            return "signed in" if "transaction_id" in form else "begun with the PIN"
        if path == "/validate/polltransaction":
            if self.answered:
                return "answered"
            if "pending" in self.asked:
                self._asked_in_vain.set()
            return "pending"
        if method == "GET":
            return "shown"
        self.answered = True
        return "answer taken"


@asynccontextmanager
async def replaying() -> AsyncIterator[tuple[Replay, Peer]]:
    replay, application = Replay(), web.Application()
    application.router.add_route("*", "/{path:.*}", replay.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield replay, Peer(Address("127.0.0.1", runner.addresses[0][1]))
    finally:
        await runner.cleanup()


async def test_a_saturating_sign_in_is_five_requests(person: Enrolled) -> None:
    async with replaying() as (replay, peer):
        timing = await sign_in(peer_pair(peer, person, session="admin", poll=None), lambda: asyncio.sleep(0))
    assert replay.asked == ["triggered", "shown", "answer taken", "answered", "signed in"]
    assert timing.answered_at <= timing.acknowledged_at <= timing.told_at
    assert timing.polls == 1


async def test_a_browser_that_polls_goes_on_until_the_phone_has_answered(person: Enrolled) -> None:
    async with replaying() as (replay, peer):
        async with asyncio.timeout(30):
            await sign_in(peer_pair(peer, person, poll=0.001), replay.ask_in_vain)
    assert replay.asked[0] == "begun with the PIN"
    assert replay.asked.count("pending") >= 2
    assert replay.asked[-2:] == ["answered", "signed in"]


async def test_a_challenge_that_was_shown_before_is_not_taken_for_the_new_one(person: Enrolled) -> None:
    async with replaying() as (_, peer):
        pair = peer_pair(peer, person, session="admin", poll=None)
        await sign_in(pair, lambda: asyncio.sleep(0))
        with pytest.raises(ExchangeError, match="0 new challenges"):
            await sign_in(pair, lambda: asyncio.sleep(0))
        pair.close()


def test_the_service_is_measured_and_set_beside_the_other() -> None:
    with service_side(dict.fromkeys(Way, STEADY_PEOPLE), None, Bus.LOCAL, Console(file=io.StringIO())) as side:
        ours = asyncio.run(one_round(side, 0.5))
    measurements = (*ours.saturated.values(), ours.steady)
    for measurement in measurements:
        assert measurement.errors == {}
        assert measurement.server_cpu_ms > 0
        assert measurement.database_cpu_ms == 0
    assert any(measurement.sign_ins for measurement in measurements)
    vouched, password, waiting = result(ours).tables()
    assert vouched.rows[0][0] == "sign-ins a second"
    assert vouched.rows[0][-1] == "2.00"
    assert password.rows[-1] == ("errors", "0", "0", "")
    assert waiting.conclusions == ("versions",)


def result(ours: Round) -> PeerResult:
    """As if this one had signed in ten a second and the other five."""
    rounds = [
        Round(
            contestant=name,
            saturated={way: dataclasses.replace(taken, per_second=rate) for way, taken in ours.saturated.items()},
            steady=ours.steady,
        )
        for name, rate in ((OURS, 10.0), (PEERS, 5.0))
    ]
    people = dict.fromkeys(Way, STEADY_PEOPLE)
    return PeerResult(("versions",), {OURS: people, PEERS: people}, 1.0, rounds)


def test_a_private_database_server_waits_for_the_disk_and_is_gone_afterwards() -> None:
    with postgres(("one", "two")) as database:
        assert asyncio.run(_setting(f"{database.url}/two", "synchronous_commit")) == "on"
        assert asyncio.run(_setting(f"{database.url}/one", "fsync")) == "on"
    with pytest.raises(OSError, match="Connect"):
        asyncio.run(_setting(f"{database.url}/one", "fsync"))


async def _setting(url: str, name: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(f"SHOW {name}"))
    finally:
        await connection.close()


async def test_a_private_bus_answers(tmp_path: Path) -> None:
    with redis(tmp_path) as bus:
        client = Redis.from_url(bus.url)
        assert await client.ping()
        await client.aclose()
