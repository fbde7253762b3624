"""The doctor buys a token and has a message looked at, at the stub's Firebase: right, and broken in each way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port

from mobile_stub.firebase_faults import Endpoint, Fault, FaultKind
from mobile_stub.world import World, world
from push_service.delivery.firebase import credentials
from push_service.doctor.check import Finding, Verdict
from tests.doctor.conftest import Examine
from tests.support.waking import firebase_settings

pytestmark = pytest.mark.usefixtures("data")


@pytest.fixture
async def google() -> AsyncIterator[World]:
    async with world() as running:
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr(credentials, "PURCHASE_SECONDS", 0.5)


async def looked(examine: Examine, google: World, **more: str) -> dict[str, Finding]:
    found = await examine(**firebase_settings(google) | more)
    return {name: each for name, each in found.items() if name.startswith("firebase.")}


async def test_where_all_is_well_nothing_is_sent(examine: Examine, google: World) -> None:
    found = await looked(examine, google)
    assert {name: each.sentence for name, each in found.items() if each.verdict is not Verdict.OK} == {}
    assert set(found) == {"firebase.credentials", "firebase.token", "firebase.reachable"}
    assert google.url in found["firebase.reachable"].sentence
    assert [each.message.notification for each in google.firebase.received] == [None]


async def test_without_credentials_there_is_nothing_to_ask(examine: Examine) -> None:
    found = await examine()
    assert {name for name in found if name.startswith("firebase.")} == {"firebase.credentials"}


async def test_credentials_that_google_does_not_take(examine: Examine, google: World) -> None:
    google.firebase.faults.add(Fault(kind=FaultKind.INVALID_ARGUMENT, endpoint=Endpoint.TOKEN))
    found = await looked(examine, google)
    assert (found["firebase.token"].verdict, "invalid_grant" in found["firebase.token"].sentence) == (
        Verdict.FAULT,
        True,
    )
    assert found["firebase.reachable"].remedy == "See firebase.token."


@pytest.mark.usefixtures("quick")
async def test_a_token_endpoint_that_hangs_is_not_waited_for(examine: Examine, google: World) -> None:
    google.firebase.faults.add(Fault(kind=FaultKind.SILENT, endpoint=Endpoint.TOKEN))
    found = await looked(examine, google)
    assert found["firebase.token"].verdict is Verdict.FAULT


async def test_a_token_that_comes_too_late_for_a_wake(examine: Examine, google: World) -> None:
    google.firebase.faults.add(Fault(kind=FaultKind.LATE, endpoint=Endpoint.TOKEN, late=0.5, times=1))
    found = await looked(examine, google, FIREBASE__TIMEOUT_SECONDS="0.3")
    assert (found["firebase.token"].verdict, "longer than" in found["firebase.token"].sentence) == (
        Verdict.WARNING,
        True,
    )


@pytest.mark.parametrize(
    ("kind", "verdict", "code"),
    [
        (FaultKind.THIRD_PARTY_AUTH_ERROR, Verdict.FAULT, "third_party_auth_error"),
        (FaultKind.UNAVAILABLE, Verdict.WARNING, "unavailable"),
        (FaultKind.BAD_GATEWAY, Verdict.WARNING, "unavailable"),
        (FaultKind.QUOTA_EXCEEDED, Verdict.WARNING, "quota_exceeded"),
        (FaultKind.INVALID_ARGUMENT, Verdict.OK, "takes messages"),
    ],
)
async def test_what_firebase_answers_is_told(
    examine: Examine, google: World, kind: FaultKind, verdict: Verdict, code: str
) -> None:
    google.firebase.faults.add(Fault(kind=kind))
    found = (await looked(examine, google))["firebase.reachable"]
    assert (found.verdict, code in found.sentence) == (verdict, True)


async def test_a_base_url_that_nobody_answers_and_one_that_hangs(examine: Examine, google: World) -> None:
    away = await looked(examine, google, FIREBASE__BASE_URL=f"http://127.0.0.1:{unused_port()}")
    assert (away["firebase.token"].verdict, away["firebase.reachable"].verdict) == (Verdict.OK, Verdict.FAULT)
    google.firebase.faults.add(Fault(kind=FaultKind.SILENT))
    hangs = await looked(examine, google, FIREBASE__TIMEOUT_SECONDS="0.5")
    assert "does not answer: no answer in time" in hangs["firebase.reachable"].sentence


async def test_a_file_that_is_no_account_is_told_once(tmp_path: Path, examine: Examine) -> None:
    file = tmp_path / "firebase.json"
    file.write_text("{}")
    file.chmod(0o600)
    found = await examine(FIREBASE__CREDENTIALS=str(file))
    assert found["firebase.credentials"].verdict is Verdict.FAULT
    assert found["firebase.token"].remedy == found["firebase.reachable"].remedy == "See firebase.credentials."
