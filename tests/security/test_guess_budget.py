"""How far guessing gets in a day, by each method: the best guesser there is plays the rules (S-13, S-21, S-22)."""

from __future__ import annotations

from pathlib import Path

import pytest

from push_service.model.challenge import MethodKind
from tests.support.guessing import ATTACKS, Attack, guessed, table

pytestmark = pytest.mark.security("S-13", "S-21", "S-22")
SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
TYPED = [each for each in ATTACKS if each.kind in {MethodKind.APP_CODE, MethodKind.TEXT_MOBILE}]


@pytest.mark.parametrize("attack", TYPED, ids=lambda attack: attack.name)
def test_a_day_of_guessing_codes_gets_in_less_often_than_once_in_a_thousand(attack: Attack) -> None:
    found = guessed(attack)
    assert found.away >= 100, "the guesser gave up early"
    assert found.busy > found.away
    assert found.probability < 1e-3


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_method_that_is_only_guessed_at_is_off_after_a_hundred(attack: Attack) -> None:
    assert 0 < guessed(attack).away <= 100


def test_the_table_in_the_documentation_is_what_is_played(capsys: pytest.CaptureFixture[str]) -> None:
    played = table()
    with capsys.disabled():
        print(f"\n{played}")  # noqa: T201 - these figures are to be seen
    assert played in SECURITY.read_text(encoding="utf-8"), "write it anew: python -m tests.support.guessing"
