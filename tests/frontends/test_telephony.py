"""The provider's news over HTTP: who may bring them, and that nothing else changes anything (S-45)."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
import pytest_asyncio
from twilio.request_validator import RequestValidator

from mobile_stub.carrier_twiml import Gather, Hangup, Say, Verb, read
from push_service.delivery.telephony.gateway import signing
from push_service.frontends.telephony import FORGED_PER_ADDRESS
from push_service.model.ids import challenge_id
from tests.support.service import Service

TOKEN = "the account's token"
TWILIO = {"TELEPHONY__ACCOUNT_SID": "AC1", "TELEPHONY__AUTH_TOKEN": TOKEN, "TELEPHONY__FROM": "+15005550006"}
PUBLIC = "https://id.example.org"
FORM = "application/x-www-form-urlencoded"
_sources = itertools.count(1)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.security("S-45")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A server whose public address is another than the one that it listens on."""
    folder = tmp_path_factory.mktemp("webhooks")
    service = Service(folder, PUBLIC_URL=PUBLIC, TRUSTED_PROXIES="127.0.0.0/8", **TWILIO)
    await service.start()
    yield service
    assert await service.stop() == 0


def fields(**more: str) -> dict[str, str]:
    return {"CallSid": "CA1", "CallStatus": "in-progress", "AccountSid": "AC1", "Digits": "#", **more}


class Provider:
    """Posts forms, signed for the public address."""

    def __init__(self, service: Service, session: aiohttp.ClientSession) -> None:
        self.service, self.session = service, session
        self.source = f"198.51.100.{next(_sources)}"

    async def post(
        self,
        path: str,
        form: Mapping[str, str] | None = None,
        *,
        signed_for: str | None = None,
        signed: Mapping[str, str] | None = None,
        token: str = TOKEN,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Post; `signed_for` and `signed` are what the signature is over, where that is not what is posted."""
        form = fields() if form is None else form
        signature = RequestValidator(token).compute_signature(
            signed_for or PUBLIC + path, dict(form if signed is None else signed)
        )
        given = {"X-Twilio-Signature": signature, "Content-Type": FORM, "X-Forwarded-For": self.source}
        async with self.session.post(
            path,
            data=urlencode(form).encode() if body is None else body,
            headers=given | dict(headers or {}),
        ) as answer:
            return answer.status, await answer.text()

    def recorded(self) -> int:
        """How many forgeries of this source were recorded."""
        return sum('"webhook.refused"' in line and self.source in line for line in self.service.log.splitlines())


@pytest_asyncio.fixture(loop_scope="module")
async def provider(behind_a_proxy: Service) -> AsyncIterator[Provider]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{behind_a_proxy.port}") as session:
        yield Provider(behind_a_proxy, session)


def path(kind: str = "keys", query: str = "?round=1") -> str:
    return f"/v1/telephony/{kind}/{challenge_id()}{query}"


async def test_genuine_news_of_what_nobody_knows_are_taken_and_nothing_follows(provider: Provider) -> None:
    for _ in range(2):
        assert said(await provider.post(path("voice", ""))) == ["There is no sign-in to verify any more. Goodbye."]
        assert said(await provider.post(path())) == ["There is no sign-in to verify any more. Goodbye."]
        assert await provider.post(path("status", "")) == (204, "")
        assert await provider.post(path("status", ""), fields(CallStatus="teleported")) == (204, "")
    assert provider.recorded() == 0


def said(answer: tuple[int, str]) -> list[str]:
    assert answer[0] == 200, answer
    return [verb.text for verb in verbs(answer) if isinstance(verb, Say)]


def verbs(answer: tuple[int, str]) -> tuple[Verb, ...]:
    return read(answer[1], PUBLIC)


async def test_unknown_and_repeated_parameters_do_not_break_the_checking(provider: Provider) -> None:
    assert (await provider.post(path(), fields(FinishedOnKey="", Brand_New="é ü&=", Empty="")))[0] == 200
    twice = urlencode(fields()).encode() + b"&Digits=%23"
    assert (await provider.post(path(), body=twice))[0] == 200  # as the provider counts each value once


async def test_the_scheme_s_own_port_may_be_written_out(provider: Provider) -> None:
    here = path()
    assert (await provider.post(here, signed_for=f"{PUBLIC}:443{here}"))[0] == 200


@pytest.mark.parametrize(
    "address",
    ["http://id.example.org", "https://id.example.org:8443", "https://evil.example", "http://127.0.0.1", ""],
)
async def test_a_signature_for_another_address_is_forged(provider: Provider, address: str) -> None:
    here = path()
    assert (await provider.post(here, signed_for=(address or PUBLIC) + (here if address else path())))[0] == 403
    assert provider.recorded() == 1


async def test_forged_news_are_refused_recorded_once_each_and_the_answer_says_nothing_more(
    provider: Provider,
) -> None:
    forgeries = (
        await provider.post(path(), token="another account's"),
        await provider.post(path(), signed=fields(Digits="")),
        await provider.post(path(), fields(Extra="1"), signed=fields()),
        await provider.post(path(query="?round=2"), signed_for=PUBLIC + path(query="?round=1")),
        await provider.post(path(), headers={"X-Twilio-Signature": ""}),
        await provider.post(path(), headers={"X-Twilio-Signature": "é" * 20}),
        await provider.post(path(), body=b"\xff\xfe=1"),
        await provider.post(path(), body=b'{"Digits":"#"}', headers={"Content-Type": "application/json"}),
        await provider.post(path("voice", ""), token="x"),
        await provider.post(path("status", ""), token="x"),
    )
    assert {status for status, _ in forgeries} == {403}
    assert all('"invalid_signature"' in text for _, text in forgeries)
    assert provider.recorded() == len(forgeries)


async def test_who_forges_on_and_on_is_told_to_wait_and_genuine_news_from_there_are_still_taken(
    provider: Provider,
) -> None:
    statuses = [(await provider.post(path(), token="x"))[0] for _ in range(FORGED_PER_ADDRESS.count + 3)]
    assert (statuses[0], statuses[-1]) == (403, 429)
    assert provider.recorded() <= FORGED_PER_ADDRESS.count + 1
    assert (await provider.post(path()))[0] == 200


async def test_a_body_that_is_too_large_or_compressed_is_not_read(provider: Provider) -> None:
    assert (await provider.post(path(), body=b"a=" + b"x" * 70_000))[0] == 413
    assert (await provider.post(path(), headers={"Content-Encoding": "gzip"}))[0] == 415


async def test_zero_alone_is_followed_by_the_rest_of_a_report_however_late(provider: Provider) -> None:
    gather, _ = verbs(await provider.post(path(query="?round=1"), fields(Digits="0")))
    assert isinstance(gather, Gather)
    assert (gather.num_digits, "zero=1" in gather.action) == (1, True)
    gather, _ = verbs(await provider.post(gather.action.removeprefix(PUBLIC), fields(Digits="0")))
    assert isinstance(gather, Gather)
    assert "zero=1" in gather.action


async def test_a_machine_hears_nothing_where_nobody_waits(provider: Provider) -> None:
    for by in ("machine_start", "machine_end_beep", "fax"):
        assert verbs(await provider.post(path("voice", ""), fields(AnsweredBy=by))) == (Hangup(),)
    assert said(await provider.post(path("voice", ""), fields(AnsweredBy="human")))


async def test_where_no_provider_is_set_up_nobody_can_have_signed(tmp_path: Path) -> None:
    service = Service(tmp_path)
    await service.start()
    try:
        async with service.session() as session:
            assert (await Provider(service, session).post(path(), token=""))[0] == 403
        assert "webhook.refused" not in service.log
    finally:
        assert await service.stop() == 0


async def test_a_gateway_signs_in_its_own_way(tmp_path: Path) -> None:
    service = Service(
        tmp_path,
        TELEPHONY__PROVIDER="webhook",
        TELEPHONY__AUTH_TOKEN=TOKEN,
        TELEPHONY__BASE_URL="http://localhost:9/send",
        TELEPHONY__LANGUAGE="de",
    )
    await service.start()
    try:
        async with service.session() as session:
            provider, here, body = Provider(service, session), path(), urlencode(fields()).encode()
            headers = signing.signed(TOKEN, int(time.time()), service.url + here, body)
            assert said(await provider.post(here, body=body, headers=headers)) == [
                "Es ist keine Anmeldung mehr zu bestätigen. Auf Wiederhören."
            ]
            old = signing.signed(TOKEN, int(time.time()) - 3600, service.url + here, body)
            assert (await provider.post(here, body=body, headers=old))[0] == 403
            assert (await provider.post(here, body=body, signed_for=service.url + here))[0] == 403
    finally:
        assert await service.stop() == 0
