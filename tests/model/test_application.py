"""Applications: the two that are always there, and which can keep a secret."""

from __future__ import annotations

import pytest

from push_service.model.account_states import Purpose
from push_service.model.application import ADMINISTRATION, SETTINGS, Application, Clients, built_in
from tests.support.scene import MAIL


def test_settings_and_administration_are_public_at_the_services_own_origin() -> None:
    applications = built_in("https://verify.example.org")
    assert [each.id for each in applications] == [SETTINGS, ADMINISTRATION]
    for each in applications:
        assert each.origins == ("https://verify.example.org",)
        assert each.public
        assert not each.may_vouch


def test_an_application_with_a_secret_is_not_public() -> None:
    assert not Application(id=MAIL, name="Mail", secret_hash="hash").public


@pytest.mark.security("S-50")
@pytest.mark.parametrize(
    ("clients", "purposes"),
    [
        (Clients.ANY, set(Purpose)),
        (Clients.USE, {Purpose.USE}),
        (Clients.ADMINISTER, {Purpose.ADMINISTER}),
        (Clients.NONE, set()),
    ],
)
def test_an_application_asks_for_the_clients_that_it_may(clients: Clients, purposes: set[Purpose]) -> None:
    assert {purpose for purpose in Purpose if clients.allows(purpose)} == purposes
