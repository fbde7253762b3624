"""The published document, believed literally: whatever it allows is sent, and only what it promises may come back.

Schemathesis makes the requests, well formed and ill formed. Every request is given what the route asks to be shown:
the application's secret, a sign-in's own token, a settings session, a proof by a device's key for this very request.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation.case import Case
from schemathesis.generation.modes import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from mobile_stub.phone import Phone
from mobile_stub.proofs import Decision
from mobile_stub.surroundings import Reach, Setup
from push_service.model.user import User, UserState
from tests.support.browser import App, SignIn
from tests.support.people import PASSWORD, office
from tests.support.service import Service

AnyCase = Case[Any]
Operation = APIOperation[Any, Any, Any, Any]
WIDE = "100000/1m"
NOT_MEANT = [
    ignored_auth,  # whatever was drawn as credentials is replaced by real ones
    positive_data_acceptance,  # a schema can't say that a name must be visible, or an application the caller's own
]
REFUSED = ["400", "401", "403", "404", "406", "413", "415", "422", "428", "5xx"]
"""How ill-formed requests may be refused; some that are drawn are too large before they are anything else."""
CONFIG = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSED}}})
EXAMPLES = 25
SEED = 20
SOON = 20.0


@dataclass(frozen=True)
class Known:
    """Someone whom the service knows, with everything that they can show."""

    service: Service
    app: App
    user: User
    phone: Phone
    settings_token: str
    former: list[str] = field(default_factory=list)

    def begun(self) -> dict[str, Any]:
        """A sign-in of their own, begun for this request in place of the one before."""
        answer = requests.post(
            f"{self.service.url}/v1/sign-ins",
            json={"username": self.user.username} | ({"replaces": self.former[-1]} if self.former else {}),
            headers={"Authorization": self.basic},
            timeout=SOON,
        )
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        self.former.append(found["browser_token"])
        return found

    @property
    def basic(self) -> str:
        """How the application shows who it is."""
        return "Basic " + base64.b64encode(f"{self.app.client_id}:{self.app.client_secret}".encode()).decode()

    def prove(self, case: AnyCase) -> None:
        """Show whatever the operation asks for, and, mostly, name something that is there."""
        schemes = {name for each in case.operation.definition.raw.get("security", []) for name in each}
        if "application" in schemes:
            case.headers["Authorization"] = self.basic
        elif "browser_token" in schemes:
            begun = self.begun()
            if len(case.path_parameters.get("id", "")) % 4:
                case.path_parameters["id"] = begun["id"]
            case.headers["Authorization"] = f"Bearer {begun['browser_token']}"
            if case.operation.path.endswith("/events"):  # over already: a stream that ends
                requests.delete(
                    f"{self.service.url}/v1/sign-ins/{begun['id']}",
                    headers={"Authorization": case.headers["Authorization"]},
                    timeout=SOON,
                )
        elif "settings_token" in schemes:
            case.headers["Authorization"] = f"Bearer {self.settings_token}"
        elif "device_proof" in schemes:
            path = case.formatted_path
            case.headers["Authorization"] = f"Proof {self.phone.api.proof(case.method, path)}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def known(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Known]:
    """A server with wide limits, and someone whom it knows."""
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    service = Service(
        folder,
        POLICY__BEGINS_PER_ADDRESS=WIDE,
        POLICY__BEGINS_PER_PERSON=WIDE,
        POLICY__PROMPTS_UNANSWERED=WIDE,
        POLICY__WRONG_PASSWORDS=WIDE,
        POLICY__SIGN_IN_SECONDS="2",
    )
    await service.start()
    try:
        async with office(service) as desk:
            user = await desk.person(state=UserState.ENFORCED)
            app = await desk.application()
            async with desk.browser(App("settings", None), origin=service.url) as page:
                phone = await desk.phone(user, setup=Setup(reach=Reach.POLL))
                sign_in: SignIn = await page.begin(user.username, PASSWORD)
                async with asyncio.timeout(SOON):
                    (challenge,) = (await phone.poll()).challenges
                    await phone.send_by_http(challenge.id, phone.sign(challenge, Decision.VERIFY, sign_in.number))
                    assert (await sign_in.outcome())["state"] == "approved"
            yield Known(service, app, user, phone, sign_in.token)
            await phone.aclose()
        assert "Traceback" not in service.log
    finally:
        await service.kill()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_sent_only_what_is_promised_comes_back(known: Known, mode: GenerationMode) -> None:
    published = schemathesis.openapi.from_url(f"{known.service.url}/openapi.json", config=CONFIG)
    broken: list[BaseException] = []
    with requests.Session() as session:
        for found in published.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            try:
                _sent_and_answered(operation, mode, known, session)
            except Unsatisfiable:
                assert mode.is_negative, f"nothing can be sent to {operation.label}"
            except (FailureGroup, Failure) as problem:
                broken.append(problem)
    if broken:
        raise BaseExceptionGroup("answers that the document does not promise", broken)


def _sent_and_answered(operation: Operation, mode: GenerationMode, known: Known, session: requests.Session) -> None:
    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: AnyCase) -> None:
        known.prove(case)
        case.call_and_validate(session=session, excluded_checks=NOT_MEANT)

    send()
